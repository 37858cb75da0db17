package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/plan"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// An item is one object of the archive on its way to green.
type item struct {
	entry archive.Entry
	// blue is the object as the archive has it.
	blue *unstructured.Unstructured
	// running is green's object as it is after the start, waiting as it is before.
	running, waiting *unstructured.Unstructured
	key              key
	hash             string
	level            int
	// later says that the object has no resting state: it is made at the start.
	later bool
}

// Dropped is an object of the archive that is not made on green.
type Dropped struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

// A cargo is what of the archive goes to green.
type cargo struct {
	items   []*item
	dropped []Dropped
	// held names every object of blue in the revision, those that do not take part too.
	held map[key]bool
	// onePlace says that green is blue's own cluster.
	onePlace bool
}

// load reads the archive's objects, decides which are made and makes green's of them. What cannot be made is a refusal.
func load(ctx context.Context, opts Options, v *view, p *plan.Plan) (*cargo, error) {
	entries, objects, err := read(ctx, opts)
	if err != nil {
		return nil, err
	}
	id, err := opts.Green.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask green who it is: %w", err)
	}
	c := &cargo{held: map[key]bool{}, onePlace: id.UID == opts.Archive.Index().BlueUID}
	for _, e := range opts.Archive.Index().Entries {
		c.held[key{e.Group, e.Kind, e.Namespace, e.Name}] = true
	}
	facts := gatherFacts(objects)
	kept := map[*unstructured.Unstructured]bool{}
	for _, obj := range objects {
		why := facts.fate(obj)
		if hosts := opts.keptBy(keyOf(obj)); why == "" && c.onePlace && len(hosts) > 0 {
			noteKept(p, keyOf(obj), hosts)
			if leaveKept(obj.DeepCopy(), hosts) {
				why = keptOnBlue
			}
		}
		if why != "" {
			c.dropped = append(c.dropped, Dropped{Object: keyOf(obj).String(), Why: string(why)})
			continue
		}
		kept[obj] = true
		if keyOf(obj).is(crdGroup, "CustomResourceDefinition") {
			v.expect(obj)
		}
	}
	t := transformer{opts: opts, served: v.versions, onePlace: c.onePlace}
	for i, obj := range objects {
		if !kept[obj] {
			continue
		}
		it, err := t.item(entries[i], obj)
		if err != nil {
			p.Refuse(keyOf(obj).String(), err.Error(), "change the object on blue and export again, patch it in the migration file, or give green what serves it")
			continue
		}
		c.items = append(c.items, it)
	}
	c.arrange(p)
	return c, nil
}

// item makes green's object of blue's, in both of its states.
func (t transformer) item(e archive.Entry, blue *unstructured.Unstructured) (*item, error) {
	it := &item{entry: e, blue: blue}
	var err error
	if it.running, err = t.running(blue); err != nil {
		return nil, err
	}
	if it.waiting, err = t.waiting(e, blue, it.running); err != nil {
		return nil, err
	}
	it.key = keyOf(it.running)
	it.hash = stamp(it.waiting)
	stamp(it.running)
	it.later = waitsForStart(it.key, t.opts.darkOf(e.App))
	return it, nil
}

// arrange gives every item its level and sorts by it.
func (c *cargo) arrange(p *plan.Plan) {
	levels, circles := order(c.runnings())
	for _, k := range circles {
		p.Note(plan.Info, k.String(), "it is part of a circle of references: it is made first")
	}
	for _, it := range c.items {
		it.level = levels[it.key]
	}
	slices.SortFunc(c.items, func(a, b *item) int {
		if a.level != b.level {
			return a.level - b.level
		}
		return compareKeys(a.key, b.key)
	})
}

func (c *cargo) runnings() []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, 0, len(c.items))
	for _, it := range c.items {
		out = append(out, it.running)
	}
	return out
}

// read gets the objects of the entries that take part, in the index's order.
func read(ctx context.Context, opts Options) ([]archive.Entry, []*unstructured.Unstructured, error) {
	var entries []archive.Entry
	for _, e := range opts.Archive.Index().Entries {
		if opts.wants(e) {
			entries = append(entries, e)
		}
	}
	objects := make([]*unstructured.Unstructured, len(entries))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(opts.Parallel)
	for i, e := range entries {
		group.Go(func() error {
			obj, err := opts.Archive.Object(gctx, e)
			if err != nil {
				return fmt.Errorf("read %s: %w", e.ID(), err)
			}
			objects[i] = obj
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return entries, objects, nil
}
