package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"syscall"
)

// refused are the blocks that nobody on the internet can be reached at: IANA's
// special-purpose registries, and addresses at which clouds answer their own
// machines. IPv6 is refused beyond 2000::/3 altogether.
func refused() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8",        // this network
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // behind a carrier's NAT; Alibaba's metadata
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // Azure's wire server
		"169.254.0.0/16",   // link-local; the metadata of most clouds
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; Oracle's metadata
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relays
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, broadcast
		"2001::/23",        // protocol assignments, Teredo
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4, which wraps any IPv4 address
		"3fff::/20",        // documentation
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// guard decides which addresses may be dialed.
type guard struct {
	allowPrivate bool
	refused      []netip.Prefix
	nat64        netip.Prefix
	global       netip.Prefix
}

func newGuard(allowPrivate bool) *guard {
	return &guard{
		allowPrivate: allowPrivate, refused: refused(),
		nat64: netip.MustParsePrefix("64:ff9b::/96"), global: netip.MustParsePrefix("2000::/3"),
	}
}

// errPrivate says that an address is inside a private network.
var errPrivate = errors.New("not a public address (webhooks.allow_private allows it)")

// control refuses an address that is about to be dialed. It fits net.Dialer.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	if g.allowPrivate {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, errPrivate)
	}
	return g.check(at.Addr())
}

func (g *guard) check(ip netip.Addr) error {
	bare := ip.Unmap().WithZone("")
	if g.nat64.Contains(bare) { // stands for the IPv4 address at its end
		b := bare.As16()
		bare = netip.AddrFrom4([4]byte(b[12:]))
	}
	if bare.Is6() && !g.global.Contains(bare) {
		return fmt.Errorf("address %s: %w", ip, errPrivate)
	}
	for _, p := range g.refused {
		if p.Contains(bare) {
			return fmt.Errorf("address %s: %w", ip, errPrivate)
		}
	}
	return nil
}

// CheckURL returns what speaks against delivering to that address, as far as can be
// told without resolving it. The error does not repeat the address.
func CheckURL(raw string, allowPrivate bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return errors.New("cannot be read as a URL")
	}
	if allowPrivate {
		return nil
	}
	if u.Scheme != "https" {
		return errors.New("want one that begins with https:// (webhooks.allow_private allows http)")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return newGuard(false).check(ip)
	}
	return nil
}
