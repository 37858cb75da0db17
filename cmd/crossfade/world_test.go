package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// testZone is the zone in which every script has names of its own.
const testZone = "apps.test."

// world is what the scripts share: two real API servers with real controllers, two real name servers and a resolver, and
// a real S3 server. Nodes are missing: stand-ins play the kubelets, the balancers and the pods.
type world struct {
	// Skip says why there is no world; DNSSkip why there are no name servers in it.
	Skip, DNSSkip string
	// Blue and Green are kubeconfigs that lead through the stand-in for pods, which answers for these and passes all else on.
	Blue, Green string
	// BlueDirect and GreenDirect lead to the API servers themselves.
	BlueDirect, GreenDirect string
	Kubectl                 string
	Primary, Secondary      string
	Resolver                string
	TSIG                    string
	S3, S3Access, S3Secret  string
}

// running is the world's processes.
type running struct {
	dir   string
	stops []func(context.Context) error
}

func (r *running) onStop(f func(context.Context) error) { r.stops = append(r.stops, f) }

// stop ends everything, the last one first.
func (r *running) stop(ctx context.Context) error {
	var errs []error
	for len(r.stops) > 0 {
		last := len(r.stops) - 1
		errs = append(errs, r.stops[last](ctx))
		r.stops = r.stops[:last]
	}
	return errors.Join(errs...)
}

func (r *running) start(ctx context.Context) (world, error) {
	var w world
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	installer, err := install.New(log)
	if err != nil {
		return w, err
	}
	if w.Blue, w.BlueDirect, w.Kubectl, err = r.startSide(ctx, "blue", "1.28", installer); err != nil {
		return w, err
	}
	if w.Green, w.GreenDirect, w.Kubectl, err = r.startSide(ctx, "green", "", installer); err != nil {
		return w, err
	}
	s3, err := store.Start(ctx, store.VersityGW, store.Options{Dir: filepath.Join(r.dir, "s3"), Log: log})
	if err != nil {
		return w, err
	}
	r.onStop(s3.Stop)
	w.S3, w.S3Access, w.S3Secret = s3.Endpoint, s3.AccessKey, s3.SecretKey
	return w, r.startNames(ctx, &w, installer)
}

// startSide starts a cluster without nodes, and what plays them.
func (r *running) startSide(ctx context.Context, name, minor string, installer *install.Installer) (front, direct, kubectl string, err error) {
	c, err := cluster.Light(ctx, cluster.LightOptions{Name: name, Minor: minor, Controllers: true, Dir: filepath.Join(r.dir, name), Installer: installer})
	if err != nil {
		return "", "", "", err
	}
	r.onStop(c.Stop)
	client, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		return "", "", "", err
	}
	r.onStop(standin.Nodes(name, client))
	pods, err := standin.PlayPods(client, standin.PodsOptions{})
	if err != nil {
		return "", "", "", err
	}
	r.onStop(pods.Stop)
	front = filepath.Join(r.dir, name+".kubeconfig")
	return front, c.Kubeconfig(), c.Kubectl(), pods.Kubeconfig(front, name)
}

// startNames starts a primary and a secondary of one zone, and a resolver that asks them. Where the machine has no name
// server and cannot install one, the scripts that cut over are skipped.
func (r *running) startNames(ctx context.Context, w *world, installer *install.Installer) error {
	err := installer.Debian(ctx, append(nameserver.BIND.Packages(), nameserver.ResolverPackages()...)...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		w.DNSSkip = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	at, err := freePorts(3)
	if err != nil {
		return err
	}
	w.TSIG = "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="
	key := nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: w.TSIG}
	records := []string{"@ NS ns1", "@ NS ns2", "ns1 A 127.0.0.1", "ns2 A 127.0.0.1"}
	primary, err := nameserver.Start(ctx, nameserver.Spec{
		Software: nameserver.BIND, Name: "primary", Dir: filepath.Join(r.dir, "primary"), Key: key, Place: nameserver.Place{Addr: at[0]},
		Zones: []nameserver.Zone{{Apex: testZone, Dynamic: true, Records: records}}, Secondaries: []netip.AddrPort{at[1]},
	})
	if err != nil {
		return err
	}
	r.onStop(primary.Stop)
	secondary, err := nameserver.Start(ctx, nameserver.Spec{
		Software: nameserver.BIND, Name: "secondary", Dir: filepath.Join(r.dir, "secondary"), Key: key, Place: nameserver.Place{Addr: at[1]},
		Zones: []nameserver.Zone{{Apex: testZone}}, Primary: at[0],
	})
	if err != nil {
		return err
	}
	r.onStop(secondary.Stop)
	resolver, err := nameserver.StartResolver(ctx, nameserver.ResolverSpec{
		Name: "resolver", Dir: filepath.Join(r.dir, "resolver"), Place: nameserver.Place{Addr: at[2]},
		Stubs: map[string][]netip.AddrPort{".": {at[0]}, testZone: {at[0], at[1]}},
	})
	if err != nil {
		return err
	}
	r.onStop(resolver.Stop)
	w.Primary, w.Secondary, w.Resolver = at[0].String(), at[1].String(), at[2].String()
	return nil
}

// freePorts finds ports that are free just now, no two of them the same.
func freePorts(count int) ([]netip.AddrPort, error) {
	var at []netip.AddrPort
	for range count {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // held only so that the next one differs
		addr, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		at = append(at, addr)
	}
	return at, nil
}
