package http1

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strings"
)

// ErrUnsupported is returned by NewTarget for an address that this package does not
// speak to, though another client may.
var ErrUnsupported = errors.New("address is not plain http or https")

// Target is an address, taken apart once for any number of calls. It is immutable.
type Target struct {
	tls     bool
	name    string // the host alone, as its certificate has it
	address string // host:port to dial
	host    string // of the header Host
	uri     string // path and query
	auth    string // "Basic …" from the URL's user; "" without one
}

// NewTarget takes an http or https URL apart.
func NewTarget(u *url.URL) (*Target, error) {
	name, port := u.Hostname(), u.Port()
	if u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || name == "" || strings.ContainsFunc(u.Host, oddInHost) {
		return nil, ErrUnsupported
	}
	t := &Target{tls: u.Scheme == "https", name: name, host: strings.TrimSuffix(u.Host, ":"), uri: u.RequestURI()}
	for i := range len(t.uri) {
		if c := t.uri[i]; c <= ' ' || c == 0x7f {
			return nil, errors.New("address has a blank or a control character in it")
		}
	}
	if port == "" {
		port = "80"
		if t.tls {
			port = "443"
		}
	}
	t.address = net.JoinHostPort(name, port)
	if u.User != nil {
		password, _ := u.User.Password()
		t.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	return t, nil
}

// oddInHost is for names that must be translated first: international ones, and
// addresses with a zone.
func oddInHost(c rune) bool { return c <= ' ' || c >= 0x7f || c == '%' || c == '/' || c == '@' }

// place is where connections are to: targets that share it share connections.
type place struct {
	tls     bool
	address string
}

func (t *Target) place() place { return place{t.tls, t.address} }
