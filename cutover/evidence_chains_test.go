package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC24_AChainThatLeadsBackToBlue: a record that leads to blue by names which nobody lists, in a zone of the file or outside of all,
// keeps it in use. What nobody can tell of names outside is said.
func TestC24_AChainThatLeadsBackToBlue(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	w.put(t, cname(shopName, 10, "green.lb.test."))
	hidden, err := memory.New("hidden.example.org.",
		cname("one.hidden.example.org.", 60, "two.hidden.example.org."),
		cname("two.hidden.example.org.", 60, "blue.lb.test."),
		cname("back.hidden.example.org.", 60, shopName),
		cname("out.hidden.example.org.", 60, "cdn.elsewhere.test."),
		cname("green.hidden.example.org.", 60, "green.lb.test."),
		cname("loop.hidden.example.org.", 60, "loop.hidden.example.org."),
		zone.RRset{Name: "addr.hidden.example.org.", Type: "A", TTL: 60, Data: []string{w.blue.addr.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	own := &longer{Zone: w.zone}
	w.opts.Zones[0].Driver = own
	w.opts.Zones = append(w.opts.Zones, cutover.Zone{Zone: migration.Zone{Name: "hidden.example.org"}, Driver: hidden})
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		alias := func(target string) (dnsx.Answer, error) {
			return dnsx.Answer{Rcode: "NOERROR", Answer: []dnsx.Record{{Name: name, Type: "CNAME", TTL: 60, Data: target}}}, nil
		}
		switch name {
		case shopName:
			return alias("green.lb.test.")
		case "cdn.elsewhere.test.":
			return alias("blue.lb.test.")
		case "y.old.apps.test.":
			return dnsx.Answer{Rcode: "NOERROR", Answer: []dnsx.Record{
				{Name: "old.apps.test.", Type: "DNAME", TTL: 60, Data: "new.elsewhere.test."},
				{Name: name, Type: "CNAME", TTL: 60, Data: "y.new.elsewhere.test."},
				{Name: "y.new.elsewhere.test.", Type: "A", TTL: 60, Data: w.blue.addr.Addr().String()},
			}}, nil
		case "gone.elsewhere.test.":
			return dnsx.Answer{Rcode: "NXDOMAIN"}, nil
		case "broken.elsewhere.test.", "loop.hidden.example.org.":
			return dnsx.Answer{Rcode: "SERVFAIL"}, nil
		}
		return dnsx.Answer{}, errors.New("no answer")
	}
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{entries[0].Blue}, Unlisted: []string{"hidden.example.org"}}
	for _, tt := range []struct {
		typ, target string
		want        cutover.Use
		text        string
	}{
		{"CNAME", "one.hidden.example.org.", cutover.Used, "x.apps.test. CNAME [one.hidden.example.org.], which leads to two.hidden.example.org. CNAME [blue.lb.test.]"},
		{"CNAME", "addr.hidden.example.org.", cutover.Used, "which leads to addr.hidden.example.org. A"},
		{"CNAME", "out.hidden.example.org.", cutover.Used, "cdn.elsewhere.test. CNAME blue.lb.test."},
		{"CNAME", "cdn.elsewhere.test.", cutover.Used, "cdn.elsewhere.test. CNAME blue.lb.test."},
		{"SRV", "0 0 443 one.hidden.example.org.", cutover.Used, "two.hidden.example.org."},
		{"HTTPS", "1 cdn.elsewhere.test.", cutover.Used, "cdn.elsewhere.test."},
		{"CNAME", "y.old.apps.test.", cutover.Used, "y.new.elsewhere.test. A"},
		{"CNAME", "back.hidden.example.org.", cutover.Quiet, ""},
		{"CNAME", "green.hidden.example.org.", cutover.Quiet, ""},
		{"CNAME", "gone.elsewhere.test.", cutover.Quiet, "2 names elsewhere"},
		{"CNAME", "broken.elsewhere.test.", cutover.Quiet, "1 of which no zone and no resolver of the file tells"},
		{"CNAME", "loop.hidden.example.org.", cutover.Quiet, "1 of which no zone"},
	} {
		own.more = []zone.RRset{{Name: "x.apps.test.", Type: tt.typ, TTL: 60, Data: []string{tt.target}}}
		obs, err := evidence.Collect(t.Context(), cutover.Observation{})
		if err != nil || obs.Use != tt.want {
			t.Errorf("%s: %s, %v, want %s: %s %v", tt.target, obs.Use, err, tt.want, obs.Text, obs.Details)
		}
		if tt.want == cutover.Used && (len(obs.Details) != 1 || !contains(obs.Details[0], tt.text)) || tt.want == cutover.Quiet && !contains(obs.Text, tt.text) {
			t.Errorf("%s: %s %v, want %q", tt.target, obs.Text, obs.Details, tt.text)
		}
	}
	// A zone of the file that cannot be read teaches nothing (I8); a dead resolver is not waited for a hundred times.
	own.more = []zone.RRset{cname("x.apps.test.", 60, "one.hidden.example.org.")}
	evidence.Zones = append([]cutover.Zone{}, w.opts.Zones...)
	evidence.Zones[1].Driver = unread{hidden}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil {
		t.Errorf("%s: a zone that cannot be read was no error", obs.Text)
	}
	own.more = nil
	for i := range 100 {
		own.more = append(own.more, cname(fmt.Sprintf("x%d.apps.test.", i), 60, fmt.Sprintf("x%d.broken.test.", i)))
	}
	resolve := w.names.resolve
	var questions atomic.Int32
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		if contains(name, ".broken.test.") {
			questions.Add(1)
			return dnsx.Answer{}, errors.New("no answer")
		}
		return resolve(name, typ)
	}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err != nil || questions.Load() > 20 || !contains(obs.Text, "of which no zone") || obs.Use != cutover.Quiet {
		t.Errorf("%s, %v, asked %d times", obs.Text, err, questions.Load())
	}
	// Names are followed side by side: here each gets its answer when four have been asked for.
	four := make(chan struct{})
	questions.Store(0)
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		if !contains(name, ".broken.test.") {
			return resolve(name, typ)
		}
		if questions.Add(1) == 4 {
			close(four)
		}
		select {
		case <-four:
			return dnsx.Answer{Rcode: "NXDOMAIN"}, nil
		case <-time.After(time.Minute):
			return dnsx.Answer{}, errors.New("nobody else was asked for")
		}
	}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err != nil || obs.Use != cutover.Quiet || !contains(obs.Text, "101 names elsewhere") || contains(obs.Text, "of which no zone") {
		t.Errorf("%s, %v", obs.Text, err)
	}
}

// unread is a zone whose server does not answer.
type unread struct{ *memory.Zone }

func (unread) Lookup(context.Context, string, string) (zone.RRset, error) {
	return zone.RRset{}, errors.New("no answer")
}
