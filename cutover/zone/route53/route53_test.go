package route53_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/route53"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
	"github.com/crossfade-project/crossfade/internal/clock"
)

const (
	apex   = "apps.test."
	zoneID = "Z0PUBLIC"
	blue   = "blue.lb.test."
	green  = "green.lb.test."
)

// world is a fake Route 53 on loopback, and a driver's options for it. Time passes when somebody waits.
type world struct {
	*route53fake.Server
	clock *clock.Fake
	opts  route53.Options
}

func start(t *testing.T, change func(*route53fake.Options)) *world {
	t.Helper()
	// Nothing of this machine's own configuration may be found.
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	w := &world{clock: clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))}
	o := route53fake.Options{Keys: []string{"AKIDTEST"}, Spread: 35 * time.Second, Clock: w.clock}
	if change != nil {
		change(&o)
	}
	w.Server = route53fake.New(o)
	w.AddZone(zoneID, apex, false)
	server := httptest.NewServer(w.Server)
	t.Cleanup(server.Close)
	w.opts = route53.Options{
		Apex: apex, HostedZone: zoneID, Endpoint: server.URL, Credentials: route53.Credentials{AccessKey: "AKIDTEST", SecretKey: "secret"},
		Backoff: time.Millisecond, Clock: w.clock,
	}
	return w
}

func (w *world) driver(t *testing.T, change func(*route53.Options)) *route53.Driver {
	t.Helper()
	o := w.opts
	if change != nil {
		change(&o)
	}
	d, err := route53.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put writes plain sets as another client would.
func (w *world) put(sets ...zone.RRset) {
	for _, set := range sets {
		w.Put(zoneID, plain(set))
	}
}

func plain(set zone.RRset) route53fake.RecordSet {
	ttl := int64(set.TTL)
	return route53fake.RecordSet{Name: set.Name, Type: set.Type, TTL: &ttl, Records: route53fake.Records(set.Data...)}
}

// query asks the zone's servers.
func (w *world) query(_ context.Context, name, typ string) (zone.RRset, error) {
	set, ok := w.Served(zoneID, name, typ)
	if !ok || set.TTL == nil {
		return zone.RRset{}, zone.ErrNotExist
	}
	return zone.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Values()}, nil
}

func (w *world) target(d *route53.Driver) zonetest.Target {
	return zonetest.Target{Zone: d, Query: w.query, Put: func(t *testing.T, sets ...zone.RRset) { w.put(sets...) }}
}

func cname(to string, ttl uint32) zone.RRset {
	return zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: ttl, Data: []string{to}}
}

func toGreen() zone.Change {
	return zone.Change{Name: "shop.apps.test.", Old: []zone.RRset{cname(blue, 60)}, New: []zone.RRset{cname(green, 60)}}
}

// actions lists what the batches did, in their order.
func (w *world) actions() []string {
	var list []string
	for _, batch := range w.Batches() {
		var parts []string
		for _, c := range batch {
			parts = append(parts, c.Action+" "+c.Set.Name+" "+c.Set.Type)
		}
		list = append(list, strings.Join(parts, ", "))
	}
	return list
}

// TestC16_KeepsTheContract runs the rules of package zone against the fake: with pages of one set, a change that stays PENDING for
// 35 s, and the account's rate.
func TestC16_KeepsTheContract(t *testing.T) {
	w := start(t, func(o *route53fake.Options) { o.Page = 1; o.Rate = 5 })
	zonetest.Run(t, w.target(w.driver(t, nil)))
	for _, batch := range w.actions() {
		if strings.Contains(batch, "UPSERT") {
			t.Errorf("an UPSERT has no condition: %s", batch)
		}
	}
}
