package cloudflare_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare/cloudflarefake"
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
	fake  *cloudflarefake.Server
	zone  *cloudflare.Driver
	watch *clock.Fake
	limit *cloudflare.Limits
}

func newWorld(t *testing.T) *world {
	t.Helper()
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	fake, err := cloudflarefake.New(apex, watch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	w := &world{T: t, fake: fake, watch: watch, limit: &cloudflare.Limits{}}
	w.zone = w.driver()
	return w
}

// driver is another writer of the same zone.
func (w *world) driver() *cloudflare.Driver {
	w.Helper()
	d, err := cloudflare.New(w.Context(), cloudflare.Options{Apex: apex, Token: cloudflarefake.Token, Endpoint: w.fake.URL, Clock: w.watch, Limits: w.limit})
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

func (w *world) swap(c zone.Change) zone.Result {
	w.Helper()
	result, err := w.zone.Swap(w.Context(), c)
	if err != nil {
		w.Fatalf("Swap: %v", err)
	}
	return result
}

// contents returns what the records of the name hold, sorted.
func (w *world) contents() []string {
	var out []string
	for _, r := range w.fake.At(name) {
		out = append(out, r.Type+" "+r.Content)
	}
	slices.Sort(out)
	return out
}

func (w *world) holds(want ...string) {
	w.Helper()
	if got := w.contents(); !slices.Equal(got, want) {
		w.Fatalf("the name holds %v, want %v", got, want)
	}
}

func set(typ string, ttl uint32, data ...string) zone.RRset {
	return zone.RRset{Name: name, Type: typ, TTL: ttl, Data: data}
}

func change(fence zone.Fence, from, to []zone.RRset) zone.Change {
	return zone.Change{Name: name, Old: from, New: to, Fence: fence}
}

func sets(s ...zone.RRset) []zone.RRset { return s }

func isBatch(r *http.Request) bool { return r.Method == http.MethodPost }

// The suite uses TTLs of a few seconds, which Cloudflare refuses: see TestShortTTLsAreRefusedWithAMend.
func TestCloudflareKeepsTheContract(t *testing.T) {
	w := newWorld(t)
	w.fake.MinTTL(2)
	zonetest.Run(t, zonetest.Target{Zone: w.zone, Query: w.fake.Query, Put: func(t *testing.T, sets ...zone.RRset) {
		t.Helper()
		if err := w.fake.Put(sets...); err != nil {
			t.Fatal(err)
		}
	}})
}

// TestC19_TheStrengthIsWeak: one transaction, whose propagation is not one.
func TestC19_TheStrengthIsWeak(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	if s := w.zone.Strength(); s != zone.Weak {
		t.Errorf("the zone is %s", s)
	}
	if r := w.swap(change(zone.Fence{}, sets(set("CNAME", 60, blue)), sets(set("CNAME", 60, green)))); r.Strength != zone.Weak {
		t.Errorf("the change is %s", r.Strength)
	}
}

// TestC19_RecordsKeepWhatTheyHave: under a fence a record keeps its ID; proxied, comment and tags stay in any case.
func TestC19_RecordsKeepWhatTheyHave(t *testing.T) {
	for _, proxied := range []bool{true, false} {
		for _, fenced := range []bool{true, false} {
			t.Run(fmt.Sprintf("proxied %t, fenced %t", proxied, fenced), func(t *testing.T) {
				w := newWorld(t)
				const ttl = 300
				sent := ttl
				if proxied {
					sent = 1
				}
				id := w.fake.Add(cloudflarefake.Record{
					Name: name, Type: "CNAME", Content: "blue.lb.test", TTL: sent, Proxied: proxied, Comment: "the shop", Tags: []string{"team:shop"},
				})
				var fence zone.Fence
				if fenced {
					fence = w.claim("one", "")
				}
				w.swap(change(fence, sets(set("CNAME", ttl, blue)), sets(set("CNAME", ttl, green))))
				w.swap(change(fence, sets(set("CNAME", ttl, green)), sets(set("CNAME", ttl, "other.lb.test."))))
				got := w.fake.At(name)
				if len(got) != 1 {
					t.Fatalf("the name has %v", got)
				}
				if fenced && got[0].ID != id {
					t.Errorf("the record has another ID")
				}
				got[0].ID = id
				want := cloudflarefake.Record{
					ID: id, Name: "shop.apps.test", Type: "CNAME", Content: "other.lb.test", TTL: sent, Proxied: proxied, Comment: "the shop", Tags: []string{"team:shop"},
				}
				if fmt.Sprint(got[0]) != fmt.Sprint(want) {
					t.Errorf("the record is %v, want %v", got[0], want)
				}
			})
		}
	}
	// Over a change of type too: what was proxied stays so.
	w := newWorld(t)
	w.fake.Add(cloudflarefake.Record{Name: name, Type: "A", Content: "192.0.2.1", TTL: 1, Proxied: true, Comment: "the shop"})
	w.swap(change(zone.Fence{}, sets(set("A", 300, "192.0.2.1")), sets(set("CNAME", 300, green))))
	if got := w.fake.At(name); len(got) != 1 || !got[0].Proxied || got[0].Comment != "the shop" {
		t.Errorf("after a change of type: %v", got)
	}
}

// TestC19_ProxiedNamesAreSaid: the DNS shows the same before and after, so that nobody may take it for a proof; the driver
// says that it is so, reads the change back at the API, and refuses a TTL that such a record cannot have.
func TestC19_ProxiedNamesAreSaid(t *testing.T) {
	w := newWorld(t)
	w.fake.Add(cloudflarefake.Record{Name: name, Type: "A", Content: "192.0.2.1", TTL: 1, Proxied: true})
	w.put(zone.RRset{Name: "plain.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}})
	for at, want := range map[string]bool{name: true, "plain.apps.test.": false, "none.apps.test.": false} {
		if got, err := w.zone.Proxied(t.Context(), at); err != nil || got != want {
			t.Errorf("%s is proxied: %t, %v", at, got, err)
		}
	}
	before, err := w.fake.Query(t.Context(), name, "A")
	if err != nil {
		t.Fatal(err)
	}
	result := w.swap(change(zone.Fence{}, sets(set("A", 300, "192.0.2.1")), sets(set("A", 300, "192.0.2.2"))))
	if len(result.After) != 1 || result.After[0].Data[0] != "192.0.2.2" {
		t.Errorf("read back: %v", result.After)
	}
	after, err := w.fake.Query(t.Context(), name, "A")
	if err != nil || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the DNS shows %v, then %v, %v", before, after, err)
	}
	w.holds("A 192.0.2.2")
	_, err = w.zone.Swap(t.Context(), change(zone.Fence{}, sets(set("A", 300, "192.0.2.2")), sets(set("A", 60, "192.0.2.2"))))
	if !errors.Is(err, zone.ErrInvalid) {
		t.Errorf("a TTL for a proxied record: %v", err)
	}
}

// TestC19_OneChangeIsOneBatch: also across types; and where a part of it cannot be made, none of it is.
func TestC19_OneChangeIsOneBatch(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	fence := w.claim("one", "")
	before := w.fake.Batches()
	both := sets(set("A", 60, "192.0.2.1", "192.0.2.2"), set("AAAA", 60, "2001:db8::1"))
	w.swap(change(fence, sets(set("CNAME", 60, blue)), both))
	w.holds("A 192.0.2.1", "A 192.0.2.2", "AAAA 2001:db8::1")
	w.swap(change(fence, both, sets(set("CNAME", 60, green))))
	w.holds("CNAME green.lb.test")
	if n := w.fake.Batches() - before; n != 2 {
		t.Errorf("two changes were %d transactions", n)
	}
	// An A appears just before: Cloudflare takes no CNAME beside it, and the rest of the batch is not made either.
	v4, v6 := set("A", 60, "192.0.2.1"), set("AAAA", 60, "2001:db8::1")
	w = newWorld(t)
	w.put(v6)
	raced := false
	w.fake.Hook(func(r *http.Request) {
		if isBatch(r) && !raced {
			raced = true
			w.put(v4)
		}
	})
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(v6), sets(set("CNAME", 60, green)))); !errors.Is(err, zone.ErrConflict) {
		t.Errorf("Swap returned %v, want ErrConflict", err)
	}
	w.holds("A 192.0.2.1", "AAAA 2001:db8::1")
}

// TestAutomaticTTLsAre300: what the API calls 1 is 300 s to a cache; lowered and restored, and left automatic where
// nothing is said of it.
func TestAutomaticTTLsAre300(t *testing.T) {
	w := newWorld(t)
	w.fake.Add(cloudflarefake.Record{Name: name, Type: "CNAME", Content: "blue.lb.test", TTL: 1})
	got, err := w.zone.Lookup(t.Context(), name, "CNAME")
	if err != nil || got.TTL != 300 {
		t.Fatalf("Lookup gave %v, %v", got, err)
	}
	fence := w.claim("one", "")
	w.swap(change(fence, sets(got), sets(set("CNAME", 300, green))))
	if r := w.fake.At(name)[0]; r.TTL != 1 {
		t.Errorf("an automatic TTL became %d", r.TTL)
	}
	w.swap(change(fence, sets(set("CNAME", 300, green)), sets(set("CNAME", 60, green))))
	w.swap(change(fence, sets(set("CNAME", 60, green)), sets(set("CNAME", 300, green))))
	if r := w.fake.At(name)[0]; r.TTL != 300 {
		t.Errorf("restored, the TTL is %d", r.TTL)
	}
	_, err = w.zone.Swap(t.Context(), change(fence, sets(set("CNAME", 300, green)), sets(set("CNAME", 1, green))))
	if !errors.Is(err, zone.ErrInvalid) {
		t.Errorf("a TTL of 1, which would be 300: %v", err)
	}
}

func TestShortTTLsAreRefusedWithAMend(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 300, blue))
	_, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(set("CNAME", 300, blue)), sets(set("CNAME", 5, blue))))
	var told *zone.Error
	if !errors.Is(err, zone.ErrInvalid) || !errors.As(err, &told) || !strings.Contains(told.Hint, "cutover.ttl") {
		t.Errorf("Swap returned %v", err)
	}
	w.holds("CNAME blue.lb.test")
}

// TestCompanyOfAnAliasStays: Cloudflare lets other types stand beside a CNAME; an exchange of the CNAME is no conflict.
func TestCompanyOfAnAliasStays(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue), set("TXT", 60, `"v=spf1 -all"`), set("MX", 60, "10 mx.test."))
	w.swap(change(zone.Fence{}, sets(set("CNAME", 60, blue)), sets(set("CNAME", 60, green))))
	w.holds("CNAME green.lb.test", "MX mx.test", `TXT "v=spf1 -all"`)
}

// TestListIsWhole: all pages; a zone that changes while it is read is read again, and never a part of it is returned (C11).
func TestListIsWhole(t *testing.T) {
	w := newWorld(t)
	for i := range 2300 {
		w.fake.Add(cloudflarefake.Record{Name: fmt.Sprintf("n%04d.apps.test.", i), Type: "A", Content: "192.0.2.1", TTL: 60})
	}
	w.put(set("MX", 60, "10 mx.test."), set("SRV", 60, "1 2 443 srv.test."), set("CAA", 60, `0 issue "ca.test"`), set("TXT", 60, `"a" "b"`))
	w.fake.Add(cloudflarefake.Record{Name: name, Type: "TXT", Content: "without quotes", TTL: 60})
	all, err := w.zone.List(t.Context())
	if err != nil || len(all) != 2304 {
		t.Fatalf("%d sets, %v, want 2304", len(all), err)
	}
	i := slices.IndexFunc(all, func(s zone.RRset) bool { return s.Name == name && s.Type == "TXT" })
	if got := fmt.Sprint(all[i].Data); got != `["a" "b" "without quotes"]` {
		t.Errorf("TXT is %s", got)
	}
	for what, times := range map[string]int{"once": 1, "always": 1 << 20} {
		changed := 0
		w.fake.Hook(func(r *http.Request) {
			if r.URL.Query().Get("page") == "2" && changed < times {
				changed++
				w.fake.Add(cloudflarefake.Record{Name: fmt.Sprintf("%s%d.apps.test.", what, changed), Type: "A", Content: "192.0.2.1", TTL: 60})
			}
		})
		all, err := w.zone.List(t.Context())
		switch {
		case times == 1 && (err != nil || !slices.ContainsFunc(all, func(s zone.RRset) bool { return s.Name == "once1.apps.test." })):
			t.Errorf("changed once: %d sets, %v", len(all), err)
		case times > 1 && (err == nil || all != nil):
			t.Errorf("changed all the time: %d sets, %v", len(all), err)
		}
	}
}

// TestTheLimitIsKept: no run of this driver is ever answered with 429, and where others have used the limit up, the block
// is waited out.
func TestTheLimitIsKept(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	throttled := 0
	began := w.watch.Now()
	for range 1600 {
		if _, err := w.zone.Lookup(t.Context(), name, "CNAME"); err != nil {
			t.Fatal(err)
		}
	}
	for _, slept := range w.watch.Slept() {
		if slept >= time.Minute {
			throttled++
		}
	}
	if throttled > 0 {
		t.Errorf("it was blocked %d times", throttled)
	}
	if took := w.watch.Now().Sub(began); took < 5*time.Minute {
		t.Errorf("1600 requests took %s: more than 1200 in 5 min", took)
	}
	w.fake.Spend(1300)
	at := w.watch.Now()
	if _, err := w.zone.Lookup(t.Context(), name, "CNAME"); err != nil {
		t.Fatal(err)
	}
	if waited := w.watch.Now().Sub(at); waited < 4*time.Minute {
		t.Errorf("it waited %s while the user was blocked", waited)
	}
}

func TestCloudflareRefusalsAreTold(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	for what, test := range map[string]struct {
		options cloudflare.Options
		zones   int
		want    string
	}{
		"another token":     {cloudflare.Options{Token: "wrong"}, 1, "DNS Write"},
		"another zone ID":   {cloudflare.Options{Token: cloudflarefake.Token, ZoneID: "none"}, 1, "cloudflare.zoneID"},
		"no zone to see":    {cloudflare.Options{Token: cloudflarefake.Token}, 0, "sees 0 zones"},
		"two of one name":   {cloudflare.Options{Token: cloudflarefake.Token}, 2, "sees 2 zones"},
		"a zone ID of many": {cloudflare.Options{Token: cloudflarefake.Token, ZoneID: cloudflarefake.ZoneID}, 2, ""},
	} {
		w.fake.Zones(test.zones)
		test.options.Apex, test.options.Endpoint, test.options.Clock = apex, w.fake.URL, w.watch
		d, err := cloudflare.New(t.Context(), test.options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Lookup(t.Context(), name, "CNAME")
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
		if errors.Is(err, zone.ErrNotExist) {
			t.Errorf("%s counts as a missing record", what)
		}
	}
	for _, o := range []cloudflare.Options{{Apex: apex}, {Apex: "a..b", Token: "t"}, {Apex: apex, Token: "two words"}, {Apex: apex, Token: "t", Endpoint: "no url"}} {
		if _, err := cloudflare.New(t.Context(), o); err == nil {
			t.Errorf("New took %+v", o)
		}
	}
}
