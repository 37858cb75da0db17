package clouddns_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns/clouddnsfake"
)

const create = "POST changes"

// onCreate makes a fault of the first few changes; do, where set, runs before each.
func onCreate(times int, fault clouddnsfake.Fault, do func(n int)) func(string, int) clouddnsfake.Fault {
	return func(op string, n int) clouddnsfake.Fault {
		if op != create {
			return clouddnsfake.None
		}
		if do != nil {
			do(n)
		}
		if n < times {
			return fault
		}
		return clouddnsfake.None
	}
}

// TestC17_OneChangeDeletesExactlyWhatIsThere: old set and fence go as they were read, in the change that adds the new ones.
func TestC17_OneChangeDeletesExactlyWhatIsThere(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 0))
	d := w.driver(t, nil)
	c := zone.Change{Name: "shop.apps.test.", Old: []zone.RRset{cname(blue, 0)}, New: []zone.RRset{cname(green, 60)}, Fence: zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "mine"}}
	if err := d.Claim(t.Context(), c.Name, c.Fence, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Swap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"+_crossfade-shop.apps.test. TXT",
		"-shop.apps.test. CNAME, -_crossfade-shop.apps.test. TXT, +shop.apps.test. CNAME, +_crossfade-shop.apps.test. TXT",
	}
	if got := w.changes(); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	swap := w.Changes(managed)[1]
	if gone := swap.Deletions[0]; gone.TTL == nil || *gone.TTL != 0 || gone.Rrdatas[0] != blue {
		t.Errorf("the old set was deleted as %+v", gone)
	}
	if *swap.Deletions[1].TTL == *swap.Additions[1].TTL {
		t.Error("the fence's part changes nothing")
	}
}

// TestC17_AConflictIsReadAgain: whatever refuses a change, what is there is read, and nothing is written over what others wrote.
func TestC17_AConflictIsReadAgain(t *testing.T) {
	other := zone.RRset{Name: "new.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
	alias := zone.RRset{Name: "new.apps.test.", Type: "CNAME", TTL: 60, Data: []string{green}}
	for name, test := range map[string]struct {
		change zone.Change
		put    zone.RRset
		want   error
	}{
		"412, another target":  {toGreen(), cname("other.lb.test.", 60), zone.ErrMoved},
		"412, another TTL":     {toGreen(), cname(blue, 61), zone.ErrMoved},
		"409, it is there":     {zone.Change{Name: alias.Name, New: []zone.RRset{alias}}, cnameAt(alias.Name, "other.lb.test."), zone.ErrMoved},
		"409, beside another":  {zone.Change{Name: alias.Name, New: []zone.RRset{alias}}, other, zone.ErrConflict},
		"409, an address":      {zone.Change{Name: other.Name, New: []zone.RRset{other}}, cnameAt(other.Name, blue), zone.ErrConflict},
		"409, made by another": {zone.Change{Name: alias.Name, New: []zone.RRset{alias}}, alias, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			w = start(t, func(o *clouddnsfake.Options) {
				o.Fault = onCreate(0, clouddnsfake.None, func(n int) {
					if n == 0 {
						w.put(test.put)
					}
				})
			})
			w.put(cname(blue, 60))
			r, err := w.driver(t, nil).Swap(t.Context(), test.change)
			if !errors.Is(err, test.want) || r.Applied || len(w.changes()) > 0 {
				t.Fatalf("got %+v, %v after %v, want %v", r, err, w.changes(), test.want)
			}
			if set, _ := w.Served(managed, test.put.Name, test.put.Type); !slices.Equal(set.Rrdatas, test.put.Data) {
				t.Errorf("the name holds %v", set.Rrdatas)
			}
		})
	}
	// A 409 without a cause in the zone: the change is made anew from what is read then, a bounded number of times.
	for times, want := range map[int]error{1: nil, 2: nil, 9: zone.ErrMoved} {
		w := start(t, func(o *clouddnsfake.Options) { o.Fault = onCreate(times, clouddnsfake.Conflict, nil) })
		w.put(cname(blue, 60))
		r, err := w.driver(t, nil).Swap(t.Context(), toGreen())
		if !errors.Is(err, want) || r.Applied != (want == nil) || r.Attempts != min(times+1, 3) {
			t.Errorf("%d conflicts: got %+v, %v", times, r, err)
		}
	}
}

func cnameAt(name, to string) zone.RRset {
	return zone.RRset{Name: name, Type: "CNAME", TTL: 60, Data: []string{to}}
}

// TestC17_TheFenceIsInTheChange: a take-over between reading and changing is refused by the change itself.
func TestC17_TheFenceIsInTheChange(t *testing.T) {
	var w *world
	w = start(t, func(o *clouddnsfake.Options) {
		o.Fault = onCreate(0, clouddnsfake.None, func(n int) {
			if n == 1 {
				w.put(zone.RRset{Name: "_crossfade-shop.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"theirs"`}})
			}
		})
	})
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := toGreen()
	c.Fence = zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "mine"}
	if err := d.Claim(t.Context(), c.Name, c.Fence, ""); err != nil {
		t.Fatal(err)
	}
	_, err := d.Swap(t.Context(), c)
	var lost *zone.FencedError
	if !errors.As(err, &lost) || lost.Found != "theirs" {
		t.Fatalf("got %v, want a FencedError that found theirs", err)
	}
	if set, _ := w.Served(managed, c.Name, "CNAME"); set.Rrdatas[0] != blue {
		t.Errorf("the name holds %v", set.Rrdatas)
	}
}

// TestC17_SuccessWaitsUntilItIsDone: while the change is pending the servers give the old answer, and Swap has not returned.
func TestC17_SuccessWaitsUntilItIsDone(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	began := w.clock.Now()
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err != nil {
		t.Fatal(err)
	}
	if set, _ := w.Served(managed, "shop.apps.test.", "CNAME"); set.Rrdatas[0] != green {
		t.Errorf("Swap returned and the servers show %v", set.Rrdatas)
	}
	if took := w.clock.Now().Sub(began); took < 20*time.Second || took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	w = start(t, func(o *clouddnsfake.Options) { o.Spread = time.Hour })
	w.put(cname(blue, 60))
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrUncertain) || !strings.Contains(err.Error(), "accepted as 1") {
		t.Errorf("got %v", err)
	}
	if r, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err != nil || r.Applied || len(w.changes()) != 1 {
		t.Errorf("asked again: %+v, %v", r, err)
	}
}

// TestC17_LostAnswersAreReadBack: a change whose answer never came is found out about before it is sent again (C4); one that was
// turned away is waited for.
func TestC17_LostAnswersAreReadBack(t *testing.T) {
	for name, test := range map[string]struct {
		fault     clouddnsfake.Fault
		times     int
		recovered bool
		attempts  int
	}{
		"after it was made":    {clouddnsfake.LoseReply, 1, true, 1},
		"before it was made":   {clouddnsfake.LoseIt, 1, false, 2},
		"a failure":            {clouddnsfake.Fail, 2, false, 3},
		"too many requests":    {clouddnsfake.Throttle, 4, false, 1},
		"a limit of the quota": {clouddnsfake.RateLimit, 4, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(o *clouddnsfake.Options) { o.Fault = onCreate(test.times, test.fault, nil) })
			w.put(cname(blue, 60))
			r, err := w.driver(t, nil).Swap(t.Context(), toGreen())
			if err != nil || !r.Applied || r.Recovered != test.recovered || r.Attempts != test.attempts || len(w.changes()) != 1 {
				t.Errorf("got %+v, %v after %v", r, err, w.changes())
			}
		})
	}
	w := start(t, func(o *clouddnsfake.Options) { o.Fault = onCreate(99, clouddnsfake.LoseIt, nil) })
	w.put(cname(blue, 60))
	if r, err := w.driver(t, nil).Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrUncertain) || r.Attempts != 3 {
		t.Errorf("never an answer: got %+v, %v", r, err)
	}
	w = start(t, func(o *clouddnsfake.Options) { o.Fault = onCreate(99, clouddnsfake.Throttle, nil) })
	w.put(cname(blue, 60))
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err == nil || errors.Is(err, zone.ErrUncertain) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("turned away for ever: got %v", err)
	}
	// Questions are asked again.
	w = start(t, func(o *clouddnsfake.Options) {
		o.Fault = func(op string, n int) clouddnsfake.Fault {
			return map[bool]clouddnsfake.Fault{true: clouddnsfake.Fail}[op != create && n%2 == 0]
		}
	})
	w.put(cname(blue, 60))
	if _, err := w.driver(t, nil).Swap(t.Context(), toGreen()); err != nil {
		t.Error(err)
	}
}

// TestC17_RoutingPoliciesAreKept: a set with a policy stays byte for byte; where its answers lead is in a listing.
func TestC17_RoutingPoliciesAreKept(t *testing.T) {
	w := start(t, nil)
	ttl := int64(60)
	w.Put(managed,
		clouddnsfake.RecordSet{Name: "wrr.apps.test.", Type: "A", TTL: &ttl, Policy: json.RawMessage(`{"wrr":{"items":[{"weight":1,"rrdatas":["192.0.2.1"]},{"weight":2,"rrdatas":["192.0.2.2"]}]}}`)},
		clouddnsfake.RecordSet{Name: "failover.apps.test.", Type: "A", TTL: &ttl, Policy: json.RawMessage(`{"primaryBackup":{"primaryTargets":{"internalLoadBalancers":[{"ipAddress":"10.0.0.1"}]},"backupGeoTargets":{"items":[{"location":"eu","rrdatas":["192.0.2.3"]}]}}}`)},
	)
	w.put(cname(blue, 60))
	before := fmt.Sprint(w.Sets(managed))
	d := w.driver(t, nil)
	for _, name := range []string{"wrr.apps.test.", "failover.apps.test."} {
		if _, err := d.Lookup(t.Context(), name, "A"); !errors.Is(err, zone.ErrInvalid) {
			t.Errorf("Lookup of %s: %v", name, err)
		}
		if _, err := d.Swap(t.Context(), zone.Change{Name: name, New: []zone.RRset{cnameAt(name, green)}}); !errors.Is(err, zone.ErrConflict) {
			t.Errorf("Swap of %s: %v", name, err)
		}
	}
	if after := fmt.Sprint(w.Sets(managed)); after != before || len(w.changes()) > 0 {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	sets, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, set := range sets {
		found[set.Name] = strings.Join(set.Data, ",")
	}
	if found["wrr.apps.test."] != "192.0.2.1,192.0.2.2" || found["failover.apps.test."] != "10.0.0.1,192.0.2.3" {
		t.Errorf("the listing has %v", found)
	}
}

// TestC14_TheManagedZoneIsTheZoneThatIsMeant: its name in the project says nothing of its DNS name.
func TestC14_TheManagedZoneIsTheZoneThatIsMeant(t *testing.T) {
	w := start(t, nil)
	w.AddZone("other", "other.test.")
	for name, test := range map[string]struct {
		change func(*clouddns.Options)
		want   string
	}{
		"another zone":    {func(o *clouddns.Options) { o.ManagedZone = "other" }, "it is the zone other.test., not apps.test."},
		"none":            {func(o *clouddns.Options) { o.ManagedZone = "none" }, "compare project and managedZone"},
		"another project": {func(o *clouddns.Options) { o.Project = "q" }, "compare project and managedZone"},
	} {
		d := w.driver(t, test.change)
		_, err := d.Lookup(t.Context(), "shop.apps.test.", "CNAME")
		if !errors.Is(err, zone.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := d.Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrInvalid) {
			t.Errorf("%s: Swap says %v", name, err)
		}
	}
}

// TestC07_ProbeProvesConditionsAndRights: nothing is changed, and missing rights are told with their names.
func TestC07_ProbeProvesConditionsAndRights(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	before := fmt.Sprint(w.Sets(managed))
	if err := w.driver(t, nil).Probe(t.Context(), "shop.apps.test."); err != nil {
		t.Error(err)
	}
	if after := fmt.Sprint(w.Sets(managed)); before != after || len(w.changes()) > 0 {
		t.Errorf("a probe changed the zone: %s", after)
	}
	w = start(t, func(o *clouddnsfake.Options) { o.Fault = onCreate(9, clouddnsfake.Deny, nil) })
	if err := w.driver(t, nil).Probe(t.Context(), "shop.apps.test."); !errors.Is(err, zone.ErrDenied) || !strings.Contains(err.Error(), "roles/dns.admin") {
		t.Errorf("got %v", err)
	}
	careless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.ServeHTTP(rw, r)
			return
		}
		_, _ = rw.Write([]byte(`{"kind":"dns#change","id":"1","status":"done"}`))
	}))
	t.Cleanup(careless.Close)
	if err := w.driver(t, func(o *clouddns.Options) { o.Endpoint = careless.URL }).Probe(t.Context(), "shop.apps.test."); !errors.Is(err, zone.ErrConditionsIgnored) {
		t.Errorf("got %v", err)
	}
}

// TestServiceAccountsAreUsed: the key is exchanged for a token at the place that it names, and the token goes along.
func TestServiceAccountsAreUsed(t *testing.T) {
	w := start(t, func(o *clouddnsfake.Options) { o.Token = "a-token" })
	w.put(cname(blue, 60))
	tokens := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"access_token":"a-token","token_type":"Bearer","expires_in":3600}`))
	}))
	t.Cleanup(tokens.Close)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "dns@p.test", "token_uri": tokens.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	o := w.opts
	o.Credentials = clouddns.Credentials{ServiceAccount: key}
	opening, cancel := context.WithCancel(t.Context())
	d, err := clouddns.New(opening, o)
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup(t.Context(), "shop.apps.test.", "CNAME"); err != nil {
		t.Error(err)
	}
	if _, err := w.driver(t, nil).Lookup(t.Context(), "shop.apps.test.", "CNAME"); !errors.Is(err, zone.ErrDenied) {
		t.Errorf("without credentials: %v", err)
	}
	o.Credentials = clouddns.Credentials{ServiceAccount: []byte("{sesame")}
	if _, err := clouddns.New(t.Context(), o); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a broken key: %v", err)
	}
}

// TestC17_RacingWriters: writers with drivers of their own, among lost answers and conflicts: no update is lost.
func TestC17_RacingWriters(t *testing.T) {
	w := start(t, func(o *clouddnsfake.Options) {
		o.Spread = 3 * time.Second
		o.Fault = func(op string, n int) clouddnsfake.Fault {
			switch {
			case op == create && n%7 == 3:
				return clouddnsfake.LoseReply
			case op == create && n%5 == 2:
				return clouddnsfake.Conflict
			case n%11 == 5:
				return clouddnsfake.Throttle
			}
			return clouddnsfake.None
		}
	})
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
				case err == nil && r.Applied, errors.Is(err, zone.ErrUncertain):
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
	end, err := w.driver(t, nil).Lookup(context.WithoutCancel(t.Context()), "count.apps.test.", "A")
	if made := len(w.changes()); err != nil || !strings.HasSuffix(end.Data[0], fmt.Sprintf(".%d", made)) {
		t.Errorf("%d changes were made and the record is %v, %v", made, end.Data, err)
	}
}
