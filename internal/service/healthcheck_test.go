package service

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/config"
)

func TestHealthcheck(t *testing.T) {
	ready := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || !ready {
			http.Error(w, "waiting for NATS", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		address string
		ready   bool
		code    int
		says    string
	}{
		{"0.0.0.0:" + port, true, 0, ""},
		{":" + port, true, 0, ""},
		{"127.0.0.1:" + port, false, 1, "waiting for NATS"},
		{"127.0.0.1:1", true, 1, "refused"},
		{"off", true, 1, "admin_listen"},
	} {
		ready = tc.ready
		var stderr strings.Builder
		code := Healthcheck(t.Context(), &config.Config{AdminListen: tc.address}, IO{Stderr: &stderr})
		if code != tc.code || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", tc.address, code, stderr.String(), tc.code, tc.says)
		}
	}
}
