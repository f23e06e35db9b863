package frontendpart

import (
	"net"
	"net/netip"

	"github.com/osiris/osiris/internal/service"
)

// listen opens the API's address.
func listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, service.ListenError("api", address, "--listen", err)
	}
	return ln, nil
}

// probe tells early whether address can be listened on.
func probe(address string) error {
	ln, err := listen(address)
	if err != nil {
		return err
	}
	return ln.Close()
}

// isLoopback tells whether only this machine can reach address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
