package service

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || (err != nil && strings.Contains(err.Error(), "Only one usage of each socket address"))
}

// listenError says what to do about an address that cannot be listened on.
func listenError(what, address, flag string, err error) error {
	switch {
	case portTaken(err):
		return fmt.Errorf("%s: %s is in use by another program: stop that, or choose another address with %s", what, address, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: not allowed to listen on %s: choose a port above 1023 with %s", what, address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is no address of this machine: choose one with %s", what, address, flag)
	}
	return fmt.Errorf("%s: listen on %s: %w", what, address, err)
}

// listen opens the API's address.
func listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError("api", address, "--listen", err)
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

// Reachable is address as a client on this machine writes it.
func Reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
