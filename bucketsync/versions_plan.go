package bucketsync

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// versionEnds finds out whether both sides keep versions.
func (e *engine) versionEnds(ctx context.Context, p *plan.Plan) error {
	what := e.opts.Name
	if e.opts.Conflict == ConflictOverwrite {
		p.Refuse(what, "versions are copied, and a version is never written over", "say fail or skip for conflicts")
	}
	if e.versions == nil {
		for _, b := range []bucket.Bucket{e.opts.From, e.opts.To} {
			if _, ok := bucket.VersionedOf(b); !ok {
				caps := b.Describe()
				p.Refuse(what, "versions are to be copied, and Crossfade neither reads nor writes versions of "+caps.URL+", a store of kind "+caps.Provider,
					"copy the current objects only, or choose S3, MinIO, Cloud Storage or Azure for both sides")
			}
		}
		return nil
	}
	to, err := e.askVersions(ctx)
	if err != nil {
		return err
	}
	if e.destinationMissing {
		if _, ok := bucket.KeeperOf(e.opts.To); !ok {
			p.Refuse(what, "the destination "+e.toCaps.URL+" cannot be made so that it keeps versions", "make it yourself, with versioning on")
		}
	} else if to.Unknown {
		p.Note(plan.Warning, what, "whether the destination "+e.toCaps.URL+" keeps versions is told by no request before something was written there: if it keeps none, each object fails once its first version is there, and none is written over")
	} else if !to.Enabled {
		p.Refuse(what, "versions are to be copied, and the destination "+e.toCaps.URL+" keeps none", "turn on its versioning")
	}
	if !e.versions.markers {
		p.Note(plan.Warning, what, "one side keeps no deletions between versions: only whether there is an object now is kept of them")
	}
	return nil
}

// surveyVersions is survey for histories.
func (e *engine) surveyVersions(ctx context.Context, s *surveyor) error {
	if _, err := e.askVersions(ctx); err != nil {
		return err
	}
	workers, wctx := errgroup.WithContext(ctx)
	workers.SetLimit(e.opts.width())
	walk := func() error {
		for h, err := range e.histories(wctx) {
			if err != nil {
				return err
			}
			s.count(func(c *Planned) {
				c.Held += int64(len(h.dst))
				c.weigh(len(h.src) > 0, len(h.recs) > 0)
			})
			e.kin.see(pair{key: h.key, src: latest(h.src), dst: latest(h.dst)})
			steps, problem := align(h, e.versions.markers)
			if problem != "" {
				s.count(func(c *Planned) { c.Conflicts++ })
				if e.opts.Conflict != ConflictSkip {
					s.refusals.add("the destination's history is another one ("+problem+")", h.key, versionsMend)
				}
				continue
			}
			for _, st := range steps {
				s.judgeVersion(wctx, st, workers)
			}
		}
		return nil
	}
	werr := walk()
	if err := workers.Wait(); err != nil {
		return err
	}
	return werr
}

// latest is the object that a history ends with, if it ends with one.
func latest(versions []bucket.Version) *bucket.Object {
	if n := len(versions); n > 0 && !versions[n-1].Marker {
		return &versions[n-1].Object
	}
	return nil
}

func (s *surveyor) judgeVersion(ctx context.Context, st step, workers *errgroup.Group) {
	switch st.kind {
	case stepSame:
		s.count(func(c *Planned) { c.Same++ })
	case stepCheck:
		s.count(func(c *Planned) {
			if st.src.Marker {
				c.Same++
				return
			}
			c.ToRead++
			foreseeRead(c, st.src.Size)
		})
	case stepExtra, stepExtraOwn:
		s.count(func(c *Planned) {
			if s.e.opts.deletes(st.kind == stepExtraOwn) && st.dst.Version != "" {
				c.Deletions++
				return
			}
			c.Extra++
		})
	case stepCopy:
		if st.src.Marker {
			s.count(func(c *Planned) {
				c.Markers++
				c.ToRequests.Delete++
			})
			return
		}
		s.count(func(c *Planned) {
			c.Copy++
			c.CopyBytes += st.src.Size
			s.e.foreseeCopy(c, pair{key: st.src.Key, src: &st.src.Object})
		})
		if problem := unfit(st.src.Object, s.e.toCaps); problem != "" {
			s.refusals.add(problem, st.src.Key, unfitMend)
			return
		}
		if !s.look {
			s.archived(st.src.Object)
			return
		}
		workers.Go(func() error { return s.lookAtVersion(ctx, *st.src) })
	}
}

// lookAtVersion asks for a version's properties and enters what they lose.
func (s *surveyor) lookAtVersion(ctx context.Context, v bucket.Version) error {
	src, err := s.e.at(&v, nil).from.Head(ctx, v.Key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	if errors.Is(err, bucket.ErrKeyNeeded) {
		s.refusals.add(keyNeededWords, v.Key, keyNeededMend)
		return nil
	}
	if s.denied(v.Key, err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at version %s of %q at the source: %w", v.Version, v.Key, err)
	}
	if src.Properties == nil {
		return fmt.Errorf("the source tells no properties of %q: %w", v.Key, bucket.ErrUnsupported)
	}
	s.archived(src)
	_, entries, bad, err := s.e.carry(ctx, *src.Properties)
	if err != nil {
		return err
	}
	if bad != nil {
		s.refusals.add(bad.why, v.Key, bad.mend)
		return nil
	}
	return s.e.ledger.add(v.Key, entries)
}

// verifyVersions finds out about every version of every key, in order: histories are equal where they have as many, one after
// the other equal. What an older version is proven by is told to no witness.
func (e *engine) verifyVersions(ctx context.Context, mode Mode, reads func(string) bool, s *summary, workers *errgroup.Group) error {
	if _, err := e.askVersions(ctx); err != nil {
		return err
	}
	for h, err := range e.histories(ctx) {
		if err != nil {
			return err
		}
		bySource := map[string]*Record{}
		for i := range h.recs {
			bySource[h.recs[i].Source.Version] = &h.recs[i]
		}
		for _, p := range pairVersions(h) {
			if err := e.verifyVersion(ctx, h.key, p.src, p.dst, bySource, mode, reads(h.key), s, workers); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *engine) verifyVersion(ctx context.Context, key string, src, dst *bucket.Version, recs map[string]*Record, mode Mode, read bool, s *summary, workers *errgroup.Group) error {
	p := pair{key: key}
	if src != nil {
		p.src, p.rec = &src.Object, recs[src.Version]
	}
	if dst != nil {
		p.dst = &dst.Object
	}
	if src == nil || dst == nil {
		f, _ := e.atSight(p, mode, read)
		return s.put(&f)
	}
	if src.Marker || dst.Marker {
		f := finding{
			key: key, inSrc: true, inDst: true, evidence: MarkerEvidence, old: true,
			src: leaf{key: key, content: kindOf(src)}, dst: leaf{key: key, content: kindOf(dst)},
		}
		if src.Marker != dst.Marker {
			f = f.differs(Differ, "version "+name(*dst)+" stands where the source has "+name(*src))
		}
		return s.put(&f)
	}
	one := e.at(src, dst)
	f, certain := one.atSight(p, mode, read)
	f.old = !dst.Latest
	if certain {
		return s.put(&f)
	}
	return s.await(workers, func() finding {
		if err := one.lookAt(ctx, p, &f, read || mode == ModeHash, mode == ModeProof); errors.Is(err, errSourceMoved) || errors.Is(err, bucket.ErrNotExist) {
			f = f.differs(Differ, "it changed while it was looked at")
		} else {
			f.err = err
		}
		return f
	})
}

// kindOf is what stands for the content of a version in the roots where one side has a marker.
func kindOf(v *bucket.Version) string {
	if v.Marker {
		return string(MarkerEvidence)
	}
	return "object"
}

// versionWords tells what a sync with versions would do, beside what words tells.
func versionWords(c Planned) string {
	if !c.Versions {
		return ""
	}
	return "; of every key all versions, oldest first, with " + cli.Count(int(c.Markers), "delete marker")
}
