package azuredns_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns/azurednsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

// TestC18_TheFenceIsOneWithTheRecord: the fence is taken over just before each request of a stale writer in turn, also the one
// that writes. It is always refused, and the name stays as it is. A fence that is only read before the change lets the last
// one through; one that is read before the record lets through what comes in between.
func TestC18_TheFenceIsOneWithTheRecord(t *testing.T) {
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	for before, wrote := 1, false; !wrote; before++ {
		w := newWorld(t, 0)
		w.put(from)
		stale := w.claim("stale", "")
		request := 0
		w.fake.Hook(func(r *http.Request) {
			if request++; request == before {
				wrote = writes(r, "CNAME")
				w.fake.Hook(nil)
				w.claim("present", "stale")
			}
		})
		_, err := w.zone.Swap(t.Context(), change(stale, sets(from), sets(to)))
		var fenced *zone.FencedError
		if !errors.As(err, &fenced) || fenced.Found != "present" {
			t.Errorf("taken over before request %d: Swap returned %v, want a FencedError that found the new owner", before, err)
		}
		w.holds(from)
		if before > 20 {
			t.Fatal("the stale writer never came to write")
		}
	}
}

// TestC18_MetadataOfOthersIsKept: through claim, swap, take-over and release, and nothing of ours is left behind.
func TestC18_MetadataOfOthersIsKept(t *testing.T) {
	w := newWorld(t, 0)
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	w.put(from)
	if err := w.fake.Annotate(name, "CNAME", "owner", "the shop's team"); err != nil {
		t.Fatal(err)
	}
	w.claim("one", "")
	fence := w.claim("two", "one")
	if got := w.fake.Metadata(name, "CNAME"); got["owner"] != "the shop's team" || got["crossfadeFence"] != "two" {
		t.Errorf("after the claims: %v", got)
	}
	if _, err := w.zone.Swap(t.Context(), change(fence, sets(from), sets(to))); err != nil {
		t.Fatal(err)
	}
	w.holds(to)
	if got := w.fake.Metadata(name, "CNAME"); got["owner"] != "the shop's team" || got["crossfadeFence"] != "two" {
		t.Errorf("after the swap: %v", got)
	}
	if err := w.zone.Release(t.Context(), fence); err != nil {
		t.Fatal(err)
	}
	if got := w.fake.Metadata(name, "CNAME"); !maps.Equal(got, map[string]string{"owner": "the shop's team"}) {
		t.Errorf("after the release: %v", got)
	}
	all, err := w.fake.Sets()
	if err != nil || len(all) != 3 {
		t.Errorf("the zone holds %v, %v", all, err)
	}
}

// TestC18_RacingWriters: writers take the fence over from one another and swap; no change of a writer that has lost its
// fence is made after the claim of the next one, and others' records stay.
func TestC18_RacingWriters(t *testing.T) {
	const writers, rounds = 6, 6
	w := newWorld(t, 0)
	w.put(set("CNAME", 60, blue), zone.RRset{Name: "mail.apps.test.", Type: "MX", TTL: 60, Data: []string{"10 mx.test."}})
	at, err := zone.FenceName(name, apex)
	if err != nil {
		t.Fatal(err)
	}
	first := w.claim("token-0", "")
	latest := make(chan string, 1) // the token of the writer whose claim came last
	latest <- first.Token
	var group errgroup.Group
	for i := range writers {
		d := w.driver(0)
		group.Go(func() error {
			for round := range rounds {
				mine := zone.Fence{Name: at, Token: fmt.Sprintf("token-%d-%d", i, round)}
				previous := <-latest
				err := d.Claim(t.Context(), name, mine, previous)
				latest <- mine.Token
				if err != nil {
					return fmt.Errorf("claim from %s: %w", previous, err)
				}
				now, err := d.Lookup(t.Context(), name, "CNAME")
				if err != nil {
					return err
				}
				to := set("CNAME", 60, strings.ReplaceAll(mine.Token, "token", "w")+".lb.test.")
				_, err = d.Swap(t.Context(), change(mine, sets(now), sets(to)))
				// Whether it was still the owner shows only who came next: it may win, or be told.
				if err != nil && !errors.Is(err, zone.ErrFenced) && !errors.Is(err, zone.ErrMoved) {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// The last owner can still change the name, and nobody else.
	last := zone.Fence{Name: at, Token: <-latest}
	now, err := w.zone.Lookup(t.Context(), name, "CNAME")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.zone.Swap(t.Context(), change(first, sets(now), sets(set("CNAME", 60, blue)))); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("the first owner got %v", err)
	}
	if _, err := w.zone.Swap(t.Context(), change(last, sets(now), sets(set("CNAME", 60, green)))); err != nil {
		t.Errorf("the last owner got %v", err)
	}
	w.holds(set("CNAME", 60, green))
	if got, err := w.fake.Query(t.Context(), "mail.apps.test.", "MX"); err != nil || got.Data[0] != "10 mx.test." {
		t.Errorf("another's record: %v, %v", got, err)
	}
}

// TestC18_NoUpdateIsLost: each writer replaces what it read by a record of its own. Every change that was made replaced
// another one's New, and no New was replaced twice: so nobody was overwritten who was not read.
func TestC18_NoUpdateIsLost(t *testing.T) {
	for _, fenced := range []bool{true, false} {
		w := newWorld(t, 0)
		w.put(set("CNAME", 60, blue))
		race := zonetest.ChainRace{Name: name, From: blue, Each: 6}
		if fenced {
			race.Fence = w.claim("one", "")
		}
		for range 8 {
			race.Writers = append(race.Writers, w.driver(0))
		}
		w.holds(set("CNAME", 60, race.Run(t)))
	}
}

// TestC04_LostRepliesAreReadBack: a request is carried out and its answer never comes.
func TestC04_LostRepliesAreReadBack(t *testing.T) {
	for _, typ := range []string{"CNAME", "TXT"} {
		w := newWorld(t, 0)
		from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
		w.put(from)
		lost := 0
		w.fake.Lose(func(r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/"+typ+"/") && lost < 1 {
				lost++
				return true
			}
			return false
		})
		fence := w.claim("one", "")
		result, err := w.zone.Swap(t.Context(), change(fence, sets(from), sets(to)))
		if err != nil || !result.Applied || lost != 1 {
			t.Errorf("%s: %+v, %v, %d lost", typ, result, err, lost)
		}
		w.holds(to)
		if err := w.zone.Release(t.Context(), fence); err != nil {
			t.Error(err)
		}
	}
	// The swap's own.
	w := newWorld(t, 0)
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	w.put(from)
	w.fake.Lose(func(r *http.Request) bool { return writes(r, "CNAME") })
	result, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(from), sets(to)))
	if err != nil || !result.Recovered || result.Attempts != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	// Nothing can be read any more: nobody knows.
	wrote := false
	w.fake.Refuse(func(r *http.Request) (int, string) {
		wrote = wrote || writes(r, "CNAME")
		if wrote && r.Method == http.MethodGet {
			return http.StatusInternalServerError, "InternalServerError"
		}
		return 0, ""
	})
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(to), sets(from))); !errors.Is(err, zone.ErrUncertain) {
		t.Errorf("got %v, want ErrUncertain", err)
	}
}

func TestThrottlingIsObeyed(t *testing.T) {
	w := newWorld(t, 0)
	w.put(set("CNAME", 60, blue))
	w.fake.Throttle(3, 20*time.Second)
	if _, err := w.zone.Lookup(t.Context(), name, "CNAME"); err != nil {
		t.Fatal(err)
	}
	slept := w.watch.Slept()
	if len(slept) != 3 || slept[0] != 20*time.Second {
		t.Errorf("it slept %v, want 20s three times", slept)
	}
}

// TestListIsWhole: all pages, aliases by what they follow, and an error where one page fails (C11).
func TestListIsWhole(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 23 {
		w.put(zone.RRset{Name: fmt.Sprintf("n%02d.apps.test.", i), Type: "A", TTL: 60, Data: []string{"192.0.2.1"}})
	}
	w.fake.Follow("alias.apps.test.", "A", "/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/dnszones/apps.test/A/n00")
	w.fake.PageSize(5)
	all, err := w.zone.List(t.Context())
	if err != nil || len(all) != 26 {
		t.Fatalf("%d sets, %v, want 23, SOA, NS and an alias", len(all), err)
	}
	if all[0].Name != "alias.apps.test." || all[0].Type != "ALIAS" || all[0].Data[0] != "n00.apps.test." {
		t.Errorf("the alias is %v", all[0])
	}
	pages := 0
	w.fake.Refuse(func(*http.Request) (int, string) {
		if pages++; pages == 3 {
			return http.StatusInternalServerError, "InternalServerError"
		}
		return 0, ""
	})
	if all, err = w.zone.List(t.Context()); err == nil || all != nil {
		t.Errorf("a listing that broke off gave %d sets, %v", len(all), err)
	}
}

// TestAliasSetsAreNotSwapped: what Azure computes from a resource is refused, with its mend, and kept.
func TestAliasSetsAreNotSwapped(t *testing.T) {
	w := newWorld(t, 0)
	w.fake.Follow(name, "A", "/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/publicIPAddresses/ip")
	if _, err := w.zone.Lookup(t.Context(), name, "A"); !errors.Is(err, zone.ErrInvalid) {
		t.Errorf("Lookup returned %v", err)
	}
	c := change(zone.Fence{}, sets(set("A", 60, "192.0.2.1")), sets(set("A", 60, "192.0.2.2")))
	if _, err := w.zone.Swap(t.Context(), c); !errors.Is(err, zone.ErrInvalid) {
		t.Errorf("Swap returned %v", err)
	}
}

// TestAzureRefusalsAreTold: each kind of refusal has its sentinel, and a zone that is not there is no missing record (I8).
func TestAzureRefusalsAreTold(t *testing.T) {
	w := newWorld(t, 0)
	w.put(set("CNAME", 60, blue))
	c := change(zone.Fence{}, sets(set("CNAME", 60, blue)), sets(set("CNAME", 60, green)))
	w.fake.Refuse(func(r *http.Request) (int, string) {
		if writes(r, "CNAME") {
			return http.StatusForbidden, "AuthorizationFailed"
		}
		return 0, ""
	})
	if _, err := w.zone.Swap(t.Context(), c); !errors.Is(err, zone.ErrDenied) || !strings.Contains(err.Error(), "DNS Zone Contributor") {
		t.Errorf("without the role: %v", err)
	}
	w.fake.Refuse(nil)
	w.fake.Lock()
	if _, err := w.zone.Swap(t.Context(), c); !errors.Is(err, zone.ErrDenied) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("with a lock: %v", err)
	}
	w.holds(set("CNAME", 60, blue))
	for _, o := range []azuredns.Options{
		{Apex: "other.test.", Subscription: azurednsfake.Subscription, ResourceGroup: azurednsfake.ResourceGroup},
		{Apex: apex, Subscription: azurednsfake.Subscription, ResourceGroup: "none"},
	} {
		o.Endpoint, o.Credential, o.Transport = w.fake.URL, w.fake.Credential(), w.fake.Transport()
		d, err := azuredns.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lookup(t.Context(), "shop."+o.Apex, "CNAME"); err == nil || errors.Is(err, zone.ErrNotExist) {
			t.Errorf("%s in %s: %v", o.Apex, o.ResourceGroup, err)
		}
	}
	for _, o := range []azuredns.Options{
		{Apex: apex}, {Apex: "a..b", Subscription: "s", ResourceGroup: "g"}, {Apex: apex, Subscription: "s", ResourceGroup: "g", Tenant: "t"},
		{Apex: apex, Subscription: "s", ResourceGroup: "g", Endpoint: "no url"},
	} {
		if _, err := azuredns.New(t.Context(), o); err == nil {
			t.Errorf("New took %+v", o)
		}
	}
}

// TestProbeFindsOut: a zone that looks at no etag is found out, nothing is left of it, and one without rights too.
func TestProbeFindsOut(t *testing.T) {
	w := newWorld(t, 0)
	w.put(set("CNAME", 60, blue))
	before, err := w.fake.Sets()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.zone.Probe(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w.fake.Refuse(func(r *http.Request) (int, string) {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/CNAME/") {
			return http.StatusForbidden, "AuthorizationFailed"
		}
		return 0, ""
	})
	if err := w.zone.Probe(t.Context(), name); !errors.Is(err, zone.ErrDenied) {
		t.Errorf("without the right to delete: %v", err)
	}
	w.fake.Refuse(nil)
	w.fake.IgnoreConditions()
	if err := w.zone.Probe(t.Context(), name); !errors.Is(err, zone.ErrConditionsIgnored) {
		t.Errorf("without conditions: %v", err)
	}
	after, err := w.fake.Sets()
	if err != nil || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the probes changed the zone from %v to %v, %v", before, after, err)
	}
}

func TestNewSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := azuredns.New(ctx, azuredns.Options{Apex: apex, Subscription: "s", ResourceGroup: "g"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}
