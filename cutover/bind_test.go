package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func startBIND(t *testing.T, notify ...netip.AddrPort) *nameserver.World {
	t.Helper()
	return startNames(t, nameserver.BIND, notify...)
}

// startNames starts name servers of which the primary is of some software, or skips the test.
func startNames(t *testing.T, software nameserver.Software, notify ...netip.AddrPort) *nameserver.World {
	t.Helper()
	if testing.Short() {
		t.Skip("starts name servers")
	}
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), slices.Concat(software.Packages(), nameserver.BIND.Packages(), nameserver.ResolverPackages())...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dns, err := nameserver.StartWorld(t.Context(), nameserver.WorldOptions{Dir: t.TempDir(), Software: software, Notify: notify})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dns.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return dns
}

// asker asks servers all the time and counts every answer that is not exactly one CNAME, or, from the resolver, one
// that leads nowhere.
type asker struct {
	client          *dnsx.Client
	questions, gaps atomic.Int64
	mu              sync.Mutex
	first           string
	seen            map[string]bool
}

func (a *asker) run(ctx context.Context, server netip.AddrPort, recurse bool) {
	// A question a millisecond and server finds a gap of two messages, and leaves the machine to others.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reply, err := a.client.Ask(ctx, server, shopName, "A", recurse)
		if ctx.Err() != nil {
			return
		}
		a.questions.Add(1)
		target := reply.Set(shopName, "CNAME").Data
		switch {
		case err != nil:
			a.gap(fmt.Sprintf("%s: %v", server, err))
		case reply.Rcode != "NOERROR" || len(target) != 1:
			a.gap(fmt.Sprintf("%s: %s %v", server, reply.Rcode, reply.Answer))
		case recurse && len(reply.Set(target[0], "A").Data) != 1:
			a.gap(fmt.Sprintf("%s: %v leads nowhere", server, target))
		default:
			a.mu.Lock()
			a.seen[target[0]] = true
			a.mu.Unlock()
		}
	}
}

func (a *asker) gap(text string) {
	a.gaps.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == "" {
		a.first = text
	}
}

// From the first change to the last, on real servers, no question is ever without its answer: while the TTL is lowered,
// during the swap, during the return and while the TTL is restored.
func TestI02_NoQuestionIsWithoutAnswerOnRealServers(t *testing.T) {
	dns := startBIND(t)
	blue, green := startSides(t)
	err := dns.Add(t.Context(),
		dnsx.Record{Name: "blue.lb.test.", Type: "A", TTL: 60, Data: blue.addr.Addr().String()},
		dnsx.Record{Name: "green.lb.test.", Type: "A", TTL: 60, Data: green.addr.Addr().String()},
		dnsx.Record{Name: shopName, Type: "CNAME", TTL: 3, Data: "blue.lb.test."})
	if err != nil {
		t.Fatal(err)
	}
	opts, driver := optionsAt(t, dns, blue, green)
	// The record must have reached the secondary before anyone counts.
	waitForSecondary(t, dns)

	ctx, stop := context.WithCancel(t.Context())
	ask := &asker{client: dns.Client(), seen: map[string]bool{}}
	var group sync.WaitGroup
	for _, server := range []netip.AddrPort{dns.Primary.Addr(), dns.Secondary.Addr()} {
		group.Go(func() { ask.run(ctx, server, false) })
	}
	group.Go(func() { ask.run(ctx, dns.Resolver.Addr(), true) })
	cutOverAndBack(t, opts)
	stop()
	group.Wait()

	if n := ask.gaps.Load(); n > 0 {
		t.Errorf("%d of %d questions had no answer, the first: %s", n, ask.questions.Load(), ask.first)
	}
	if !ask.seen["blue.lb.test."] || !ask.seen["green.lb.test."] {
		t.Errorf("answers were %v, so nothing moved", ask.seen)
	}
	t.Logf("%d questions", ask.questions.Load())
	set, err := driver.Lookup(t.Context(), shopName, "CNAME")
	if err != nil || set.TTL != 3 || set.Data[0] != "blue.lb.test." {
		t.Errorf("the record is %+v, %v at the end, want what it was", set, err)
	}
	sets, err := driver.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		if s.Type == "TXT" {
			t.Errorf("the zone still holds %+v", s)
		}
	}
}

// optionsAt are those of a migration of one name at real name servers, with short times.
func optionsAt(t *testing.T, dns *nameserver.World, blue, green *side) (cutover.Options, *rfc2136.Driver) {
	t.Helper()
	driver, err := rfc2136.New(rfc2136.Options{Apex: "apps.test.", Server: dns.Primary.Addr().String(), Key: rfc2136.Key{Name: dns.Key.Name, Algorithm: dns.Key.Algorithm, Secret: dns.Key.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	return cutover.Options{
		Migration: "move",
		Times: migration.Cutover{
			TTL: migration.Duration(time.Second), Margin: migration.Duration(time.Second), Interval: migration.Duration(200 * time.Millisecond),
			Propagation: migration.Duration(20 * time.Second),
		},
		Rehearsal: &migration.Rehearsal{Soak: migration.Duration(time.Second)},
		Applications: []migration.Application{{
			Name: "shop", Namespace: "demo",
			Hostnames: []migration.Hostname{{
				Name: "shop.apps.test", Port: int(blue.addr.Port()),
				Blue: &migration.Entry{Target: "blue.lb.test"}, Green: &migration.Entry{Target: "green.lb.test"},
			}},
			Checks: []migration.Check{{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}},
		}},
		Zones: []cutover.Zone{{Zone: migration.Zone{Name: "apps.test", Resolvers: []string{dns.Resolver.Addr().String()}}, Driver: driver}},
		Names: dns.Client(),
		Log:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, driver
}

func waitForSecondary(t *testing.T, dns *nameserver.World) {
	t.Helper()
	if dns.Secondary == nil {
		return
	}
	for range 200 {
		reply, err := dns.Client().Ask(t.Context(), dns.Secondary.Addr(), shopName, "CNAME", false)
		if err == nil && len(reply.Set(shopName, "CNAME").Data) == 1 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the secondary does not follow")
}

// cutOverAndBack goes all the way there and all the way back.
func cutOverAndBack(t *testing.T, opts cutover.Options) {
	t.Helper()
	ctx, rec := t.Context(), &plan.MemoryRecorder{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := cutover.PlanTTL(ctx, opts)
	must(err)
	_, err = cutover.ApplyTTL(ctx, p, rec, opts)
	must(err)
	// The plan is forgotten, as one is whose records have moved, and made again in a zone that it has changed.
	opts.Before, err = cutover.BeforeOf(p)
	must(err)
	p, err = cutover.PlanTTL(ctx, opts)
	must(err)
	rec = &plan.MemoryRecorder{}
	held, err := cutover.ApplyTTL(ctx, p, rec, opts)
	must(err)
	if n := len(held.Names[0].Servers); n != 2 {
		t.Errorf("%d servers, want both of the delegation", n)
	}
	sopts := cutover.SwapOptions{Options: opts, App: "shop", Held: held.Names}
	sp, err := cutover.PlanSwap(ctx, sopts)
	must(err)
	swapped, err := cutover.ApplySwap(ctx, sp, rec, sopts)
	must(err)
	settle := cutover.SettleOptions{Options: opts, App: "shop", Moved: swapped.Names}
	p, err = cutover.PlanSettle(ctx, settle)
	must(err)
	settled, err := cutover.ApplySettle(ctx, p, rec, settle)
	must(err)
	if len(settled.Stretched) > 0 || !settled.Views[0].Moved {
		t.Errorf("the resolver did not follow: %+v", settled)
	}
	soak := cutover.SoakOptions{Options: opts, App: "shop", Moved: swapped.Names}
	p, err = cutover.PlanSoak(ctx, soak)
	must(err)
	_, err = cutover.ApplySoak(ctx, p, rec, soak)
	must(err)
	ropts := cutover.ReturnOptions{Options: opts, App: "shop", Swap: sp}
	p, err = cutover.PlanReturn(ctx, ropts)
	must(err)
	returned, err := cutover.ApplyReturn(ctx, p, rec, ropts)
	must(err)
	opts.Stage = "settle-back/shop"
	settle = cutover.SettleOptions{Options: opts, App: "shop", Moved: returned.Names, Returned: true}
	p, err = cutover.PlanSettle(ctx, settle)
	must(err)
	_, err = cutover.ApplySettle(ctx, p, rec, settle)
	must(err)
	opts.Stage = ""
	restore := cutover.RestoreOptions{Options: opts, Held: cutover.UnderFences(held.Names, returned.Fences)}
	p, err = cutover.PlanRestoreTTL(ctx, restore)
	must(err)
	must(cutover.ApplyRestoreTTL(ctx, p, rec, restore))
	if report := (cutover.Report{TTL: held}).Waits(); len(report) != 1 {
		t.Errorf("waits = %+v", report)
	}
}
