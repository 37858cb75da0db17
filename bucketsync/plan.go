package bucketsync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of this step's changes.
const (
	ActionCreate plan.Action = "create bucket"
	ActionSync   plan.Action = "sync bucket"
)

// Planned is the data of the change that syncs. The counts are those of the time of planning: while the source is written
// to, Apply finds more.
type Planned struct {
	Name          string   `json:"name"`
	From          string   `json:"from"`
	To            string   `json:"to"`
	Prefix        string   `json:"prefix,omitempty"`
	Range         Range    `json:"range,omitzero"`
	Filter        Filter   `json:"filter,omitzero"`
	Delete        bool     `json:"delete,omitempty"`
	DeleteForeign bool     `json:"deleteForeign,omitempty"`
	Conflict      Conflict `json:"conflict"`
	Final         bool     `json:"final,omitempty"`
	Versions      bool     `json:"versions,omitempty"`

	Copy int64 `json:"copy"`
	// Markers counts the delete markers to copy, where versions are.
	Markers int64 `json:"markers,omitempty"`
	// Replace counts those of Copy that replace what the destination has.
	Replace   int64 `json:"replace,omitempty"`
	CopyBytes int64 `json:"copyBytes"`
	Same      int64 `json:"same"`
	// ToRead objects are of one size on both sides and nothing tells whether they are equal: Apply reads them.
	ToRead    int64 `json:"toRead"`
	Conflicts int64 `json:"conflicts"`
	Deletions int64 `json:"deletions"`
	Extra     int64 `json:"extra"`
	// Irregular counts those of Extra that are no objects, as links and pipes in a directory: nothing deletes them. IrregularKeys are
	// the first ones, with what they are.
	Irregular     int64    `json:"irregular,omitempty"`
	IrregularKeys []string `json:"irregularKeys,omitempty"`
	Held          int64    `json:"held"` // objects at the destination
	// Source counts the objects at the source that the choice of keys takes, LeftOut those that it does not, and Gone the keys that were copied
	// from there before and are not there any more.
	Source  int64 `json:"source"`
	LeftOut int64 `json:"leftOut,omitempty"`
	Gone    int64 `json:"gone,omitempty"`
	// Resumed counts keys in ranges that an earlier run, which was broken off, had finished: they are not listed again.
	Resumed int64 `json:"resumed,omitempty"`
	// Make says that the destination is to be made; Configure counts parts of its configuration that are to be written.
	Make      bool  `json:"make,omitempty"`
	Configure int64 `json:"configure,omitempty"`
	// Settings says what is lost and mapped of the source's configuration, where it is to be written.
	Settings *Configured `json:"settings,omitempty"`
	// FromRequests and ToRequests are what the sync is going to ask of each side.
	FromRequests Requests `json:"fromRequests"`
	ToRequests   Requests `json:"toRequests"`
	// Archived sums the objects among those to copy or to read whose reading costs by the byte, or has to wait.
	Archived []ArchivedSum `json:"archived,omitempty"`
	// Unsettled says that an earlier run was cut off: writes in parts are to be gone on with or dropped, or its notes to be put in order.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Idle reports that nothing would be done: both listings were complete, and what they show is as it was left.
func (c Planned) Idle() bool {
	return c.Copy+c.Markers+c.ToRead+c.Deletions+c.Configure == 0 && !c.Make && !c.Unsettled && !c.Final
}

// Plan lists both sides, compares them, and looks at the properties of what is to be copied. It changes nothing.
// An error says that it could not look; what it found in the way of the sync is in the plan's refusals.
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	opts = opts.withDefaults()
	p := plan.New(opts.Migration, opts.Stage)
	e, err := begin(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	usable, err := e.checkEnds(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	if !usable {
		return p, nil
	}
	look := opts.Strict || !opts.Brief || e.guarded(ctx)
	if !e.destinationMissing && e.resumes() {
		if e.done, err = e.resume(ctx, e.finishedOf()); err != nil && !errors.Is(err, errUnsorted) {
			return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
		}
	}
	if e.kin, err = e.acquaint(ctx); err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	planned, err := e.survey(ctx, p, look)
	if err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	if err := e.unmirrored(ctx, p, &planned); err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	e.notes(p, planned)
	e.emptiness(p, planned)
	if err := e.hiddenNotes(ctx, p); err != nil {
		return nil, fmt.Errorf("plan to sync %s: %w", opts.Name, err)
	}
	settings, err := e.configure(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("plan the configuration of %s: %w", opts.Name, err)
	}
	planned.Make, planned.Configure, planned.Settings = e.destinationMissing, int64(len(settings.before)+len(settings.after)), settings.told
	e.changes(p, planned, settings)
	p.Data = plan.JSON(planned)
	return p, nil
}

// PlannedOf reads the counts of a plan of Plan or PlanBack.
func PlannedOf(p *plan.Plan) (Planned, error) {
	var planned Planned
	if len(p.Data) == 0 {
		return planned, nil // it was refused before anything was counted
	}
	if err := json.Unmarshal(p.Data, &planned); err != nil {
		return planned, fmt.Errorf("read the plan of %s: %w", p.Stage, err)
	}
	return planned, nil
}

// Delta counts how much of the source is not at the destination yet, from the listings and the manifest alone: objects to
// copy, to compare or to delete, and the bytes of the first two.
func Delta(ctx context.Context, opts Options) (objects, bytes int64, err error) {
	opts = opts.withDefaults()
	e, err := begin(ctx, opts)
	if err != nil {
		return 0, 0, fmt.Errorf("count what is left of %s: %w", opts.Name, err)
	}
	if err := e.to.Check(ctx); errors.Is(err, bucket.ErrNotExist) {
		e.destinationMissing = true
	}
	planned, err := e.survey(ctx, plan.New(opts.Migration, opts.Stage), false)
	if err != nil {
		return 0, 0, fmt.Errorf("count what is left of %s: %w", opts.Name, err)
	}
	return planned.Copy + planned.Markers + planned.ToRead + planned.Conflicts + planned.Deletions, planned.CopyBytes, nil
}

// checkEnds finds out whether both buckets are there and are two.
func (e *engine) checkEnds(ctx context.Context, p *plan.Plan) (usable bool, err error) {
	name, from, to := e.opts.Name, e.fromCaps.URL, e.toCaps.URL
	if err := (Filter{Include: e.opts.Recopy}).Check(); err != nil {
		p.Refuse(name, err.Error(), "correct the globs of what is to be copied again")
	}
	if err := e.opts.Filter.Check(); err != nil {
		p.Refuse(name, err.Error(), "correct the globs that include and exclude keys")
	}
	e.kinship = placeOf(e.opts.From, e.opts.Prefix).overlaps(ctx, placeOf(e.opts.To, e.opts.Prefix), net.DefaultResolver.LookupHost)
	if e.kinship == overlapping {
		p.Refuse(name, fmt.Sprintf("source and destination overlap: %s and %s", from, to), overlapMend)
	}
	if e.opts.Delete && !e.opts.DeleteForeign && e.opts.Manifest == "" {
		p.Refuse(name, "deleting is asked for, and without a manifest nothing tells which objects are "+e.opts.writer()+"'s own",
			"give a manifest, or say that foreign objects may be deleted too")
	}
	switch err := e.from.Check(ctx); {
	case errors.Is(err, bucket.ErrNotExist):
		p.Refuse(name, "the source "+from+" does not exist", "correct its name, or its store")
	case errors.Is(err, bucket.ErrDenied):
		p.Refuse(name, "the source "+from+" may not be listed: "+err.Error(), "give its credentials the right to list and read")
	case err != nil:
		return false, unreached("source", err)
	}
	switch err := e.to.Check(ctx); {
	case errors.Is(err, bucket.ErrNotExist):
		e.destinationMissing = true
		if _, ok := e.opts.To.(bucket.Maker); !ok || !e.opts.Create {
			p.Refuse(name, "the destination "+to+" does not exist", e.opts.said("create it, or let this migration create it", "create it, or say --create"))
		}
	case errors.Is(err, bucket.ErrDenied):
		p.Refuse(name, "the destination "+to+" may not be listed: "+err.Error(), "give its credentials the right to list, read and write")
	case err != nil:
		return false, unreached("destination", err)
	}
	if e.opts.Versions {
		if err := e.versionEnds(ctx, p); err != nil {
			return false, err
		}
	}
	return len(p.Refusals) == 0, nil
}

// unreached is the failure of an end of which nothing is known: it did not answer, or answers as no store does.
func unreached(end string, err error) error {
	return &mend.Error{Op: "check the " + end, Err: err, Hint: "see that its address is right and that it answers there; nothing was changed"}
}

// survey counts what a pass would do. With look, it also asks for the properties of what would be copied, and refuses
// what the destination cannot hold.
func (e *engine) survey(ctx context.Context, p *plan.Plan, look bool) (Planned, error) {
	for _, resort := range []bool{false, true} {
		s := &surveyor{e: e, refusals: &refusals{}, look: look, planned: Planned{
			Name: e.opts.Name, From: e.fromCaps.URL, To: e.toCaps.URL, Prefix: e.opts.Prefix, Range: e.opts.Range, Filter: e.opts.Filter,
			Delete: e.opts.Delete, DeleteForeign: e.opts.DeleteForeign, Conflict: e.opts.Conflict, Final: e.opts.Final, Versions: e.opts.Versions,
			Unsettled: e.unsettled(),
		}}
		e.leftOut.Store(0)
		e.ledger = &ledger{path: e.opts.ForeseenLosses, foreseen: true}
		err := e.ledger.add("", nil) // a file without lines says that nothing is lost
		if err == nil {
			err = s.everything(ctx, resort)
		}
		err = errors.Join(err, e.ledger.close())
		if errors.Is(err, errUnsorted) && !resort {
			continue
		}
		s.refusals.into(p, e.opts.Name)
		s.planned.LeftOut = e.leftOut.Load()
		e.foresee(&s.planned)
		err = errors.Join(err, s.sumArchived()) // before planned is read: the sums go into it
		return s.planned, err
	}
	return Planned{}, errUnsorted // a sorted listing is in order
}

// everything walks objects, or where versions are copied histories.
func (s *surveyor) everything(ctx context.Context, resort bool) error {
	if s.e.opts.Versions {
		return s.e.surveyVersions(ctx, s)
	}
	return s.walk(ctx, resort)
}

type surveyor struct {
	e        *engine
	look     bool
	refusals *refusals

	mu      sync.Mutex
	planned Planned
	cold    map[string]*ArchivedSum // by class, and whether it can be read
}

func (s *surveyor) count(change func(*Planned)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.planned)
}

func (s *surveyor) walk(ctx context.Context, resort bool) error {
	workers, wctx := errgroup.WithContext(ctx)
	workers.SetLimit(s.e.opts.width())
	var spans perSpan[Planned]
	how := walkOptions{resort: resort}
	if !resort {
		how.done = s.e.done
	}
	s.planned.Resumed, s.planned.Held = keysOf(how.done)
	lerr := s.e.walk(wctx, how, func(at *span) visitor {
		own, above := spans.of(at), at.above
		return func(p pair) error {
			s.e.kin.see(p)
			if s.e.toCaps.NoneBelow && above.add(p) {
				s.refusals.add(nestedWords, p.key, unfitMend)
			}
			p, err := s.e.folders(p)
			if err != nil {
				return err
			}
			if p.held() {
				own.Held++
			}
			own.weigh(p.src != nil, p.rec != nil)
			if v := s.e.judge(p); v == same {
				own.Same++
			} else {
				s.judge(wctx, p, v, workers)
			}
			return nil
		}
	})
	err := workers.Wait()
	for _, own := range spans.inOrder() {
		s.planned.Held += own.Held
		s.planned.Same += own.Same
		s.planned.Source += own.Source
		s.planned.Gone += own.Gone
	}
	return cmp.Or(err, lerr)
}

// weigh counts a key that the choice takes.
func (c *Planned) weigh(source, copied bool) {
	switch {
	case source:
		c.Source++
	case copied:
		c.Gone++
	}
}

func (s *surveyor) judge(ctx context.Context, p pair, v verdict, workers *errgroup.Group) {
	switch v {
	case gone, left, same:
	case copyNew, copyOver:
		s.copies(ctx, p, workers)
	case conflict:
		s.conflicts(ctx, p, workers, "its size or digest differs")
	case noObject:
		s.irregular(p)
	case unsure:
		if !s.look {
			s.archived(*p.src)
			s.count(func(c *Planned) {
				c.ToRead++
				c.CopyBytes += p.src.Size
				foreseeRead(c, p.src.Size)
			})
			return
		}
		workers.Go(func() error { return s.tell(ctx, p) })
	case extraOwn, extraForeign:
		if s.e.orphaned(p, v) {
			s.conflicts(ctx, p, nil, orphanWords)
			return
		}
		if s.e.dooms(p, v) {
			s.count(func(c *Planned) {
				c.Deletions++
				foreseeDeletion(c)
			})
		} else {
			s.count(func(c *Planned) {
				c.Extra++
				c.stays(*p.dst)
			})
		}
	}
}

// copies counts an object to copy and looks whether it fits.
func (s *surveyor) copies(ctx context.Context, p pair, workers *errgroup.Group) {
	s.count(func(c *Planned) {
		c.Copy++
		c.CopyBytes += p.src.Size
		if p.dst != nil {
			c.Replace++
		}
		s.e.foreseeCopy(c, p)
	})
	if problem := unfit(*p.src, s.e.toCaps); problem != "" {
		s.refusals.add(problem, p.key, unfitMend)
		return
	}
	if !s.look {
		s.archived(*p.src)
		return
	}
	look := func() error { return s.lookAt(ctx, p) }
	if workers == nil {
		if err := look(); err != nil {
			s.refusals.add(err.Error(), p.key, "see to it that the object can be read")
		}
		return
	}
	workers.Go(look)
}

const unfitMend = "rename, shorten or split it at the source, leave it out of the choice of keys, or choose another destination"

// denied refuses an object that this account may not look at.
func (s *surveyor) denied(key string, err error) bool {
	if !errors.Is(err, bucket.ErrDenied) {
		return false
	}
	why, mend := "it may not be read: "+bucket.ErrDenied.Error(), "give this account the right to read it"
	var told *bucket.Error
	if errors.As(err, &told) {
		why, mend = fmt.Sprintf("access denied: %s it in %s", told.Op, told.URL), cmp.Or(told.Hint, mend)
	}
	s.refusals.add(why, key, mend+"; or leave it out of the choice of keys")
	return true
}

// lookAt asks for an object's properties and enters what they lose.
func (s *surveyor) lookAt(ctx context.Context, p pair) error {
	src, err := s.e.from.Head(ctx, p.key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil // gone since it was listed
	}
	if errors.Is(err, bucket.ErrKeyNeeded) {
		s.refusals.add(keyNeededWords, p.key, keyNeededMend)
		return nil
	}
	if s.denied(p.key, err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %q at the source: %w", p.key, err)
	}
	if src.Properties == nil {
		return fmt.Errorf("the source tells no properties of %q: %w", p.key, bucket.ErrUnsupported)
	}
	s.archived(src)
	props, entries, bad, err := s.e.carry(ctx, *src.Properties)
	if err != nil {
		return err
	}
	if p.dst != nil && bad == nil {
		err := s.e.mayReplace(ctx, props.Lock, p.dst, p.rec.owns(*p.dst))
		if !errors.As(err, &bad) && err != nil {
			return err
		}
	}
	if bad != nil {
		s.refusals.add(bad.why, p.key, bad.mend)
		return nil
	}
	return s.e.ledger.add(p.key, entries)
}

// tell asks both stores about two objects of one size.
func (s *surveyor) tell(ctx context.Context, p pair) error {
	src, err := s.e.from.Head(ctx, p.key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	if errors.Is(err, bucket.ErrKeyNeeded) {
		s.refusals.add(keyNeededWords, p.key, keyNeededMend)
		return nil
	}
	if s.denied(p.key, err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %q at the source: %w", p.key, err)
	}
	dst, err := s.e.to.Head(ctx, p.key)
	if errors.Is(err, bucket.ErrNotExist) {
		s.copies(ctx, p, nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %q at the destination: %w", p.key, err)
	}
	want, entries, err := s.e.fit(ctx, src)
	var bad *misfit
	if errors.As(err, &bad) {
		s.refusals.add(bad.why, p.key, bad.mend)
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.e.ledger.add(p.key, entries); err != nil {
		return err
	}
	differs := func(what string) {
		if p.rec.owns(dst) { // the source was touched, and is another object
			s.copies(ctx, p, nil)
			return
		}
		s.conflicts(ctx, p, nil, what)
	}
	if what := firstDifference(want, dst, s.e.toCaps); what != "" {
		differs(what)
		return nil
	}
	switch rel, a, _ := relate(told(src), told(dst), true); rel {
	case bucket.Different:
		differs("its " + string(a.Algorithm) + " differs")
	case bucket.Same:
		s.count(func(c *Planned) {
			c.Same++
			foreseeLook(c)
		})
	case bucket.Unknown:
		s.archived(src)
		s.count(func(c *Planned) {
			c.ToRead++
			foreseeRead(c, src.Size)
		})
	}
	return nil
}

func (s *surveyor) conflicts(ctx context.Context, p pair, workers *errgroup.Group, what string) {
	switch s.e.opts.Conflict {
	case ConflictOverwrite:
		s.copies(ctx, p, workers)
	case ConflictSkip:
		s.count(func(c *Planned) { c.Conflicts++ })
	case ConflictFail:
		s.count(func(c *Planned) { c.Conflicts++ })
		s.refusals.add("the destination holds an object that "+s.e.opts.writer()+" did not write ("+what+")", p.key, s.e.conflictMend())
	}
}

// orphanWords say what is the matter with an object that was deleted on one side and changed on the other.
const orphanWords = "it was deleted at the source, and changed here since both sides were equal"

// notes tells what a person should know.
func (e *engine) notes(p *plan.Plan, c Planned) {
	name := e.opts.Name
	if e.destinationMissing {
		p.Note(plan.Info, name, "the destination does not exist and will be made")
	}
	if c.Resumed > 0 {
		p.Note(plan.Info, name, cli.Count(int(c.Resumed), "key")+" lie in ranges that a run which was broken off had finished: they are not listed again, and what has changed there since is found by the next run")
	}
	if c.ToRead > 0 {
		p.Note(plan.Info, name, cli.Count(int(c.ToRead), "object")+" of the same size on both sides will be read on both, because no digest tells whether they are equal")
	}
	if c.Conflicts > 0 && e.opts.Conflict == ConflictSkip {
		p.Note(plan.Warning, name, cli.Count(int(c.Conflicts), "object")+" at the destination differ and were not written by "+e.opts.writer()+": they stay as they are")
	}
	if n := c.Extra - c.Irregular; n > 0 {
		p.Note(plan.Warning, name, "only at the destination, where it stays: "+cli.Count(int(n), "object"))
	}
	e.irregularNotes(p, c)
	if !e.toCaps.ConditionalPut || !e.toCaps.ConditionalWrite {
		p.Note(plan.Warning, name, "the destination has no conditional writes: what somebody else writes there in the moment of a copy can be overwritten")
	}
	if c.Copy > 0 && e.opts.Brief && !e.opts.Strict {
		p.Note(plan.Info, name, "planned from the listings: what the properties of objects lose is told when they are copied")
	}
	if c.Copy > 0 {
		p.Note(plan.Info, name, "the time of an object's last change becomes the time of its copy: no store lets it be set")
	}
	e.archivedNotes(p, c)
	if limit := e.opts.deleteLimit(c.Held); c.Deletions > limit {
		p.Refuse(name, fmt.Sprintf("%d of %d objects at %s would be deleted and %d are allowed", c.Deletions, c.Held, e.opts.destination(), limit), e.opts.deleteHint())
	}
	e.ledger.note(p, name, e.opts.Strict)
}

func (e *engine) changes(p *plan.Plan, c Planned, settings configuring) {
	id := e.opts.Stage
	target := e.opts.said(e.opts.Name+": ", "") + c.From + " to " + c.To
	if c.Range != (Range{}) {
		id += fmt.Sprintf("/%q-%q", c.Range.After, c.Range.Before)
		target += fmt.Sprintf(", keys after %q and before %q", c.Range.After, c.Range.Before)
	}
	if e.destinationMissing {
		p.Add(plan.Change{
			ID: id + "/create", Action: ActionCreate, Target: c.To,
			Why: "the destination does not exist; an empty bucket hurts nobody, so nothing is taken back",
		})
	}
	p.Changes = append(p.Changes, settings.before...)
	p.Add(plan.Change{
		ID: id + "/sync", Action: ActionSync, Target: target, Why: c.words(),
		ReliesOn: []plan.Reliance{
			{What: "the source", Is: c.From}, {What: "the destination", Is: c.To},
			{What: "what may be deleted", Is: deletionWords(c.Delete, c.DeleteForeign)},
		},
		Reverse: e.reverse(c),
		Data:    plan.JSON(c),
	})
	p.Changes = append(p.Changes, settings.after...)
}

func (e *engine) reverse(c Planned) *plan.Reverse {
	if e.opts.back {
		return &plan.Reverse{Action: ActionSync, How: "nothing of " + c.From + " is changed; the next sync goes the other way again"}
	}
	how := "nothing of the source is changed; delete at the destination what was copied"
	if e.opts.Manifest != "" {
		how += ": the records of " + e.opts.Manifest + " in state " + string(StateCopied)
	}
	if c.Conflict == ConflictOverwrite {
		how += "; what was overwritten on request is not kept"
	}
	return &plan.Reverse{Action: "delete copies", How: how}
}

func (c Planned) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "copy %s, %s; delete %d", cli.Count(int(c.Copy), "object"), cli.Bytes(c.CopyBytes), c.Deletions)
	if c.ToRead > 0 {
		fmt.Fprintf(&b, "; compare %d by reading", c.ToRead)
	}
	b.WriteString(versionWords(c))
	if c.Final {
		b.WriteString("; again until nothing is left, then prove both sides equal")
	}
	return b.String()
}

func deletionWords(own, foreign bool) string {
	switch {
	case foreign:
		return "whatever the source does not have"
	case own:
		return "copies whose source is gone"
	}
	return "nothing"
}

// refusals gathers reasons not to begin: the first objects of each kind by name, the rest by number.
type refusals struct {
	mu    sync.Mutex
	order []string
	kinds map[string]*refusalKind
}

type refusalKind struct {
	mend string
	n    int64
	keys []string
}

// maxKinds bounds reasons that hold a number or a name of their own.
const maxKinds = 50

func (r *refusals) add(why, key, mend string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = map[string]*refusalKind{}
	}
	kind, ok := r.kinds[why]
	if !ok && len(r.order) >= maxKinds {
		why = "and for further reasons"
		kind, ok = r.kinds[why]
	}
	if !ok {
		kind = &refusalKind{mend: mend}
		r.kinds[why] = kind
		r.order = append(r.order, why)
	}
	kind.n++
	if len(kind.keys) < maxKeys {
		kind.keys = append(kind.keys, fmt.Sprintf("%q", key))
	}
}

func (r *refusals) into(p *plan.Plan, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.order) // they came in the order in which workers ended
	for _, why := range r.order {
		kind := r.kinds[why]
		slices.Sort(kind.keys)
		what := name + ": " + strings.Join(kind.keys, ", ")
		if more := kind.n - int64(len(kind.keys)); more > 0 {
			what += fmt.Sprintf(" and %d more", more)
		}
		p.Refuse(what, why, kind.mend)
	}
}
