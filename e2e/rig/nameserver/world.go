package nameserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// The zones of a World. Apps and LB take signed updates.
const (
	TopZone  = "test."
	AppsZone = "apps.test."
	LBZone   = "lb.test."
)

// WorldOptions say where the servers of a World run.
type WorldOptions struct {
	// Install, if set, installs what is missing first.
	Install *install.Installer
	// Dir gets a folder for each server.
	Dir string
	// The four addresses differ, and each is one of an interface where the servers run: BIND listens at no others. The
	// port is 53. Where all four are missing, the servers run on loopback, each at a free port of 127.0.0.1.
	Parent, Primary, Secondary, Resolver netip.Addr
	// Enter and Record are those of a Place.
	Enter  func() error
	Record *record.Log
	// Apps are further lines of a zone file for apps.test.
	Apps []string
	// MaxTTL caps the resolver's memory, in seconds.
	MaxTTL int
	// Software is what the primary of apps.test. and lb.test. runs; empty is BIND, which all the others run. PowerDNS has no secondary.
	// Whoever sets it has its packages installed.
	Software Software
	// Notify are further servers that the primary tells of changes. Whoever wants them starts them.
	Notify []netip.AddrPort
}

// A World is the rig's whole DNS, running.
type World struct {
	Key                        Key
	Parent, Primary, Secondary *Server
	Resolver                   *Resolver
	// reached says where a server listens whose address in the DNS is another.
	reached map[netip.AddrPort]netip.AddrPort
}

// StartWorld starts the parent, the primary, the secondary and the resolver.
func StartWorld(ctx context.Context, o WorldOptions) (*World, error) {
	if o.Install != nil {
		if err := o.Install.Debian(ctx, append(BIND.Packages(), ResolverPackages()...)...); err != nil {
			return nil, err
		}
	}
	secret := make([]byte, 32)
	// It never fails: the program ends instead.
	_, _ = rand.Read(secret)
	w := &World{
		Key:     Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: base64.StdEncoding.EncodeToString(secret)},
		reached: map[netip.AddrPort]netip.AddrPort{},
	}
	if err := w.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the rig's name servers: %w", err), w.Stop(ctx))
	}
	return w, nil
}

// place is one server's address in the DNS, and where it listens.
type place struct {
	addr   netip.Addr
	listen netip.AddrPort
}

// places returns those of the parent, the primary, the secondary and the resolver.
func (w *World) places(o WorldOptions) ([4]place, error) {
	var out [4]place
	for i, addr := range []netip.Addr{o.Parent, o.Primary, o.Secondary, o.Resolver} {
		if addr.IsValid() {
			out[i] = place{addr, netip.AddrPortFrom(addr, 53)}
			continue
		}
		port, err := freePort()
		if err != nil {
			return out, err
		}
		// A name of its own in the DNS for each, which no packet is ever sent to.
		addr = netip.AddrFrom4([4]byte{127, 53, 0, byte(i + 1)})
		out[i] = place{addr, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
		w.reached[netip.AddrPortFrom(addr, 53)] = out[i].listen
	}
	return out, nil
}

// freePort finds a port of loopback on which nobody listens.
func freePort() (uint16, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return addr.Port(), errors.Join(err, l.Close())
}

func (w *World) start(ctx context.Context, o WorldOptions) error {
	places, err := w.places(o)
	if err != nil {
		return err
	}
	parentAt, primaryAt, secondaryAt, resolverAt := places[0], places[1], places[2], places[3]
	spec := func(name string, at place) Spec {
		return Spec{
			Software: BIND, Name: "dns-" + name, Dir: filepath.Join(o.Dir, name), Key: w.Key,
			Place: Place{Addr: at.listen, Enter: o.Enter, Record: o.Record},
		}
	}
	ns, parents := []string{"@ NS ns1.apps.test."}, []string{"apps NS ns1.apps.test.", "lb NS ns1.apps.test."}
	if o.Software != PowerDNS {
		ns, parents = append(ns, "@ NS ns2.apps.test."), append(parents, "apps NS ns2.apps.test.", "lb NS ns2.apps.test.")
	}
	glue := []string{"ns1.apps.test. A " + primaryAt.addr.String(), "ns2.apps.test. A " + secondaryAt.addr.String()}

	primary := spec("primary", primaryAt)
	primary.Software = cmp.Or(o.Software, BIND)
	primary.Zones = []Zone{{Apex: AppsZone, Records: slices.Concat(ns, glue, o.Apps), Dynamic: true}, {Apex: LBZone, Records: ns, Dynamic: true}}
	if o.Software != PowerDNS {
		primary.Secondaries = append([]netip.AddrPort{secondaryAt.listen}, o.Notify...)
	}
	if w.Primary, err = Start(ctx, primary); err != nil {
		return err
	}
	authorities := []netip.AddrPort{primaryAt.listen}
	if o.Software != PowerDNS {
		secondary := spec("secondary", secondaryAt)
		secondary.Zones = []Zone{{Apex: AppsZone}, {Apex: LBZone}}
		secondary.Primary = primaryAt.listen
		if w.Secondary, err = Start(ctx, secondary); err != nil {
			return err
		}
		authorities = append(authorities, secondaryAt.listen)
	}
	parent := spec("parent", parentAt)
	parent.Zones = []Zone{{Apex: TopZone, Records: slices.Concat([]string{"@ NS ns.test.", "ns A " + parentAt.addr.String()}, parents, glue)}}
	if w.Parent, err = Start(ctx, parent); err != nil {
		return err
	}
	stubs := map[string][]netip.AddrPort{".": {parentAt.listen}, TopZone: {parentAt.listen}}
	if len(w.reached) > 0 {
		// A delegation carries no port: the resolver is told whom it would find.
		stubs[AppsZone], stubs[LBZone] = authorities, authorities
	}
	w.Resolver, err = StartResolver(ctx, ResolverSpec{
		Name: "dns-resolver", Dir: filepath.Join(o.Dir, "resolver"), Place: Place{Addr: resolverAt.listen, Enter: o.Enter, Record: o.Record},
		Stubs: stubs, MaxTTL: o.MaxTTL,
	})
	return err
}

// Client asks the servers of this world where they listen, whatever their addresses in the DNS.
func (w *World) Client() *dnsx.Client {
	return &dnsx.Client{Reach: func(a netip.AddrPort) netip.AddrPort {
		if at, ok := w.reached[a]; ok {
			return at
		}
		return a
	}}
}

// Add puts records into apps.test. or lb.test., by one signed update for each.
func (w *World) Add(ctx context.Context, records ...dnsx.Record) error {
	for _, r := range records {
		if err := w.Primary.Add(ctx, apexOf(r.Name), r); err != nil {
			return err
		}
	}
	return nil
}

func apexOf(name string) string {
	if dnsx.InZone(name, LBZone) {
		return LBZone
	}
	return AppsZone
}

// SetA makes an address the only one of a name in apps.test. or lb.test., with a TTL of 60 s, in one message.
func (w *World) SetA(ctx context.Context, name string, addr netip.Addr) error {
	return w.Primary.SetA(ctx, apexOf(name), name, addr, 60)
}

// AddA gives a name in apps.test. or lb.test. an address, with a TTL of 60 s.
func (w *World) AddA(ctx context.Context, name string, addr netip.Addr) error {
	return w.Add(ctx, dnsx.Record{Name: name, Type: "A", TTL: 60, Data: addr.String()})
}

// Stop ends all of them, the resolver first.
func (w *World) Stop(ctx context.Context) error {
	var errs []error
	if w.Resolver != nil {
		errs = append(errs, w.Resolver.Stop(ctx))
	}
	for _, s := range []*Server{w.Parent, w.Secondary, w.Primary} {
		if s != nil {
			errs = append(errs, s.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}
