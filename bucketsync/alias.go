package bucketsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Names cannot tell that two places are one: a second name of a server, a gateway before it, a directory that is mounted twice. A
// mirror would then delete its own source. So the stores are asked, where the destination holds anything: were one place in the
// other, each object of the inner one would show in the outer one under a longer key, as the very same object. Copies never do:
// they have a time of their own, and the key that they had. A few objects are enough, since one that is not there already tells the places
// apart; reading is all that it takes.
//
// How much longer the key is, tells the end of the inner place's name, or a key of the outer one that ends with one of the inner one. All
// keys that the plan lists are looked at for that, so the few objects of each side are known before.
const (
	aliasSample = 8    // objects that must all be found
	aliasListed = 1000 // keys that are listed for them
	aliasShifts = 8    // beginnings of keys that are tried of those that names tell, and of those that keys tell
	aliasHeard  = 64   // of the latter, that are counted
)

const overlapMend = "name a destination outside of the source, and the other way round"

// kin is what a plan looks at to know one place from two.
type kin struct{ src, dst side }

// side is what is known of a few objects of one side, and of the other side's objects that look like them.
type side struct {
	url    string
	dir    string        // empty where it is none
	own    bucket.Bucket // where the objects are
	other  bucket.Bucket
	beyond string // URL of the other
	within string // dir of the other
	few    []bucket.Object
	by     map[trace][]bucket.Object

	mu    sync.Mutex
	heard map[string]int // what objects of the other side have in front of a key, by how often
	calm  map[string]bool
	heads struct{ own, other int64 }
}

// trace is what every name of an object shows alike.
type trace struct{ size, second int64 }

func traceOf(o bucket.Object) trace { return trace{o.Size, o.Modified.Unix()} }

// acquaint lists the few objects of both sides.
func (e *engine) acquaint(ctx context.Context) (*kin, error) {
	k := &kin{}
	if e.kinship == distinct || e.destinationMissing {
		return k, nil
	}
	dirOf := func(b bucket.Bucket) string {
		if at := placeOf(b, ""); at.nested {
			return at.store
		}
		return ""
	}
	from, to := dirOf(e.opts.From), dirOf(e.opts.To)
	k.src = side{url: e.fromCaps.URL, beyond: e.toCaps.URL, own: e.from, other: e.to, dir: from, within: to}
	k.dst = side{url: e.toCaps.URL, beyond: e.fromCaps.URL, own: e.to, other: e.from, dir: to, within: from}
	both, bctx := errgroup.WithContext(ctx)
	for _, s := range []*side{&k.src, &k.dst} {
		s.heard, s.calm = map[string]int{}, map[string]bool{}
		both.Go(func() error {
			if err := s.meet(bctx, e.opts); err != nil {
				return fmt.Errorf("list the first objects of %s: %w", s.url, err)
			}
			return nil
		})
	}
	return k, both.Wait()
}

// meet takes the first objects that are to be synced, or where those that are listed are all left out, the first ones: what is deleted on
// the other side may be among its own all the same.
func (s *side) meet(ctx context.Context, opts Options) error {
	asked := opts.listing()
	// A small listing is all that most take. MinIO walks the whole bucket for one of ten keys or more, which would be twice the work of a run that
	// has nothing to do: https://github.com/minio/minio/blob/master/cmd/metacache-server-pool.go.
	if asked.Limit = aliasListed; opts.Filter.Everything() {
		asked.Limit = aliasSample
	}
	listed, err := s.meetAmong(ctx, opts, asked)
	if err == nil && len(s.few) == 0 && listed == aliasSample {
		asked.Limit = aliasListed // all of them were folders
		_, err = s.meetAmong(ctx, opts, asked)
	}
	return err
}

// meetAmong takes them from a listing, and says how much that had.
func (s *side) meetAmong(ctx context.Context, opts Options, asked bucket.ListOptions) (listed int, err error) {
	var others []bucket.Object
	for o, err := range s.own.List(ctx, asked) {
		if errors.Is(err, bucket.ErrUnordered) {
			break
		}
		if err != nil {
			return listed, err
		}
		if plain := o.Folder == bucket.NotFolder && o.Irregular == ""; plain && opts.Filter.takes(o.Key) {
			s.few = append(s.few, o)
		} else if plain && len(others) < aliasSample {
			others = append(others, o)
		}
		if listed++; listed >= asked.Limit || len(s.few) >= aliasSample {
			break
		}
	}
	if len(s.few) == 0 {
		s.few = others
	}
	s.by = map[trace][]bucket.Object{}
	for i := range s.few {
		s.few[i].Key = strings.Clone(s.few[i].Key) // without the page that it is a part of
		s.by[traceOf(s.few[i])] = append(s.by[traceOf(s.few[i])], s.few[i])
	}
	return listed, nil
}

// see takes note of what looks like one of the few objects of the other side.
func (k *kin) see(p pair) {
	if k == nil {
		return
	}
	k.src.hear(p.dst)
	k.dst.hear(p.src)
}

func (s *side) hear(o *bucket.Object) {
	if o == nil || len(s.by) == 0 {
		return
	}
	for _, few := range s.by[traceOf(*o)] {
		if before, ok := strings.CutSuffix(o.Key, few.Key); ok && strings.HasSuffix(before, "/") {
			s.mu.Lock()
			if _, known := s.heard[before]; known || len(s.heard) < aliasHeard {
				s.heard[strings.Clone(before)]++
			}
			s.mu.Unlock()
		}
	}
}

// unmirrored refuses a sync of a place with itself or a part of itself.
func (e *engine) unmirrored(ctx context.Context, p *plan.Plan, c *Planned) error {
	k := e.kin
	if c.Held == 0 || c.Copy+c.ToRead+c.Deletions+c.Conflicts == 0 && HasManifest(e.opts.Manifest) {
		return nil
	}
	defer func() {
		c.FromRequests.Head += k.src.heads.own + k.dst.heads.other
		c.ToRequests.Head += k.dst.heads.own + k.src.heads.other
	}()
	for _, way := range []struct {
		what string
		*side
	}{{"the source's", &k.src}, {"the destination's", &k.dst}} {
		for _, shift := range way.shifts() {
			found, err := e.shows(ctx, way.side, shift)
			if err != nil {
				return err
			}
			if found {
				p.Refuse(e.opts.Name, fmt.Sprintf("source and destination overlap: %s and %s. All objects of %s that were looked at are on the other side too, below %q, of the same time and tag",
					e.fromCaps.URL, e.toCaps.URL, way.what, shift), overlapMend)
				return nil
			}
		}
	}
	found, err := e.shows(ctx, &k.src, "")
	if err != nil || !found {
		return err
	}
	// Replicas that keep times look the same, and nothing is lost where a place is synced with the whole of itself: every key is on both sides.
	what := fmt.Sprintf("%s and %s may be one place under two names: all objects that were looked at are of the same time and tag on both sides", e.fromCaps.URL, e.toCaps.URL)
	if e.kinship == doubtful {
		p.Refuse(e.opts.Name, what+", and both servers have one address", overlapMend)
		return nil
	}
	p.Note(plan.Warning, e.opts.Name, what+": no proof of one holds for the other then")
	return nil
}

// shifts are what keys of this side may have in front of them on the other one: first what its name ends with, then what keys told.
func (s *side) shifts() (all []string) {
	all = shiftsOf(s.url, s.beyond)
	s.mu.Lock()
	defer s.mu.Unlock()
	told := slices.SortedFunc(maps.Keys(s.heard), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.heard[b], s.heard[a]), cmp.Compare(a, b))
	})
	for _, shift := range told[:min(len(told), aliasShifts)] {
		if !slices.Contains(all, shift) {
			all = append(all, shift)
		}
	}
	return all
}

// shiftsOf are beginnings that the name of an inner place tells, the likeliest first: its prefix without the outer one's, its prefix, and
// then what the name ends with.
func shiftsOf(inner, outer string) (all []string) {
	add := func(shift string) {
		if shift != "" && len(all) < aliasShifts && !slices.Contains(all, shift) {
			all = append(all, shift)
		}
	}
	_, name, _ := strings.Cut(inner, "://")
	if in, err := bucket.ParseURL(inner); err == nil && in.Prefix != "" {
		if out, err := bucket.ParseURL(outer); err == nil && strings.HasPrefix(in.Prefix, out.Prefix) {
			add(in.Prefix[len(out.Prefix):])
		}
		add(in.Prefix)
	} else if err == nil && in.Scheme == bucket.SchemeFile {
		name = filepath.ToSlash(in.Path)
	}
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for n := len(parts) - 1; n >= 0; n-- {
		add(strings.Join(parts[n:], "/") + "/")
	}
	return all
}

// shows reports whether the other side has the few objects of this one, all of them, with a text before their keys. One that was
// replaced or deleted here since it was listed tells nothing.
func (e *engine) shows(ctx context.Context, s *side, before string) (bool, error) {
	found := 0
	for _, o := range s.few {
		if unfit(bucket.Object{Key: before + o.Key}, s.other.Describe()) != "" {
			return false, nil
		}
		s.heads.other++
		other, err := s.other.Head(ctx, before+o.Key)
		switch {
		case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrUnsupported), errors.Is(err, bucket.ErrKeyNeeded):
			return false, nil
		case err != nil && !none(err):
			return false, fmt.Errorf("look at %q: %w", before+o.Key, err)
		case err == nil && e.alike(o, other):
			if s.dir != "" && s.within != "" && linked(s.dir+o.Key, s.within+before+o.Key) {
				return false, nil
			}
			found++
			continue
		}
		if still, err := s.still(ctx, o); err != nil || still {
			return false, err
		}
	}
	return found > 0, nil
}

// still reports whether an object is as it was listed.
func (s *side) still(ctx context.Context, o bucket.Object) (bool, error) {
	if s.calm[o.Key] {
		return true, nil
	}
	s.heads.own++
	now, err := s.own.Head(ctx, o.Key)
	switch {
	case errors.Is(err, bucket.ErrNotExist), errors.Is(err, bucket.ErrIrregular):
		return false, nil
	case errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrUnsupported), errors.Is(err, bucket.ErrKeyNeeded):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look at %q: %w", o.Key, err)
	}
	s.calm[o.Key] = sameTime(o, now) && o.Size == now.Size && agree(o.ETag, now.ETag)
	return s.calm[o.Key], nil
}

// alike reports whether both sides show what may be one object. Tags of different providers say nothing of each other.
func (e *engine) alike(a, b bucket.Object) bool {
	if a.Size != b.Size || a.Modified.IsZero() || !sameTime(a, b) {
		return false
	}
	one := strings.NewReplacer("minio", "s3")
	if one.Replace(e.fromCaps.Provider) != one.Replace(e.toCaps.Provider) {
		return true
	}
	return agree(a.ETag, b.ETag) && agree(a.Version, b.Version)
}

func agree(a, b string) bool { return a == "" || b == "" || a == b }

// sameTime compares times as finely as both are told: to the second where one has no part of a second.
func sameTime(a, b bucket.Object) bool {
	if a.Modified.Nanosecond() == 0 || b.Modified.Nanosecond() == 0 {
		return a.Modified.Unix() == b.Modified.Unix()
	}
	return a.Modified.UnixMilli() == b.Modified.UnixMilli()
}

// linked reports whether two paths are one file in two directories: a hard link, which is deleted and replaced without harm to the other.
func linked(a, b string) bool {
	one := func(a, b string) bool {
		x, err := os.Stat(filepath.FromSlash(a))
		if err != nil {
			return false
		}
		y, err := os.Stat(filepath.FromSlash(b))
		return err == nil && os.SameFile(x, y)
	}
	return one(a, b) && !one(path.Dir(a), path.Dir(b))
}
