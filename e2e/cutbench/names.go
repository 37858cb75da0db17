package cutbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

const (
	targets     = "lb.test."
	blueTarget  = "blue." + targets
	greenTarget = "green." + targets
	// nameTTL is that of every record: it is waited out once in each round, and nobody caches here.
	nameTTL = 1
)

// A key for servers that live as long as this process and listen on loopback only.
var benchKey = nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="}

// An app is one application: one name in one zone, and a name beside it which nsupdate moves.
type app struct {
	n          int
	name, zone string
	host, peer string // fully qualified
}

func apps(n, zones int) []app {
	all := make([]app, n)
	for i := range all {
		a := app{n: i, name: fmt.Sprintf("app-%03d", i), zone: fmt.Sprintf("zone-%02d.test.", i%zones)}
		a.host, a.peer = a.name+"."+a.zone, "peer-"+a.name+"."+a.zone
		all[i] = a
	}
	return all
}

// names are the real name servers.
type names struct {
	zones    []string
	addrs    []netip.AddrPort // the primary, two secondaries, and the delayed one
	resolver netip.AddrPort
	way      *nameserver.Delayer // of the last of them to the primary
	stops    []func(context.Context) error
}

// startNames starts a primary, two secondaries at their usual pace, one that has its zones from a delayer, and a resolver.
func startNames(ctx context.Context, dir string, all []app) (_ *names, err error) {
	w := &names{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start the name servers: %w", err), w.stop(context.WithoutCancel(ctx)))
		}
	}()
	for range 5 {
		at, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		w.addrs = append(w.addrs, at)
	}
	w.resolver, w.addrs = w.addrs[4], w.addrs[:4]
	zones := zonesOf(all)
	primary := w.addrs[0]
	start := func(name string, at, from netip.AddrPort, notify []netip.AddrPort) error {
		s, err := nameserver.Start(ctx, nameserver.Spec{
			Software: nameserver.BIND, Name: name, Dir: filepath.Join(dir, name), Key: benchKey, Place: nameserver.Place{Addr: at},
			Zones: zones, Primary: from, Secondaries: notify,
		})
		if err == nil {
			w.stops = append(w.stops, s.Stop)
		}
		return err
	}
	if err := start("primary", primary, netip.AddrPort{}, w.addrs[1:]); err != nil {
		return nil, err
	}
	w.way, err = nameserver.StartDelayer(primary) //nolint:contextcheck // it lives until Stop, not until this returns
	if err != nil {
		return nil, err
	}
	w.stops = append(w.stops, func(context.Context) error { w.way.Stop(); return nil })
	for i, from := range []netip.AddrPort{primary, primary, w.way.Addr()} {
		if err := start(fmt.Sprintf("secondary-%d", i+1), w.addrs[i+1], from, nil); err != nil {
			return nil, err
		}
	}
	stubs := map[string][]netip.AddrPort{".": {primary}}
	for _, z := range zones {
		w.zones = append(w.zones, z.Apex)
		stubs[z.Apex] = w.addrs
	}
	resolver, err := nameserver.StartResolver(ctx, nameserver.ResolverSpec{
		Name: "resolver", Dir: filepath.Join(dir, "resolver"), Place: nameserver.Place{Addr: w.resolver}, MaxTTL: 1, Stubs: stubs,
	})
	if err == nil {
		w.stops = append(w.stops, resolver.Stop)
	}
	return w, err
}

// zonesOf are the zones with every name at blue.
func zonesOf(all []app) []nameserver.Zone {
	own := []string{"@ NS ns1", "@ NS ns2", "@ NS ns3", "@ NS ns4", "ns1 A 127.0.0.1", "ns2 A 127.0.0.1", "ns3 A 127.0.0.1", "ns4 A 127.0.0.1", "@ CAA 0 issue \"ca.test\""}
	zones := []nameserver.Zone{{Apex: targets, Records: append([]string{"blue A " + blueAddr, "green A " + greenAddr}, own...)}}
	at := map[string]int{}
	for _, a := range all {
		i, ok := at[a.zone]
		if !ok {
			i, at[a.zone] = len(zones), len(zones)
			zones = append(zones, nameserver.Zone{Apex: a.zone, Dynamic: true, Records: append([]string(nil), own...)})
		}
		for _, name := range []string{a.host, a.peer} {
			zones[i].Records = append(zones[i].Records, fmt.Sprintf("%s %d CNAME %s", name, nameTTL, blueTarget))
		}
	}
	return zones
}

func (w *names) stop(ctx context.Context) error {
	var errs []error
	for i := len(w.stops) - 1; i >= 0; i-- {
		errs = append(errs, w.stops[i](ctx))
	}
	return errors.Join(errs...)
}

func freePort(ctx context.Context) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return addr, errors.Join(err, l.Close())
}
