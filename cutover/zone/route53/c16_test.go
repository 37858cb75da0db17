package route53_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/route53"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
)

// fenced gives the name a fence of ours and returns the change under it.
func fenced(t *testing.T, d *route53.Driver) zone.Change {
	t.Helper()
	c := toGreen()
	c.Fence = zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "mine"}
	if err := d.Claim(t.Context(), c.Name, c.Fence, ""); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestC16_OneBatchDeletesTheOldAndCreatesTheNew: removals first, the fence in the same batch, no UPSERT.
func TestC16_OneBatchDeletesTheOldAndCreatesTheNew(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	if _, err := d.Swap(t.Context(), fenced(t, d)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CREATE _crossfade-shop.apps.test. TXT",
		"DELETE shop.apps.test. CNAME, DELETE _crossfade-shop.apps.test. TXT, CREATE shop.apps.test. CNAME, CREATE _crossfade-shop.apps.test. TXT",
	}
	if got := w.actions(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	swap := w.Batches()[1]
	if gone := swap[0].Set; *gone.TTL != 60 || gone.Values()[0] != blue {
		t.Errorf("the old set was deleted as %+v", gone)
	}
	if *swap[1].Set.TTL == *swap[3].Set.TTL || swap[1].Set.Values()[0] != `"mine"` || swap[3].Set.Values()[0] != `"mine"` {
		t.Errorf("the fence's part changes nothing: %+v, %+v", swap[1].Set, swap[3].Set)
	}
}

// TestC16_TheFenceIsInTheBatch: a take-over between reading and changing is refused by the batch itself.
func TestC16_TheFenceIsInTheBatch(t *testing.T) {
	var w *world
	var armed bool
	w = start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if armed && op == "POST hostedzone rrset" {
				armed = false
				w.put(zone.RRset{Name: "_crossfade-shop.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"theirs"`}})
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := fenced(t, d)
	armed = true
	_, err := d.Swap(t.Context(), c)
	var lost *zone.FencedError
	if !errors.As(err, &lost) || lost.Found != "theirs" {
		t.Fatalf("got %v, want a FencedError that found theirs", err)
	}
	if set, _ := w.Served(zoneID, c.Name, "CNAME"); set.Values()[0] != blue {
		t.Errorf("the name holds %v", set.Values())
	}
}

// TestC16_WhatMovedMeanwhileIsNotOverwritten: another's change between reading and changing is told by its own error.
func TestC16_WhatMovedMeanwhileIsNotOverwritten(t *testing.T) {
	for name, test := range map[string]struct {
		change zone.Change
		other  zone.RRset
		want   error
	}{
		"another target": {toGreen(), cname("other.lb.test.", 60), zone.ErrMoved},
		"another TTL":    {toGreen(), cname(blue, 61), zone.ErrMoved},
		"another type": {
			zone.Change{Name: "new.apps.test.", New: []zone.RRset{{Name: "new.apps.test.", Type: "CNAME", TTL: 60, Data: []string{green}}}},
			zone.RRset{Name: "new.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}, zone.ErrConflict,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			w = start(t, func(o *route53fake.Options) {
				o.Fault = func(op string, n int) route53fake.Fault {
					if op == "POST hostedzone rrset" && n == 0 {
						w.put(test.other)
					}
					return route53fake.None
				}
			})
			w.put(cname(blue, 60))
			if _, err := w.driver(t, nil).Swap(t.Context(), test.change); !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if set, _ := w.Served(zoneID, test.other.Name, test.other.Type); !slices.Equal(set.Values(), test.other.Data) || len(w.Batches()) > 0 {
				t.Errorf("the name holds %v after %v", set.Values(), w.actions())
			}
		})
	}
}

// TestC16_SuccessWaitsForINSYNC: while the change is PENDING the servers give the old answer, and Swap has not returned.
func TestC16_SuccessWaitsForINSYNC(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	began := w.clock.Now()
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err != nil {
		t.Fatal(err)
	}
	if set, _ := w.Served(zoneID, "shop.apps.test.", "CNAME"); set.Values()[0] != green {
		t.Errorf("Swap returned and the servers show %v", set.Values())
	}
	if took := w.clock.Now().Sub(began); took < 35*time.Second || took > time.Minute {
		t.Errorf("it took %s", took)
	}
	// One that never becomes INSYNC is not success, and it is said that it was accepted.
	w = start(t, func(o *route53fake.Options) { o.Spread = time.Hour })
	w.put(cname(blue, 60))
	_, err := w.driver(t, nil).Swap(t.Context(), toGreen())
	if !errors.Is(err, zone.ErrUncertain) || !strings.Contains(err.Error(), "accepted as C000001") {
		t.Errorf("got %v", err)
	}
	// Asking again finds it made, and sends nothing.
	if r, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err != nil || r.Applied || len(w.Batches()) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestC16_FiveRequestsASecondForAllZones: drivers of one account share its rate, and none is turned away.
func TestC16_FiveRequestsASecondForAllZones(t *testing.T) {
	w := start(t, func(o *route53fake.Options) { o.Rate = 5; o.Spread = 0 })
	w.AddZone("Z0OTHER", "other.test.", false)
	w.put(cname(blue, 60))
	limits := new(route53.Limits)
	share := func(o *route53.Options) { o.Limits = limits }
	one := w.driver(t, share)
	two := w.driver(t, func(o *route53.Options) { share(o); o.Apex, o.HostedZone = "other.test.", "Z0OTHER" })
	began := w.clock.Now()
	const asked = 30
	for range asked / 2 {
		for _, d := range []*route53.Driver{one, two} {
			if _, err := d.Lookup(t.Context(), "shop."+d.Apex(), "CNAME"); err != nil && !errors.Is(err, zone.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	if n := w.TurnedAway(); n > 0 {
		t.Errorf("%d requests were turned away", n)
	}
	if took, least := w.clock.Now().Sub(began), (asked-1)*time.Second/5; took < least {
		t.Errorf("%d requests took %s, want at least %s", asked, took, least)
	}
}

// TestC16_BeingTurnedAwayIsObeyed: Throttling and PriorRequestNotComplete are waited out, and the change is made once.
func TestC16_BeingTurnedAwayIsObeyed(t *testing.T) {
	for name, fault := range map[string]route53fake.Fault{"Throttling": route53fake.Throttle, "PriorRequestNotComplete": route53fake.Prior} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(o *route53fake.Options) {
				o.Fault = func(_ string, n int) route53fake.Fault {
					if n%3 < 2 {
						return fault
					}
					return route53fake.None
				}
			})
			w.put(cname(blue, 60))
			began := w.clock.Now()
			r, err := w.driver(t, nil).Swap(t.Context(), toGreen())
			if err != nil || !r.Applied || r.Attempts != 1 || len(w.Batches()) != 1 {
				t.Fatalf("got %+v, %v after %v", r, err, w.actions())
			}
			if took := w.clock.Now().Sub(began); took < 43*time.Second {
				t.Errorf("with a pause of a second for each refusal it took only %s", took)
			}
		})
	}
	// For ever: said so, and nothing was changed.
	w := start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if op == "POST hostedzone rrset" {
				return route53fake.Prior
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err == nil || errors.Is(err, zone.ErrUncertain) || !strings.Contains(err.Error(), "five requests a second") {
		t.Errorf("got %v", err)
	}
}

// TestC16_LostAnswersAreReadBack: a change whose answer never came is found out about before it is sent again (C4).
func TestC16_LostAnswersAreReadBack(t *testing.T) {
	for name, test := range map[string]struct {
		fault     route53fake.Fault
		times     int
		recovered bool
		attempts  int
	}{
		"after it was made":  {route53fake.LoseReply, 1, true, 1},
		"before it was made": {route53fake.LoseIt, 1, false, 2},
		"a failure":          {route53fake.Fail, 2, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(o *route53fake.Options) {
				o.Fault = func(op string, n int) route53fake.Fault {
					if op == "POST hostedzone rrset" && n < test.times {
						return test.fault
					}
					return route53fake.None
				}
			})
			w.put(cname(blue, 60))
			r, err := w.driver(t, nil).Swap(t.Context(), toGreen())
			if err != nil || !r.Applied || r.Recovered != test.recovered || r.Attempts != test.attempts || len(w.Batches()) != 1 {
				t.Errorf("got %+v, %v after %v", r, err, w.actions())
			}
		})
	}
	w := start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if op == "POST hostedzone rrset" {
				return route53fake.LoseIt
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	if r, err := w.driver(t, nil).Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrUncertain) || r.Attempts != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestC16_PoliciesAndAliasesAreKept: sets with a routing policy or an alias stay as they are, byte for byte, and a name that holds
// one is not swapped.
func TestC16_PoliciesAndAliasesAreKept(t *testing.T) {
	w := start(t, nil)
	ttl, heavy, light := int64(60), int64(90), int64(10)
	values := route53fake.Records("192.0.2.1")
	special := []route53fake.RecordSet{
		{Name: "weighted.apps.test.", Type: "A", SetIdentifier: "blue", Weight: &heavy, TTL: &ttl, Records: values},
		{Name: "weighted.apps.test.", Type: "A", SetIdentifier: "green", Weight: &light, TTL: &ttl, Records: values},
		{Name: "latency.apps.test.", Type: "A", SetIdentifier: "eu", Region: "eu-west-1", TTL: &ttl, Records: values},
		{Name: "failover.apps.test.", Type: "A", SetIdentifier: "first", Failover: "PRIMARY", HealthCheckID: "h-1", TTL: &ttl, Records: values},
		{Name: "alias.apps.test.", Type: "A", Alias: &route53fake.Alias{HostedZoneID: "ZELB", DNSName: "dualstack.blue.elb.test.", Evaluate: true}},
		{Name: "alias.apps.test.", Type: "AAAA", Alias: &route53fake.Alias{HostedZoneID: "ZELB", DNSName: "dualstack.blue.elb.test."}},
	}
	w.Put(zoneID, special...)
	w.put(cname(blue, 60), zone.RRset{Name: "alias.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"there"`}})
	before := fmt.Sprint(w.Sets(zoneID))
	d := w.driver(t, nil)
	for _, name := range []string{"weighted", "latency", "failover", "alias"} {
		at := name + ".apps.test."
		if set, err := d.Lookup(t.Context(), at, "A"); errors.Is(err, zone.ErrNotExist) || !errors.Is(err, zone.ErrInvalid) {
			t.Errorf("Lookup of %s gives %v, %v", at, set, err)
		}
		a := zone.RRset{Name: at, Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
		to := zone.RRset{Name: at, Type: "A", TTL: 60, Data: []string{"192.0.2.2"}}
		alias := zone.RRset{Name: at, Type: "CNAME", TTL: 60, Data: []string{green}}
		for what, c := range map[string]zone.Change{
			"as if it were plain": {Name: at, Old: []zone.RRset{a}, New: []zone.RRset{to}}, "to a CNAME": {Name: at, Old: []zone.RRset{a}, New: []zone.RRset{alias}},
			"beside it": {Name: at, New: []zone.RRset{alias}}, "away": {Name: at, Old: []zone.RRset{a}, Remove: true},
		} {
			if _, err := d.Swap(t.Context(), c); !errors.Is(err, zone.ErrConflict) || !strings.Contains(err.Error(), "left as it is") {
				t.Errorf("%s, %s: got %v", name, what, err)
			}
		}
	}
	if after := fmt.Sprint(w.Sets(zoneID)); after != before || len(w.Batches()) > 0 {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	// Another name in the zone is swapped, and another type beside an alias.
	if _, err := d.Swap(t.Context(), toGreen()); err != nil {
		t.Error(err)
	}
	there := zone.RRset{Name: "alias.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"there"`}}
	if _, err := d.Swap(t.Context(), zone.Change{Name: there.Name, Old: []zone.RRset{there}, Remove: true}); err != nil {
		t.Error(err)
	}
	// Each leads somewhere, and a listing says where.
	sets, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, set := range sets {
		found[set.Type+" "+set.Name+" "+strings.Join(set.Data, ",")]++
	}
	if found["A weighted.apps.test. 192.0.2.1"] != 2 || found["ALIAS alias.apps.test. dualstack.blue.elb.test.,blue.elb.test."] != 2 {
		t.Errorf("the listing has %v", found)
	}
}

// TestC16_PublicAndPrivateZonesOfOneName: found by the name where that is enough, else only by the ID (C14).
func TestC16_PublicAndPrivateZonesOfOneName(t *testing.T) {
	w := start(t, func(o *route53fake.Options) { o.Page = 1 })
	w.AddZone("Z0PRIVATE", apex, true)
	w.AddZone("Z1LONELY", "lonely.test.", true)
	inside := plain(cname("inside.lb.test.", 60))
	w.put(cname(blue, 60))
	w.Put("Z0PRIVATE", inside)
	for name, test := range map[string]struct {
		change func(*route53.Options)
		want   string
	}{
		"by ID":                {func(o *route53.Options) {}, blue},
		"the private by ID":    {func(o *route53.Options) { o.HostedZone = "Z0PRIVATE" }, "inside.lb.test."},
		"the public by name":   {func(o *route53.Options) { o.HostedZone = "" }, blue},
		"the private by name":  {func(o *route53.Options) { o.HostedZone, o.Private = "", true }, "inside.lb.test."},
		"another zone's ID":    {func(o *route53.Options) { o.HostedZone = "Z1LONELY" }, "error: it is the zone lonely.test., not apps.test."},
		"an ID that is none":   {func(o *route53.Options) { o.HostedZone = "Z9" }, "error: compare hostedZone with the IDs"},
		"no zone of that name": {func(o *route53.Options) { o.HostedZone, o.Apex = "", "test." }, "error: no hosted zone of that name"},
		"none that is public":  {func(o *route53.Options) { o.HostedZone, o.Apex = "", "lonely.test." }, "error: Z1LONELY (private)"},
	} {
		d := w.driver(t, test.change)
		set, err := d.Lookup(t.Context(), "shop."+d.Apex(), "CNAME")
		text, wantsError := strings.CutPrefix(test.want, "error: ")
		switch {
		case wantsError && (err == nil || !strings.Contains(err.Error(), text) || !errors.Is(err, zone.ErrInvalid)):
			t.Errorf("%s: got %v, %v", name, set, err)
		case !wantsError && (err != nil || set.Data[0] != test.want):
			t.Errorf("%s: got %v, %v", name, set, err)
		}
	}
	w.AddZone("Z0SECOND", apex, false)
	d := w.driver(t, func(o *route53.Options) { o.HostedZone = "" })
	if _, err := d.Lookup(t.Context(), "shop.apps.test.", "CNAME"); err == nil || !strings.Contains(err.Error(), "Z0PRIVATE (private), Z0PUBLIC (public), Z0SECOND (public)") {
		t.Errorf("two public zones of one name: %v", err)
	}
}

// TestC07_ProbeProvesConditionsAndRights: nothing is changed, and missing rights are told with their names.
func TestC07_ProbeProvesConditionsAndRights(t *testing.T) {
	deny := false
	w := start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if deny && op == "POST hostedzone rrset" {
				return route53fake.Deny
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	before := fmt.Sprint(w.Sets(zoneID))
	if err := d.Probe(t.Context(), "shop.apps.test."); err != nil {
		t.Error(err)
	}
	deny = true
	if err := d.Probe(t.Context(), "shop.apps.test."); !errors.Is(err, zone.ErrDenied) || !strings.Contains(err.Error(), "route53:ChangeResourceRecordSets") {
		t.Errorf("got %v", err)
	}
	if after := fmt.Sprint(w.Sets(zoneID)); before != after || len(w.Batches()) > 0 {
		t.Errorf("a probe changed the zone: %s", after)
	}
	if _, err := w.driver(t, func(o *route53.Options) { o.Credentials.AccessKey = "AKIDOTHER" }).Lookup(t.Context(), "shop.apps.test.", "CNAME"); !errors.Is(err, zone.ErrDenied) {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestC07_IgnoredConditionsAreFound: a server that takes the removal of what is not there is no server to swap at.
func TestC07_IgnoredConditionsAreFound(t *testing.T) {
	w := start(t, nil)
	careless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.ServeHTTP(rw, r)
			return
		}
		_, _ = rw.Write([]byte(`<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status></ChangeInfo></ChangeResourceRecordSetsResponse>`))
	}))
	t.Cleanup(careless.Close)
	w.put(cname(blue, 60))
	d := w.driver(t, func(o *route53.Options) { o.Endpoint = careless.URL })
	if err := d.Probe(t.Context(), "shop.apps.test."); !errors.Is(err, zone.ErrConditionsIgnored) {
		t.Errorf("got %v", err)
	}
}

// TestC16_RacingWritersOverOneAccount: drivers of several processes, each with its own idea of the rate, are turned away and obey;
// no update is lost and nothing of others is touched.
func TestC16_RacingWritersOverOneAccount(t *testing.T) {
	w := start(t, func(o *route53fake.Options) {
		o.Rate = 5
		o.Spread = 3 * time.Second
		o.Fault = func(op string, n int) route53fake.Fault {
			switch {
			case op == "POST hostedzone rrset" && n%7 == 3:
				return route53fake.LoseReply
			case n%11 == 5:
				return route53fake.Prior
			}
			return route53fake.None
		}
	})
	w.Put(zoneID, route53fake.RecordSet{Name: "alias.apps.test.", Type: "A", Alias: &route53fake.Alias{HostedZoneID: "ZELB", DNSName: "x.elb.test."}})
	address := func(writer, n int) zone.RRset {
		return zone.RRset{Name: "count.apps.test.", Type: "A", TTL: 60, Data: []string{fmt.Sprintf("10.0.%d.%d", writer, n)}}
	}
	w.put(address(0, 0))
	const writers, each = 4, 6
	var group errgroup.Group
	for writer := range writers {
		d := w.driver(t, nil)
		group.Go(func() error {
			for wins, tries := 0, 0; wins < each; tries++ {
				if tries > 200 {
					return errors.New("a writer never got its turn")
				}
				now, err := d.Lookup(t.Context(), "count.apps.test.", "A")
				if err != nil {
					return err
				}
				var before, n int
				if _, err := fmt.Sscanf(now.Data[0], "10.0.%d.%d", &before, &n); err != nil {
					return err
				}
				r, err := d.Swap(t.Context(), zone.Change{Name: now.Name, Old: []zone.RRset{now}, New: []zone.RRset{address(writer+1, n+1)}})
				switch {
				case err == nil && r.Applied:
					wins++
				case errors.Is(err, zone.ErrUncertain):
					// Its answer was lost, and others went on from there: the numbers tell whether it was made.
					wins++
				case err != nil && !errors.Is(err, zone.ErrMoved):
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	made := len(w.Batches())
	end, err := w.driver(t, nil).Lookup(context.WithoutCancel(t.Context()), "count.apps.test.", "A")
	if err != nil || !strings.HasSuffix(end.Data[0], fmt.Sprintf(".%d", made)) {
		t.Errorf("%d changes were made and the record is %v, %v", made, end.Data, err)
	}
	for _, set := range w.Sets(zoneID) {
		if set.Name == "alias.apps.test." && set.Alias.DNSName == "x.elb.test." {
			return
		}
	}
	t.Error("the alias is gone")
}

// TestC16_OneRequestForAllTypesOfAName: with five requests a second for a whole account, three for each name would be a plan of
// minutes.
func TestC16_OneRequestForAllTypesOfAName(t *testing.T) {
	listed := 0
	w := start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if op == "GET hostedzone rrset" {
				listed++
			}
			return route53fake.None
		}
	})
	for _, typ := range []string{"A", "AAAA"} {
		w.put(zone.RRset{Name: "shop.apps.test.", Type: typ, TTL: 60, Data: []string{map[string]string{"A": "192.0.2.1", "AAAA": "2001:db8::1"}[typ]}})
	}
	sets, err := zone.LookupAll(t.Context(), w.driver(t, nil), "shop.apps.test.", "CNAME", "A", "AAAA")
	if err != nil || len(sets) != 2 || listed != 1 {
		t.Errorf("got %v, %v with %d requests", sets, err, listed)
	}
}

// TestC16_ARoleIsAssumed: where the zone is another account's, the role's credentials change it, not ours.
func TestC16_ARoleIsAssumed(t *testing.T) {
	w := start(t, func(o *route53fake.Options) { o.Keys = []string{"ASIAROLE"} })
	w.put(cname(blue, 60))
	var asked string
	sts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		asked = strings.Join([]string{r.PostForm.Get("Action"), r.PostForm.Get("RoleArn"), r.PostForm.Get("ExternalId")}, " ")
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDTEST/") {
			t.Errorf("the role is asked for with %s", r.Header.Get("Authorization"))
		}
		rw.Header().Set("Content-Type", "text/xml")
		_, _ = rw.Write([]byte(`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>` +
			`<SessionToken>t</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	d := w.driver(t, func(o *route53.Options) { o.Role, o.ExternalID = "arn:aws:iam::123456789012:role/dns", "xyz" })
	if _, err := d.Swap(t.Context(), toGreen()); err != nil {
		t.Fatal(err)
	}
	if want := "AssumeRole arn:aws:iam::123456789012:role/dns xyz"; asked != want {
		t.Errorf("asked for %q", asked)
	}
	if _, err := w.driver(t, nil).Lookup(t.Context(), "shop.apps.test.", "CNAME"); !errors.Is(err, zone.ErrDenied) {
		t.Errorf("without the role: %v", err)
	}
}
