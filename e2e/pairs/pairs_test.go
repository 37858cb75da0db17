//go:build unix

package pairs

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// atLeast is how many objects go between every two providers.
const atLeast = 2000

// pairsAtOnce bounds how many pairs run side by side: each keeps a source and a destination busy.
const pairsAtOnce = 4

// TestI05_EveryPairKeepsOrTellsEverything copies the corpus between all 25 ordered pairs, and between each provider and the fakes
// of what has no server here.
func TestI05_EveryPairKeepsOrTellsEverything(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers and copies 60,000 objects")
	}
	sides := start(t)
	for name, s := range sides {
		s.name = name
	}
	begun := time.Now()
	sources := loadAll(t, sides)
	t.Logf("loaded in %s", time.Since(begun).Round(time.Second))
	seen := newTables()
	var all []*pair
	for _, from := range everySide() {
		for _, to := range everySide() {
			all = append(all, &pair{from: sides[from], to: sides[to], source: sources[from], seen: seen})
		}
	}
	sideBySide(pairsAtOnce, len(all), func(i int) {
		t.Run(all[i].from.name+" to "+all[i].to.name, all[i].run)
	})
	t.Logf("all pairs in %s", time.Since(begun).Round(time.Second))
	if !t.Failed() {
		seen.compare(t)
	}
}

// sideBySide calls do with 0 to n-1, so many at once: the number of processors, by which t.Parallel goes, says little where
// most of the time is spent by servers.
func sideBySide(atOnce, n int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait() // nothing of it fails but the tests
}

// source is what a provider has, as its own client reads it.
type source struct {
	plain, hostile map[string]found
	traps          map[string]object // hostile objects by key
}

func loadAll(t *testing.T, sides map[string]*side) map[string]*source {
	t.Helper()
	sources := map[string]*source{}
	for name := range sides {
		sources[name] = &source{}
	}
	t.Run("load", func(t *testing.T) {
		for name, s := range sides {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				src := sources[name]
				src.traps = map[string]object{}
				var holds []object
				for _, o := range hostile() {
					if s.holds(o) {
						holds = append(holds, o)
						src.traps[o.key] = o
					}
				}
				src.traps = shows(s, src.traps, func(o object) bool { return len(o.props) == 0 })
				easy := plain()
				if s.few {
					easy = slices.DeleteFunc(easy, func(o object) bool { return !shaped(o.key) })
				}
				src.plain = loadOne(t, s, "plain", easy)
				src.hostile = loadOne(t, s, "hostile", holds)
			})
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return sources
}

// loadOne loads objects and demands that the server shows just them, with their bytes.
func loadOne(t *testing.T, s *side, name string, objects []object) map[string]found {
	t.Helper()
	slices.SortFunc(objects, func(a, b object) int { return len(b.key) - len(a.key) }) // what lies below comes first
	if err := load(t.Context(), s.client, name, objects); err != nil {
		t.Fatal(err)
	}
	all, err := readAll(t.Context(), s.client, name)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]object{}
	for _, o := range objects {
		given[o.key] = o
	}
	shown := shows(s, given, func(o object) bool { return len(o.props) == 0 })
	for _, o := range shown {
		has, ok := all[o.key]
		if body := o.content(); !ok || has.size != len(body) || has.sum != see(body, nil).sum {
			t.Errorf("%s was given %.100q (%s) of %d bytes, and shows %t, %d bytes", s.name, o.key, o.trap, len(body), ok, has.size)
		}
	}
	if keys := keysOfObjects(objects); len(slices.Compact(keys)) != len(objects) {
		t.Errorf("the corpus has a key twice")
	}
	if len(all) != len(shown) {
		t.Errorf("%s was given %d objects and shows %d", s.name, len(shown), len(all))
	}
	return all
}

func keysOfObjects(objects []object) (keys []string) {
	for _, o := range objects {
		keys = append(keys, o.key)
	}
	slices.Sort(keys)
	return keys
}

// shaped says that an object is one of those whose properties are what matters. The fake needs no more of the others.
func shaped(key string) bool {
	folder, _, _ := strings.Cut(key, "/")
	return slices.Contains([]string{"meta", "gzip", "tags", "expires", "redirect"}, folder)
}

// pair is one ordered pair of providers.
type pair struct {
	from, to *side
	source   *source
	seen     *tables
}

func (p *pair) run(t *testing.T) {
	begun := time.Now()
	if total := len(p.source.plain) + len(p.source.hostile); total < atLeast && !p.from.few {
		t.Errorf("only %d objects", total)
	}
	copied := p.copy(t, "plain", p.source.plain, nil, true)
	refused := p.refused(t)
	copied += p.copy(t, "hostile", p.source.hostile, refused, false)
	t.Logf("%d copied, %d refused in %s", copied, len(refused), time.Since(begun).Round(time.Second))
}

func (p *pair) options(t *testing.T, name string) bucketsync.Options {
	t.Helper()
	from, err := p.from.open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	to, err := p.to.open(t.Context(), p.destination(name))
	if err != nil {
		t.Fatal(err)
	}
	return bucketsync.Options{
		Migration: "pairs", Stage: "sync", Name: name, From: from, To: to, Create: true,
		Manifest: filepath.Join(t.TempDir(), name), TempDir: t.TempDir(),
	}
}

func (p *pair) destination(name string) string {
	return strings.ReplaceAll(fmt.Sprintf("%s-of-%s-to-%s", name, p.from.name, p.to.name), " ", "-")
}

// refused demands that the plan refuses just what the destination cannot hold, and returns those keys.
func (p *pair) refused(t *testing.T) []string {
	t.Helper()
	planned, err := bucketsync.Plan(t.Context(), p.options(t, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, r := range planned.Refusals {
		fmt.Fprintf(&text, "%s: %s (%s)\n", r.What, r.Why, r.Mend)
	}
	var refused []string
	for key, o := range p.source.traps {
		named := strings.Contains(text.String(), strconv.Quote(key))
		holds := p.to.holds(o) || isTags(o.trap) && len(p.source.hostile[key].props.part(tagPrefix)) == 0
		if named == holds {
			t.Errorf("%.100q (%s) is refused: %t, and %s holds it: %t; refused are\n%.3000s", key, o.trap, named, p.to.name, holds, text.String())
		}
		if named {
			refused = append(refused, key)
		}
		if named || p.from.name == "file" {
			p.seen.trap(p.to.name, o.trap, named)
		}
	}
	return refused
}

// copy syncs one bucket but for what is refused, and compares all that the destination has by its own client.
func (p *pair) copy(t *testing.T, name string, has map[string]found, refused []string, brief bool) int64 {
	t.Helper()
	opts := p.options(t, name)
	opts.Brief = brief
	want := maps.Clone(has)
	for _, key := range refused {
		opts.Filter.Exclude = append(opts.Filter.Exclude, "/"+globOf(key))
		delete(want, key)
	}
	if name == "plain" && p.to.few {
		opts.Filter.Include = []string{"{meta,gzip,tags,expires,redirect}/**"}
		maps.DeleteFunc(want, func(key string, _ found) bool { return !shaped(key) })
	}
	planned, err := bucketsync.Plan(t.Context(), opts)
	if err := errors.Join(err, refusalOf(planned)); err != nil {
		t.Fatal(err)
	}
	result, err := bucketsync.Apply(t.Context(), planned, &plan.MemoryRecorder{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if result.Copied != int64(len(want)) {
		t.Errorf("%s: copied %d of %d", name, result.Copied, len(want))
	}
	got, err := readAll(t.Context(), p.to.client, p.destination(name))
	if err != nil {
		t.Fatal(err)
	}
	p.compare(t, shows(p.to, want, func(f found) bool { return len(f.props) == 0 }), got, result.Losses)
	again, err := bucketsync.Plan(t.Context(), opts)
	if err := errors.Join(err, refusalOf(again)); err != nil {
		t.Fatal(err)
	}
	if left, err := bucketsync.PlannedOf(again); err != nil || !left.Idle() || left.Same != int64(len(want)) {
		t.Errorf("%s: a second run would do something: %+v, %v", name, left, err)
	}
	return result.Copied
}

func refusalOf(p *plan.Plan) error {
	if p == nil {
		return nil
	}
	return p.Err()
}

// globOf matches one key.
func globOf(key string) string {
	var glob strings.Builder
	for _, r := range key {
		if strings.ContainsRune(`*?[]{}\`, r) {
			glob.WriteByte('\\')
		}
		glob.WriteRune(r)
	}
	return glob.String()
}

// compare holds the destination against the source: every key, every byte, and every property or its entry in the ledger.
func (p *pair) compare(t *testing.T, want, got map[string]found, losses []bucketsync.Loss) {
	t.Helper()
	differ := map[string][]string{} // keys by the ledger's word for what differs
	for key, w := range want {
		g, ok := got[key]
		if !ok || g.size != w.size || g.sum != w.sum {
			t.Errorf("%.100q: %d bytes at the source; at the destination it is there: %t, %d bytes", key, w.size, ok, g.size)
			continue
		}
		for _, word := range p.differences(t, key, w.props, g.props) {
			differ[word] = append(differ[word], key)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%.100q is only at the destination", key)
		}
	}
	told := map[string]int64{}
	for _, l := range losses {
		id := string(l.Fate) + " " + l.Property
		told[id] += l.Objects
		if l.Fate == bucketsync.Mapped {
			continue // a name that its store keeps in another form reads as it was
		}
		if l.Objects != int64(len(differ[id])) {
			t.Errorf("the ledger has %d objects for %s, and %d differ", l.Objects, id, len(differ[id]))
		}
		for _, e := range l.Examples {
			if !slices.Contains(differ[id], e.Key) {
				t.Errorf("the ledger has %s of %.100q, which does not differ", id, e.Key)
			}
		}
	}
	for id, keys := range differ {
		if told[id] < int64(len(keys)) {
			t.Errorf("%s: %d objects such as %.100q differ, and the ledger has %d", id, len(keys), keys[0], told[id])
		}
		p.seen.loss(p.from.name, p.to.name, id)
	}
	p.seen.pair(p.from.name, p.to.name)
}

// differences are the properties of one object that are not the same, in the words of the ledger, each once.
func (p *pair) differences(t *testing.T, key string, want, got props) []string {
	t.Helper()
	words := map[string]bool{}
	all := maps.Clone(want)
	maps.Copy(all, got)
	for name := range all {
		w, had := want[name]
		g, has := got[name]
		if had == has && w == g {
			continue
		}
		lower := metaPrefix + strings.ToLower(strings.TrimPrefix(name, metaPrefix))
		switch {
		case had && name == expires, had && name == redirect:
			words["lost "+name] = true
		case had && strings.HasPrefix(name, tagPrefix):
			words["lost tags"] = true
		case had && strings.HasPrefix(name, metaPrefix) && name != lower && p.to.folds && got[lower] == w:
			words["mapped metadata key"] = true
			continue
		case !had && p.to.folds && strings.HasPrefix(name, metaPrefix):
			if !foldedFrom(want, name, g) {
				t.Errorf("%.100q: %s is %.100q at the destination alone", key, name, g)
			}
			continue
		default:
			t.Errorf("%.100q: %s is %.100q (%t) at the source and %.100q (%t) at the destination", key, name, w, had, g, has)
			continue
		}
		if has {
			t.Errorf("%.100q: %s is %.100q at the source and %.100q at the destination", key, name, w, g)
		}
	}
	return slices.Collect(maps.Keys(words))
}

// foldedFrom says that a metadata key in lower case comes from one with capitals.
func foldedFrom(want props, name, value string) bool {
	for w, v := range want {
		if strings.HasPrefix(w, metaPrefix) && metaPrefix+strings.ToLower(strings.TrimPrefix(w, metaPrefix)) == name && v == value {
			return true
		}
	}
	return false
}
