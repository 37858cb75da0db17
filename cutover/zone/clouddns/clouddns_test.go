package clouddns_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns/clouddnsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
	"github.com/crossfade-project/crossfade/internal/clock"
)

const (
	apex    = "apps.test."
	managed = "apps-test"
	blue    = "blue.lb.test."
	green   = "green.lb.test."
)

// world is a fake Cloud DNS on loopback, and a driver's options for it. Time passes when somebody waits.
type world struct {
	*clouddnsfake.Server
	clock *clock.Fake
	opts  clouddns.Options
}

func start(t *testing.T, change func(*clouddnsfake.Options)) *world {
	t.Helper()
	w := &world{clock: clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))}
	o := clouddnsfake.Options{Project: "p", Spread: 20 * time.Second, Clock: w.clock}
	if change != nil {
		change(&o)
	}
	w.Server = clouddnsfake.New(o)
	w.AddZone(managed, apex)
	server := httptest.NewServer(w.Server)
	t.Cleanup(server.Close)
	w.opts = clouddns.Options{
		Apex: apex, Project: "p", ManagedZone: managed, Endpoint: server.URL, Credentials: clouddns.Credentials{Anonymous: true}, Clock: w.clock,
	}
	return w
}

func (w *world) driver(t *testing.T, change func(*clouddns.Options)) *clouddns.Driver {
	t.Helper()
	o := w.opts
	if change != nil {
		change(&o)
	}
	d, err := clouddns.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put writes plain sets as another client would.
func (w *world) put(sets ...zone.RRset) {
	for _, set := range sets {
		ttl := int64(set.TTL)
		w.Put(managed, clouddnsfake.RecordSet{Name: set.Name, Type: set.Type, TTL: &ttl, Rrdatas: set.Data})
	}
}

// query asks the zone's servers.
func (w *world) query(_ context.Context, name, typ string) (zone.RRset, error) {
	set, ok := w.Served(managed, name, typ)
	if !ok || set.TTL == nil {
		return zone.RRset{}, zone.ErrNotExist
	}
	return zone.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Rrdatas}, nil
}

func cname(to string, ttl uint32) zone.RRset {
	return zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: ttl, Data: []string{to}}
}

func toGreen() zone.Change {
	return zone.Change{Name: "shop.apps.test.", Old: []zone.RRset{cname(blue, 60)}, New: []zone.RRset{cname(green, 60)}}
}

// changes lists what was carried out, in its order.
func (w *world) changes() []string {
	var list []string
	for _, c := range w.Changes(managed) {
		var parts []string
		for _, d := range c.Deletions {
			parts = append(parts, "-"+d.Name+" "+d.Type)
		}
		for _, a := range c.Additions {
			parts = append(parts, "+"+a.Name+" "+a.Type)
		}
		list = append(list, strings.Join(parts, ", "))
	}
	return list
}

// TestC17_KeepsTheContract runs the rules of package zone against the fake: with pages of two sets, and a change that stays pending
// for 20 s.
func TestC17_KeepsTheContract(t *testing.T) {
	w := start(t, func(o *clouddnsfake.Options) { o.Page = 2 })
	zonetest.Run(t, zonetest.Target{Zone: w.driver(t, nil), Query: w.query, Put: func(t *testing.T, sets ...zone.RRset) { w.put(sets...) }})
}
