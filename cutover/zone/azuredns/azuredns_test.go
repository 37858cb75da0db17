package azuredns_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns/azurednsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
	"github.com/crossfade-project/crossfade/internal/clock"
)

const (
	apex  = "apps.test."
	name  = "shop.apps.test."
	blue  = "blue.lb.test."
	green = "green.lb.test."
)

// world is a fake and a driver for it.
type world struct {
	*testing.T
	fake  *azurednsfake.Server
	zone  *azuredns.Driver
	watch *clock.Fake
}

func newWorld(t *testing.T, gap time.Duration) *world {
	t.Helper()
	fake, err := azurednsfake.New(apex)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	w := &world{T: t, fake: fake, watch: clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))}
	w.zone = w.driver(gap)
	return w
}

// driver is another writer of the same zone.
func (w *world) driver(gap time.Duration) *azuredns.Driver {
	w.Helper()
	d, err := azuredns.New(w.Context(), azuredns.Options{
		Apex: apex, Subscription: azurednsfake.Subscription, ResourceGroup: azurednsfake.ResourceGroup, Endpoint: w.fake.URL, Gap: gap, Clock: w.watch,
		Credential: w.fake.Credential(), Transport: w.fake.Transport(),
	})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func (w *world) put(sets ...zone.RRset) {
	w.Helper()
	if err := w.fake.Put(sets...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) claim(token, previous string) zone.Fence {
	w.Helper()
	at, err := zone.FenceName(name, apex)
	if err != nil {
		w.Fatal(err)
	}
	fence := zone.Fence{Name: at, Token: token}
	if err := w.zone.Claim(w.Context(), name, fence, previous); err != nil {
		w.Fatal(err)
	}
	return fence
}

// holds demands that the name's servers show exactly these sets, of the types that are swapped.
func (w *world) holds(want ...zone.RRset) {
	w.Helper()
	for _, typ := range []string{"A", "AAAA", "CNAME"} {
		var data []string
		var ttl uint32
		for _, set := range want {
			if set.Type == typ {
				data, ttl = set.Data, set.TTL
			}
		}
		got, err := w.fake.Query(w.Context(), name, typ)
		if err != nil && !errors.Is(err, zone.ErrNotExist) {
			w.Fatal(err)
		}
		if !slices.Equal(got.Data, data) || got.TTL != ttl {
			w.Fatalf("the name's %s set is %v with TTL %d, want %v with %d", typ, got.Data, got.TTL, data, ttl)
		}
	}
}

func set(typ string, ttl uint32, data ...string) zone.RRset {
	return zone.RRset{Name: name, Type: typ, TTL: ttl, Data: data}
}

func change(fence zone.Fence, from, to []zone.RRset) zone.Change {
	return zone.Change{Name: name, Old: from, New: to, Fence: fence}
}

func sets(s ...zone.RRset) []zone.RRset { return s }

// writes says whether a request writes the set of a type at the name.
func writes(r *http.Request, typ string) bool {
	return r.Method != http.MethodGet && strings.HasSuffix(r.URL.Path, "/"+typ+"/shop")
}

func target(t *testing.T, gap time.Duration) zonetest.Target {
	w := newWorld(t, gap)
	return zonetest.Target{Zone: w.zone, Query: w.fake.Query, Put: func(t *testing.T, sets ...zone.RRset) {
		t.Helper()
		if err := w.fake.Put(sets...); err != nil {
			t.Fatal(err)
		}
	}}
}

func TestAzureKeepsTheContractWithAGap(t *testing.T) {
	zonetest.Run(t, target(t, time.Minute))
}

func TestAzureKeepsTheContractWithoutAGap(t *testing.T) {
	one := target(t, 0)
	one.OneType = true
	zonetest.Run(t, one)
}

// TestC18_EtagsGuardEveryWrite: whoever writes between our reading and our writing is not overwritten, whatever we do.
func TestC18_EtagsGuardEveryWrite(t *testing.T) {
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	theirs := set("CNAME", 60, "theirs.lb.test.")
	a := set("A", 60, "192.0.2.1")
	for what, test := range map[string]struct {
		there  []zone.RRset
		change zone.Change
		typ    string
		write  zone.RRset
	}{
		"an update":  {sets(from), change(zone.Fence{}, sets(from), sets(to)), "CNAME", theirs},
		"a creation": {nil, change(zone.Fence{}, nil, sets(a)), "A", set("A", 60, "192.0.2.99")},
		"a removal":  {sets(a), zone.Change{Name: name, Old: sets(a), Remove: true}, "A", set("A", 60, "192.0.2.99")},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, 0)
			w.put(test.there...)
			written := false
			w.fake.Hook(func(r *http.Request) {
				if writes(r, test.typ) && !written {
					written = true
					w.put(test.write)
				}
			})
			if _, err := w.zone.Swap(t.Context(), test.change); !errors.Is(err, zone.ErrMoved) {
				t.Errorf("Swap returned %v, want ErrMoved", err)
			}
			w.holds(test.write)
		})
	}
}

// TestC18_OneSetIsOneRequest: a change within one record set is one conditional request, and is never refused for a gap.
func TestC18_OneSetIsOneRequest(t *testing.T) {
	w := newWorld(t, 0)
	for _, pair := range [][2]zone.RRset{
		{set("CNAME", 300, blue), set("CNAME", 60, green)},
	} {
		w.put(pair[0])
		w.fake.Requests()
		result, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(pair[0]), sets(pair[1])))
		if err != nil || result.Gap != 0 || result.Strength != zone.Weak {
			t.Fatalf("%+v, %v", result, err)
		}
		w.holds(pair[1])
		var wrote []string
		for _, r := range w.fake.Requests() {
			if !strings.HasPrefix(r, "GET") {
				wrote = append(wrote, r)
			}
		}
		if !slices.Equal(wrote, []string{"PUT CNAME/shop"}) {
			t.Errorf("it wrote %v", wrote)
		}
	}
}

// TestC18_TypesTogetherAreRefused: what takes several requests is refused where no gap is declared, and nothing is
// written; a change of TTLs alone is none of that.
func TestC18_TypesTogetherAreRefused(t *testing.T) {
	cname, a, aaaa := set("CNAME", 60, blue), set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1")
	for what, test := range map[string]struct{ from, to []zone.RRset }{
		"A to CNAME":         {sets(a), sets(cname)},
		"CNAME to A":         {sets(cname), sets(a)},
		"CNAME to both":      {sets(cname), sets(a, aaaa)},
		"both to both":       {sets(a, aaaa), sets(set("A", 60, "192.0.2.2"), set("AAAA", 60, "2001:db8::2"))},
		"both to another A":  {sets(a, aaaa), sets(set("A", 60, "192.0.2.2"))},
		"A to AAAA":          {sets(a), sets(aaaa)},
		"data and TTL apart": {sets(a, aaaa), sets(set("A", 30, "192.0.2.1"), set("AAAA", 30, "2001:db8::2"))},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, 0)
			w.put(test.from...)
			w.fake.Requests()
			_, err := w.zone.Swap(t.Context(), change(zone.Fence{}, test.from, test.to))
			var told *zone.Error
			if !errors.Is(err, zone.ErrInvalid) || !errors.As(err, &told) || !strings.Contains(told.Hint, "azureDNS.gap") {
				t.Errorf("Swap returned %v, want ErrInvalid and a mend", err)
			}
			w.holds(test.from...)
			for _, r := range w.fake.Requests() {
				if !strings.HasPrefix(r, "GET") {
					t.Errorf("it sent %s", r)
				}
			}
		})
	}
	w := newWorld(t, 0)
	w.put(a, aaaa)
	low := sets(set("A", 5, "192.0.2.1"), set("AAAA", 5, "2001:db8::1"))
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(a, aaaa), low)); err != nil {
		t.Errorf("a change of TTLs: %v", err)
	}
	w.holds(low...)
}

// TestC18_GapIsMeasured: the gap is as long as the name was without an answer at the API, on the driver's clock.
func TestC18_GapIsMeasured(t *testing.T) {
	a, aaaa, cname := set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1"), set("CNAME", 60, green)
	w := newWorld(t, time.Minute)
	w.put(a, aaaa)
	fence := w.claim("one", "")
	var empty, full time.Time
	w.fake.Hook(func(r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		all, err := w.fake.Sets()
		if err != nil {
			t.Error(err)
		}
		at := 0
		for _, s := range all {
			if s.Name == name {
				at++
			}
		}
		if at == 0 && empty.IsZero() {
			empty = w.watch.Now()
		}
		// Every request takes 3 s.
		if err := w.watch.Sleep(context.Background(), 3*time.Second); err != nil {
			t.Error(err)
		}
		full = w.watch.Now()
	})
	result, err := w.zone.Swap(t.Context(), change(fence, sets(a, aaaa), sets(cname)))
	if err != nil {
		t.Fatal(err)
	}
	w.holds(cname)
	// Three writes of the name; those of the fence's mark before and after are no part of it.
	if result.Gap != 9*time.Second {
		t.Errorf("the gap is said to be %s, and the three requests took 9s", result.Gap)
	}
	if really := full.Sub(empty); empty.IsZero() || result.Gap < really-3*time.Second {
		t.Errorf("the name was empty for up to %s, the result says %s", really, result.Gap)
	}
	// And back: the addresses come again.
	if result, err = w.zone.Swap(t.Context(), change(fence, sets(a, aaaa), sets(cname)).Reverse()); err != nil || result.Gap == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	w.holds(a, aaaa)
	if meta := w.fake.Metadata(fence.Name, "TXT"); meta["crossfadeUnderway"] != "" {
		t.Errorf("the fence still says that a change is under way: %v", meta)
	}
}

// TestC18_AddressesAlwaysAnswer: where no CNAME comes or goes, no order of requests leaves the name without an answer.
func TestC18_AddressesAlwaysAnswer(t *testing.T) {
	w := newWorld(t, time.Minute)
	from := sets(set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1"))
	to := sets(set("A", 60, "192.0.2.2"))
	w.put(from...)
	looks := 0
	w.fake.Hook(func(*http.Request) {
		looks++
		if got, err := w.fake.Query(context.Background(), name, "A"); err != nil || len(got.Data) == 0 {
			t.Errorf("the name has no address: %v, %v", got, err)
		}
	})
	for range 3 {
		for _, c := range []zone.Change{change(zone.Fence{}, from, to), change(zone.Fence{}, to, from)} {
			if _, err := w.zone.Swap(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	// From A to AAAA alone: the new one comes first.
	v4, v6 := set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1")
	w.fake.Hook(func(*http.Request) {
		all, err := w.fake.Sets()
		if err != nil || !slices.ContainsFunc(all, func(s zone.RRset) bool { return s.Name == name }) {
			t.Errorf("the name has no record: %v", err)
		}
	})
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, from, sets(v6))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(v6), sets(v4))); err != nil {
		t.Fatal(err)
	}
	if looks == 0 {
		t.Error("nobody looked")
	}
}

// TestC18_HalfAChangeIsFinishedOrTakenBack: a run is killed after each request of a change of type; another process goes
// on, or takes the fence over and goes back, also where the name is empty by then; and nothing but the one or the other
// stands there in the end.
func TestC18_HalfAChangeIsFinishedOrTakenBack(t *testing.T) {
	from := sets(set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1"))
	to := sets(set("CNAME", 60, green))
	for _, back := range []bool{false, true} {
		for _, there := range []bool{false, true} {
			for kill := 1; kill <= 5; kill++ {
				w := newWorld(t, time.Minute)
				old, want := from, to
				if there {
					old, want = to, from
				}
				w.put(old...)
				fence := w.claim("one", "")
				ctx, cancel := context.WithCancel(t.Context())
				left := kill
				w.fake.Refuse(func(r *http.Request) (int, string) {
					if r.Method != http.MethodGet {
						left--
					}
					if left < 0 {
						return http.StatusServiceUnavailable, "Killed" // nothing reaches Azure any more
					}
					return 0, ""
				})
				c := change(fence, old, want)
				_, err := w.zone.Swap(ctx, c)
				cancel()
				w.fake.Refuse(nil)
				if err != nil && !errors.Is(err, zone.ErrUncertain) {
					t.Fatalf("killed after %d: %v", kill, err)
				}
				if half, err := w.zone.Underway(t.Context(), c); err != nil || half != (kill < 5) {
					t.Errorf("killed after %d writes: under way %t, %v", kill, half, err)
				}
				if back {
					c, want = c.Reverse(), old
					c.Fence = w.claim("two", "one")
				}
				if _, err := w.driver(time.Minute).Swap(t.Context(), c); err != nil {
					t.Fatalf("killed after %d writes, back %t: %v", kill, back, err)
				}
				w.holds(want...)
				if meta := w.fake.Metadata(fence.Name, "TXT"); meta["crossfadeUnderway"] != "" {
					t.Errorf("killed after %d writes: the fence still says that a change is under way", kill)
				}
			}
		}
	}
}

// TestC18_HalfAStateOfOthersIsNotOurs: a name that somebody else has emptied is not taken for our own half of a change.
func TestC18_HalfAStateOfOthersIsNotOurs(t *testing.T) {
	w := newWorld(t, time.Minute)
	a := set("A", 60, "192.0.2.1")
	w.put(a, set("TXT", 60, `"keep"`))
	fence := w.claim("one", "")
	w.put(set("A", 60)) // an empty set, which answers nothing
	if _, err := w.zone.Swap(t.Context(), change(fence, sets(a), sets(set("AAAA", 60, "2001:db8::1")))); !errors.Is(err, zone.ErrMoved) {
		t.Errorf("Swap returned %v, want ErrMoved", err)
	}
}

// TestC18_RefusedHalfWayIsTakenBack: Azure takes the old records away and refuses the new one; the old ones come back.
func TestC18_RefusedHalfWayIsTakenBack(t *testing.T) {
	w := newWorld(t, time.Minute)
	a := set("A", 60, "192.0.2.1")
	w.put(a)
	fence := w.claim("one", "")
	w.fake.Refuse(func(r *http.Request) (int, string) {
		if writes(r, "CNAME") {
			return http.StatusConflict, "Conflict"
		}
		return 0, ""
	})
	result, err := w.zone.Swap(t.Context(), change(fence, sets(a), sets(set("CNAME", 60, green))))
	if !errors.Is(err, zone.ErrConflict) {
		t.Errorf("Swap returned %+v, %v, want ErrConflict", result, err)
	}
	w.holds(a)
	if meta := w.fake.Metadata(fence.Name, "TXT"); meta["crossfadeUnderway"] != "" {
		t.Error("the fence still says that a change is under way")
	}
}
