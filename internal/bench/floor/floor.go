// Package floor is the least that a gateway in Go can be: the standard library's reverse
// proxy, which checks, parses and counts nothing. What it costs is the price of one more
// hop on a machine, and the yardstick of everything that does more.
package floor

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Handler forwards every request to target.
func Handler(target *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// By itself it would keep two idle connections, and dial for nearly every request.
		Transport: &http.Transport{MaxIdleConns: 50_000, MaxIdleConnsPerHost: 50_000, DisableCompression: true},
		// Event streams are flushed at once by themselves.
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body that is passed on as it comes is closed by the server at the first byte of
		// the answer, while the transport still waits for its end: one answer in a hundred
		// of a model this fast would be cut.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the request could not be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
}
