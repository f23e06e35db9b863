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

// ListenError says what to do about an address that cannot be listened on.
func ListenError(what, address, flag string, err error) error {
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
