package dnsx

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseServer reads "192.0.2.53", "192.0.2.53:5353", "2001:db8::53" or "[2001:db8::53]:5353". The port is 53 where
// none is given.
func ParseServer(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read address of name server %q: %w", text, err)
	}
	return at, nil
}
