package trial

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// Zone is the zone in which every trial has names of its own. Their targets are in Targets: the retirement looks for names in
// the applications' zone that still lead to blue.
const (
	Zone    = "apps.test."
	Targets = "lb.test."
)

// factor is how much faster than the machine's the trials' time passes. The waits of a trial come to about two minutes. The
// limits in the product that are no settings must stay longer than what they wait for takes on a busy machine.
const factor = 20

// Options choose a world. The zero value works.
type Options struct {
	// Dir is the state folder, short of other content. Empty is a temporary one that Stop removes.
	Dir string
	// Program is the command, built with the tag faults. Empty builds it from the checkout that the process runs in.
	Program string
	// Log hears of what takes long. Nil is silent.
	Log *slog.Logger
}

// A Side is one cluster of a world.
type Side struct {
	Name    string
	Cluster *cluster.Cluster
	// Client speaks with the API server itself, with all rights.
	Client *kube.Client
	// Pods answers for pods and passes all else on; trials speak with the side through it.
	Pods *standin.Pods

	kinds []kube.Resource // of which a trial's namespaces may hold objects
}

// A World is what trials share.
type World struct {
	Dir         string
	Program     string
	Blue, Green *Side
	Store       *store.Server
	Primary     *nameserver.Server
	// Clock is the trials' time.
	Clock clock.Scaled

	key       nameserver.Key
	secondary *nameserver.Server
	resolver  *nameserver.Resolver
	stops     []func(context.Context) error

	mu    sync.Mutex
	ports int
}

// Start starts a world. Where the machine cannot have one, the error is an *install.MissingError or wraps
// errors.ErrUnsupported; install.CanBuild says the same before.
func Start(ctx context.Context, o Options) (_ *World, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &World{
		Dir: o.Dir, Program: o.Program,
		Clock: clock.Scaled{Epoch: time.Now().Truncate(time.Second), Factor: factor},
		// A key for servers that live as long as this process and listen on loopback only.
		key: nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="},
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start the world of trials: %w", err), w.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if w.Dir == "" {
		if w.Dir, err = os.MkdirTemp("", "crossfade-trials-"); err != nil {
			return nil, err
		}
		w.onStop(func(context.Context) error { return os.RemoveAll(w.Dir) })
	}
	installer, err := install.New(o.Log)
	if err != nil {
		return nil, err
	}
	if err := installer.Debian(ctx, append(nameserver.BIND.Packages(), nameserver.ResolverPackages()...)...); err != nil {
		return nil, err
	}
	if w.Program == "" {
		w.Program = filepath.Join(w.Dir, "crossfade")
		if err := Build(ctx, w.Program); err != nil {
			return nil, err
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.startSide(gctx, &w.Blue, "blue", "1.28", installer) })
	group.Go(func() error { return w.startSide(gctx, &w.Green, "green", "", installer) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if w.Store, err = store.Start(ctx, store.VersityGW, store.Options{Dir: filepath.Join(w.Dir, "s3"), Log: o.Log}); err != nil {
		return nil, err
	}
	w.onStop(w.Store.Stop)
	return w, w.startNames(ctx)
}

// Build builds the command with the tag faults, from the checkout that the process runs in. Further arguments are those of
// go build.
func Build(ctx context.Context, path string, args ...string) error {
	args = append([]string{"build", "-tags", "faults"}, args...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", path, "github.com/crossfade-project/crossfade/cmd/crossfade")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the command with faults: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (w *World) onStop(f func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stops = append(w.stops, f)
}

// Stop ends everything, the last one first. The trials' folders go only with a temporary Dir.
func (w *World) Stop(ctx context.Context) error {
	w.mu.Lock()
	stops := w.stops
	w.stops = nil
	w.mu.Unlock()
	var errs []error
	for i := len(stops) - 1; i >= 0; i-- {
		errs = append(errs, stops[i](ctx))
	}
	return errors.Join(errs...)
}

func (w *World) startSide(ctx context.Context, into **Side, name, minor string, installer *install.Installer) error {
	c, err := cluster.Light(ctx, cluster.LightOptions{Name: name, Minor: minor, Nodes: 1, Dir: filepath.Join(w.Dir, name), Installer: installer})
	if err != nil {
		return err
	}
	w.onStop(c.Stop)
	client, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig(), UserAgent: "trial"})
	if err != nil {
		return err
	}
	w.onStop(standin.Balancers(name, client)) //nolint:contextcheck // it plays until Stop, not until Start returns
	pods, err := standin.PlayPods(client, standin.PodsOptions{Clock: w.Clock})
	if err != nil {
		return err
	}
	w.onStop(pods.Stop)
	s := &Side{Name: name, Cluster: c, Client: client, Pods: pods}
	if err := s.platform(ctx); err != nil {
		return fmt.Errorf("prepare %s: %w", name, err)
	}
	*into = s
	return nil
}

// startNames starts a primary and a secondary of the zone, and a resolver that asks them.
func (w *World) startNames(ctx context.Context) error {
	var at [3]netip.AddrPort
	for i := range at {
		var err error
		if at[i], err = freePort(ctx); err != nil {
			return err
		}
	}
	records := []string{"@ NS ns1", "@ NS ns2", "ns1 A 127.0.0.1", "ns2 A 127.0.0.1"}
	var err error
	w.Primary, err = nameserver.Start(ctx, nameserver.Spec{
		Software: nameserver.BIND, Name: "primary", Dir: filepath.Join(w.Dir, "primary"), Key: w.key, Place: nameserver.Place{Addr: at[0]},
		Zones: []nameserver.Zone{{Apex: Zone, Dynamic: true, Records: records}, {Apex: Targets, Dynamic: true, Records: records}}, Secondaries: []netip.AddrPort{at[1]},
	})
	if err != nil {
		return err
	}
	w.onStop(w.Primary.Stop)
	w.secondary, err = nameserver.Start(ctx, nameserver.Spec{
		Software: nameserver.BIND, Name: "secondary", Dir: filepath.Join(w.Dir, "secondary"), Key: w.key, Place: nameserver.Place{Addr: at[1]},
		Zones: []nameserver.Zone{{Apex: Zone}, {Apex: Targets}}, Primary: at[0],
	})
	if err != nil {
		return err
	}
	w.onStop(w.secondary.Stop)
	w.resolver, err = nameserver.StartResolver(ctx, nameserver.ResolverSpec{
		Name: "resolver", Dir: filepath.Join(w.Dir, "resolver"), Place: nameserver.Place{Addr: at[2]}, MaxTTL: 1, // a second here is many there
		Stubs: map[string][]netip.AddrPort{".": {at[0]}, Zone: {at[0], at[1]}, Targets: {at[0], at[1]}},
	})
	if err != nil {
		return err
	}
	w.onStop(w.resolver.Stop)
	return nil
}

func freePort(ctx context.Context) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return addr, errors.Join(err, l.Close())
}

// Places are the addresses, host:port, at which a trial reaches its world. Those of a Trial may lead through proxies.
type Places struct {
	Blue, Green                  string // HTTP, no credentials
	Store                        string // HTTP
	Primary, Secondary, Resolver string // UDP and TCP
}

// Places returns where the servers themselves listen.
func (w *World) Places() Places {
	strip := func(url string) string { return strings.TrimPrefix(url, "http://") }
	return Places{
		Blue: strip(w.Blue.Pods.URL), Green: strip(w.Green.Pods.URL), Store: strip(w.Store.Endpoint),
		Primary: w.Primary.Addr().String(), Secondary: w.secondary.Addr().String(), Resolver: w.resolver.Spec.Addr.String(),
	}
}

// nodePort returns a node port of blue that no other trial has, nor has had for long.
func (w *World) nodePort() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports++
	return 30000 + w.ports%2000
}

// Version tells trials of different content apart: a result of one says nothing of the other.
func Version() []byte {
	h := sha256.New()
	all, err := files.ReadDir("testdata")
	if err != nil {
		panic("the embedded folder is not there")
	}
	for _, entry := range all {
		raw, err := files.ReadFile("testdata/" + entry.Name())
		if err != nil {
			panic("an embedded file is not there: " + entry.Name())
		}
		h.Write(raw)
	}
	return h.Sum(nil)
}
