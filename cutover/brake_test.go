package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC23_AWaveMovesAPartOfAZoneOnly: more than 30% of a zone's records in one wave is a refusal; the same in two waves, a larger share that
// the file allows, and a zone of few records are not.
func TestC23_AWaveMovesAPartOfAZoneOnly(t *testing.T) {
	const refusal = "it moves 4 of the zone's 13 records, 31%, and at most 30% may move in one wave"
	for name, tt := range map[string]struct {
		others   int // further records of the zone
		waves    [4]int
		maxShare int
		unlisted bool
		refused  bool
	}{
		"four of thirteen":              {others: 9, waves: [4]int{1, 1, 1, 1}, refused: true},
		"four of fourteen":              {others: 10, waves: [4]int{1, 1, 1, 1}},
		"two waves":                     {others: 9, waves: [4]int{1, 1, 2, 2}},
		"the file allows more":          {others: 9, waves: [4]int{1, 1, 1, 1}, maxShare: 31},
		"a zone of nine":                {others: 5, waves: [4]int{1, 1, 1, 1}},
		"a zone that nobody may list":   {others: 9, waves: [4]int{1, 1, 1, 1}, unlisted: true, refused: true},
		"a zone with fewer to move":     {others: 9, waves: [4]int{1, 1, 1, 2}, maxShare: 10, unlisted: true, refused: true},
		"the file allows any part":      {others: 9, waves: [4]int{1, 1, 1, 1}, maxShare: 100, unlisted: true},
		"few of what cannot be listed":  {others: 9, waves: [4]int{1, 1, 1, 2}, unlisted: true},
		"the file allows less than two": {others: 30, waves: [4]int{1, 1, 2, 3}, maxShare: 5, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fill(t, tt.others, tt.waves)
			w.opts.Times.MaxShare = tt.maxShare
			if tt.unlisted {
				w.opts.Zones[0].Driver = unlisted{w.zone}
			}
			p := w.planned(t)
			want := refusal
			if tt.unlisted {
				want = "how large a part of the zone that is cannot be known: transfer refused"
			}
			if tt.maxShare == 5 {
				want = "it moves 2 of the zone's 34 records, 6%, and at most 5% may move in one wave"
			}
			if refused := refusedFor(p, want); refused != tt.refused || !tt.refused && len(p.Refusals) > 0 {
				t.Errorf("refusals = %+v", p.Refusals)
			}
		})
	}
}

// fill adds three applications beside shop, each with a name, and sets the waves of all; and puts other records into the zone.
func (w *world) fill(t *testing.T, others int, waves [4]int) {
	t.Helper()
	for i := range 3 {
		app := w.opts.Applications[0]
		app.Name = fmt.Sprintf("app%d", i)
		app.Hostnames = []migration.Hostname{app.Hostnames[0]}
		app.Hostnames[0].Name = app.Name + ".apps.test"
		w.opts.Applications = append(w.opts.Applications, app)
		if err := w.zone.Put(cname(app.Name+".apps.test.", 300, "blue.lb.test.")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.opts.Applications {
		w.opts.Applications[i].Wave = waves[i]
	}
	for i := range others {
		if err := w.zone.Put(zone.RRset{Name: fmt.Sprintf("other%d.apps.test.", i), Type: "MX", TTL: 60, Data: []string{"10 mail.test."}}); err != nil {
			t.Fatal(err)
		}
	}
}

// unlisted is a zone that may not be transferred.
type unlisted struct{ zone.Zone }

func (unlisted) List(context.Context) ([]zone.RRset, error) {
	return nil, errors.New("transfer refused")
}
