package cutover

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// The brake (C23): how much of a zone one wave may change. A file that names more than it was meant to, such as one that was made
// by a program, is stopped before the first name moves.
const (
	// defaultMaxShare is in per cent of the zone's sets.
	defaultMaxShare = 30
	// brakeLeast is how many sets a zone must have: of few, any change is a large share.
	brakeLeast = 10
)

func (o Options) maxShare() int {
	if o.Times.MaxShare < 1 {
		return defaultMaxShare
	}
	return o.Times.MaxShare
}

// waveInZone is what one wave changes of one zone.
type waveInZone struct {
	zone string
	wave int
}

// judgeShares refuses waves that change more of a zone than the brake allows. A zone is read only where a wave could.
func judgeShares(ctx context.Context, opts Options, found *Inspection) error {
	changes := map[waveInZone]int{}
	for _, s := range found.Names {
		app, err := opts.application(s.App)
		if err != nil {
			return err
		}
		changes[waveInZone{s.Zone, app.Wave}] += len(s.Records)
	}
	sizes := map[string]zoneSize{}
	for _, key := range slices.SortedFunc(maps.Keys(changes), func(a, b waveInZone) int {
		return cmp.Or(strings.Compare(a.zone, b.zone), a.wave-b.wave)
	}) {
		changed := changes[key]
		if changed*100 <= brakeLeast*opts.maxShare() {
			continue // in a zone of any size that the brake looks at, it is not too much
		}
		size, known := sizes[key.zone]
		if !known {
			var err error
			if size, err = opts.sizeOf(ctx, key.zone); err != nil {
				return err
			}
			sizes[key.zone] = size
		}
		judgeShare(key, changed, size, opts.maxShare(), found)
	}
	return nil
}

func judgeShare(key waveInZone, changed int, size zoneSize, allowed int, found *Inspection) {
	what := fmt.Sprintf("zone %s, wave %d", key.zone, key.wave)
	switch {
	case size.unknown != "" && allowed < 100:
		// A zone that cannot be listed cannot be judged, and that is no good news (I8).
		found.refuse(what, fmt.Sprintf("it moves %d records at once, and how large a part of the zone that is cannot be known: %s", changed, size.unknown),
			"let the key transfer or read the whole zone, spread the applications over more waves, or allow any part (cutover.maxShare: 100)")
	case size.unknown != "":
		found.warn(what, fmt.Sprintf("it moves %d records at once, and how large a part of the zone that is cannot be known: %s", changed, size.unknown))
	case size.sets >= brakeLeast && changed*100 > size.sets*allowed:
		found.refuse(what, fmt.Sprintf("it moves %d of the zone's %d records, %d%%, and at most %d%% may move in one wave", changed, size.sets, (changed*100+size.sets-1)/size.sets, allowed),
			"spread the applications over more waves, or allow as much (cutover.maxShare)")
	}
}

// zoneSize is how many sets a zone has, beside those that keep the zone itself.
type zoneSize struct {
	sets    int
	unknown string // why it is not known
}

func (o Options) sizeOf(ctx context.Context, apex string) (zoneSize, error) {
	z, err := o.zoneOf(apex)
	if err != nil {
		return zoneSize{}, err
	}
	lister, ok := z.Driver.(zone.Lister)
	if !ok {
		return zoneSize{unknown: "its provider does not list a zone"}, nil
	}
	sets, err := lister.List(ctx)
	if ctx.Err() != nil {
		return zoneSize{}, ctx.Err()
	}
	if err != nil {
		return zoneSize{unknown: err.Error()}, nil
	}
	var size zoneSize
	for _, set := range sets {
		if !keepsZone(set.Type) {
			size.sets++
		}
	}
	return size, nil
}

// keepsZone says that a type stands in a zone for its own sake: its SOA, and what signs it.
func keepsZone(typ string) bool {
	switch typ {
	case "SOA", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD":
		return true
	}
	return false
}
