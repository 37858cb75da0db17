package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Names cannot tell that two places are one: a second name of a server, a gateway before it, a directory that is mounted twice. A
// mirror would then delete its own source. So the stores are asked, where the destination holds anything: were one place in the
// other, each object of the inner one would show in the outer one under a longer key, as the very same object. Copies never do:
// they have a time of their own, and the key that they had. A few objects are enough, since one that is not there already tells the places
// apart; reading is all that it takes.
//
// How much longer the key is, tells the end of the inner place's name, or a key of the outer one that ends with one of the inner one.
const (
	aliasSample = 8   // objects that must all be found
	aliasHints  = 100 // keys of each side that are looked at for what one has in front
	aliasShifts = 8   // beginnings of keys that are tried
)

const overlapMend = "name a destination outside of the source, and the other way round"

// unmirrored refuses a sync of a place with itself or a part of itself.
func (e *engine) unmirrored(ctx context.Context, p *plan.Plan, c Planned) error {
	if c.Held == 0 || c.Copy+c.ToRead+c.Deletions+c.Conflicts == 0 && HasManifest(e.opts.Manifest) {
		return nil
	}
	src, dst := e.first.src, e.first.dst
	for _, way := range []struct {
		what         string
		inner, outer []bucket.Object
		url          string
		in           bucket.Bucket
	}{
		{"the source's", src, dst, e.fromCaps.URL, e.to},
		{"the destination's", dst, src, e.toCaps.URL, e.from},
	} {
		for _, shift := range e.shifts(way.url, way.inner, way.outer) {
			found, err := e.shows(ctx, way.inner, way.in, shift)
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
	found, err := e.shows(ctx, src, e.to, "")
	if err != nil || !found {
		return err
	}
	// Replicas that keep times look the same, and nothing is lost where a place is synced with the whole of itself: every key is on both sides.
	what := fmt.Sprintf("%s and %s may be one place under two names: all objects that were looked at are of the same time and tag on both sides", e.fromCaps.URL, e.toCaps.URL)
	if e.kinship == doubtful {
		p.Refuse(e.opts.Name, what+", and both servers have one address", overlapMend)
		return nil
	}
	p.Note(plan.Warning, e.opts.Name, what)
	return nil
}

// firsts are the first objects of both sides.
type firsts struct{ src, dst []bucket.Object }

func (f *firsts) add(p pair) {
	for _, side := range []struct {
		to  *[]bucket.Object
		obj *bucket.Object
	}{{&f.src, p.src}, {&f.dst, p.dst}} {
		if side.obj != nil && side.obj.Folder == bucket.NotFolder && side.obj.Irregular == "" && len(*side.to) < aliasHints {
			kept := *side.obj
			kept.Key = strings.Clone(kept.Key) // without the page that it is a part of
			*side.to = append(*side.to, kept)
		}
	}
}

func (f *firsts) join(next firsts) {
	f.src = append(f.src, next.src[:min(len(next.src), aliasHints-len(f.src))]...)
	f.dst = append(f.dst, next.dst[:min(len(next.dst), aliasHints-len(f.dst))]...)
}

// shifts are what keys of the inner place may have in front of them in the outer one.
func (e *engine) shifts(url string, inner, outer []bucket.Object) (all []string) {
	add := func(shift string) {
		if shift != "" && len(all) < aliasShifts && !slices.Contains(all, shift) {
			all = append(all, shift)
		}
	}
	_, name, _ := strings.Cut(url, "://")
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for n := len(parts) - 1; n >= 0 && len(all) < aliasShifts/2; n-- {
		add(strings.Join(parts[n:], "/") + "/")
	}
	for _, in := range inner[:min(len(inner), aliasSample)] {
		for _, out := range outer {
			if before, ok := strings.CutSuffix(out.Key, in.Key); ok && strings.HasSuffix(before, "/") && e.alike(in, out) {
				add(before)
			}
		}
	}
	return all
}

// shows reports whether another place has objects, all that are looked at, with a text before their keys.
func (e *engine) shows(ctx context.Context, objects []bucket.Object, in bucket.Bucket, before string) (bool, error) {
	found := 0
	for _, o := range objects[:min(len(objects), aliasSample)] {
		other, err := in.Head(ctx, before+o.Key)
		switch {
		case none(err), errors.Is(err, bucket.ErrDenied), errors.Is(err, bucket.ErrKeyNeeded):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("look at %q: %w", before+o.Key, err)
		case !e.alike(o, other):
			return false, nil
		}
		found++
	}
	return found > 0, nil
}

// alike reports whether both sides show what may be one object. Tags of different providers say nothing of each other.
func (e *engine) alike(a, b bucket.Object) bool {
	if a.Size != b.Size || a.Modified.IsZero() || a.Modified.Unix() != b.Modified.Unix() {
		return false
	}
	one := strings.NewReplacer("minio", "s3")
	if one.Replace(e.fromCaps.Provider) != one.Replace(e.toCaps.Provider) {
		return true
	}
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	return agree(a.ETag, b.ETag) && agree(a.Version, b.Version)
}
