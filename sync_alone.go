package crossfade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// SyncOptions say what a sync without a migration file copies, and how. From, To and Dir are required; the zero values of the
// rest copy what is missing or has changed, and touch nothing that the sync did not write.
type SyncOptions struct {
	From, To Store
	// Dir remembers what was copied. One sync at a time may use it, and always for the same two places.
	Dir string
	// Create makes the destination where it is missing.
	Create bool
	// Recopy are globs of what is copied again although it is known to be equal, of what this sync wrote.
	Recopy []string
	// Filter chooses keys, on both sides. A glob that ends with a slash takes what lies below, too.
	Filter bucketsync.Filter
	// Conflict says what happens to an object that somebody else wrote at the destination. Default ConflictFail.
	Conflict bucketsync.Conflict
	// Delete removes copies whose source is gone; Mirror also removes what this sync did not copy.
	Delete, Mirror bool
	// MaxDelete is the share of the destination's objects above which deleting stops before it begins. Nil is 0.30. Ten
	// objects may be deleted whatever their share, but not with 0, which deletes nothing.
	MaxDelete *float64
	// Strict refuses a plan with losses.
	Strict bool
	// Configuration says when the source's configuration is written to the destination. Default bucketsync.ConfigureCreate.
	Configuration bucketsync.ConfigurationMode
	// Versions copies, and compares, every version of every key, delete markers among them, in their order.
	Versions bool
	// AcceptLostLocks copies objects without the locks that the destination cannot hold. Else they are refused.
	AcceptLostLocks bool
	// Keys says for each key of a key service that the source uses which one the destination is to use; see bucketsync.Options.
	Keys map[string]string
	// Warm copies again and again until at most MaxDelta objects differ; default 1000.
	Warm     bool
	MaxDelta int64
	// Final goes on until nothing differs and proves both sides equal: for the time when nothing writes to the source.
	Final bool
	// Proof is how Final proves: bucketsync.ModeProof, which is the default, ModeHash or ModeFull.
	Proof bucketsync.Mode
	// AllowExtra lets the proof hold although the destination has objects of its own.
	AllowExtra bool
	// Reverse brings to From what To has taken since both were proven equal by a Final sync with this Dir, and proves them equal
	// again. Of keys that the Filter of no such sync has chosen nothing is brought. What changed on both sides since is a conflict, which ConflictFail or ConflictSkip decides. Nothing else is touched.
	Reverse bool
	// NoServerSideCopy reads and writes every object, also where both places are on one server that could copy by itself.
	NoServerSideCopy bool
	// Hash is the identity of content in the manifest and in proofs; see bucketsync.Options.
	Hash bucket.Algorithm
	// Concurrency is how many objects are under way at once. 0 finds it out.
	Concurrency int
	// Bandwidth bounds the bytes a second that are read from both places together, and Memory the bytes of objects in memory. 0 is no
	// bound on the first, and that of Options on the second.
	Bandwidth, Memory int64
	// WriteManifest is where a proof leaves its signed manifest; empty is proven.jsonl in Dir. SignKey is the private key, in the
	// form of ssh-keygen or PEM; empty is signing.key in Dir, which is made where it is missing. With a Filter, a manifest of other
	// keys is not replaced: that is refused.
	WriteManifest, SignKey string
	// Losses is a file to which Run appends every property that the destination cannot hold as it is, of each object: a
	// bucketsync.Entry in JSON a line. Empty is losses.jsonl in Dir.
	Losses string
	// Prices is a file of prices for the estimate of Plan; empty is the table that the program brings along.
	Prices string
}

// Sync is one sync of two places, opened.
type Sync struct {
	opts   SyncOptions
	log    *slog.Logger
	redact *redact.Redactor
	engine bucketsync.Options
	tool   string
	events func(Event)
	lock   *flock.Flock // nil when opened for looking
}

// SyncReport is what a sync did and found.
type SyncReport struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Warnings are those of the plan.
	Warnings []Warning `json:"warnings,omitempty"`
	warmResult
	// Manifest is the signed manifest of a final sync.
	Manifest *SignedManifest `json:"manifest,omitempty"`
}

const (
	syncName     = "sync"
	syncManifest = "manifest.jsonl"
	syncLosses   = "losses.jsonl"
	syncFailures = "failures.jsonl"
)

// OpenSync opens both ends. Of the wiring it takes OpenBucket, Silence, Secrets, Log, Clock and Events. It changes
// nothing; Run takes the lock of the directory.
func OpenSync(ctx context.Context, opts SyncOptions, wire Options) (*Sync, error) {
	if wire.OpenBucket == nil {
		return nil, errors.New("no drivers of object stores are wired: set Options.OpenBucket")
	}
	if wire.Log == nil {
		wire.Log = slog.New(slog.DiscardHandler)
	}
	if wire.Clock == nil {
		wire.Clock = clock.System{}
	}
	if wire.Events == nil {
		wire.Events = func(Event) {}
	}
	s := &Sync{opts: opts, events: wire.Events, redact: redact.New(), tool: wire.Tool}
	s.redact.Learn(wire.Secrets...)
	s.redact.Learn(opts.From.SecretKey, opts.To.SecretKey)
	s.log = slog.New(s.redact.Handler(wire.Log.Handler()))
	limit := silenceLimit(wire.Silence, s.log)
	open := func(at Store, what string) (bucket.Bucket, error) {
		at.Silence = limit
		b, err := wire.OpenBucket(ctx, at)
		if err != nil {
			return nil, s.redact.Error(unusable(ctx, fmt.Errorf("open the %s: %w", what, err)))
		}
		return b, nil
	}
	opts.Filter = opts.Filter.Below()
	s.opts.Filter = opts.Filter
	from, err := open(opts.From, "source")
	if err != nil {
		return nil, err
	}
	to, err := open(opts.To, "destination")
	if err != nil {
		return nil, err
	}
	if err := opts.apart(from, to); err != nil {
		return nil, s.redact.Error(err)
	}
	name := from.Describe().URL // what the plan and the errors speak of
	if opts.Reverse {
		name = to.Describe().URL
	}
	s.engine = bucketsync.Options{
		Migration: syncName, Stage: syncName, Name: name, Alone: true, From: from, To: to, Create: opts.Create,
		Filter: opts.Filter, Recopy: bucketsync.Filter{Include: opts.Recopy}.Below().Include, Losses: cmp.Or(opts.Losses, filepath.Join(opts.Dir, syncLosses)), Manifest: filepath.Join(opts.Dir, syncManifest), Conflict: opts.Conflict,
		Delete: opts.Delete || opts.Mirror, DeleteForeign: opts.Mirror, MaxDelete: opts.MaxDelete,
		AcceptLostLocks: opts.AcceptLostLocks, Keys: opts.Keys, Versions: opts.Versions, Configuration: opts.Configuration,
		Strict: opts.Strict, Final: opts.Final, Proof: opts.Proof, AllowExtra: opts.AllowExtra, Concurrency: opts.Concurrency, NoServerSideCopy: opts.NoServerSideCopy,
		Hash: opts.Hash, Bandwidth: opts.Bandwidth, MaxBytes: cmp.Or(opts.Memory, wire.Memory),
		Asked: wire.Asked, Log: s.log, Clock: wire.Clock,
	}
	if s.engine.Prices, err = readPrices(opts.Prices); err != nil {
		return nil, s.redact.Error(&InputError{err})
	}
	s.engine.Progress = copying(wire.Events, syncName)
	return s, nil
}

// apart refuses files of this sync's own inside of a place that is a directory: the key that signs would be copied with the objects, a
// mirror would delete what the sync remembers, and no final sync would ever find two listings alike.
func (o SyncOptions) apart(places ...bucket.Bucket) error {
	for _, own := range []struct{ flag, path string }{
		{"--state", o.Dir}, {"--write-manifest", o.WriteManifest}, {"--sign-key", o.SignKey}, {"--losses", o.Losses},
	} {
		for _, at := range places {
			if own.path == "" {
				continue
			}
			inside, err := bucketsync.HoldsFile(at, own.path)
			if err != nil {
				return err
			}
			if inside {
				return &InputError{fmt.Errorf("%s lies in %s and would be taken for one of its objects: name a path outside of it with %s", own.path, at.Describe().URL, own.flag)}
			}
		}
	}
	return nil
}

// SyncPlanOptions say what a plan leaves.
type SyncPlanOptions struct {
	// Losses is a file for what the destination cannot hold, as the plan foresees it; empty writes none.
	Losses string
}

// Plan lists both sides and returns what Run would do, and an estimate of what that costs. It changes nothing.
func (s *Sync) Plan(ctx context.Context, opts SyncPlanOptions) (_ *SyncPlan, err error) {
	defer func() { err = s.redact.Error(interruptedAlone(ctx, err, true)) }()
	engine := s.engine
	engine.ForeseenLosses = opts.Losses
	p, err := s.planned(ctx, engine)
	if err != nil {
		return nil, err
	}
	out := &SyncPlan{Overview: &Overview{Migration: syncName, Plans: []*Plan{p}}}
	return out, s.cost(out, p, engine.Prices)
}

func (s *Sync) planned(ctx context.Context, engine bucketsync.Options) (*Plan, error) {
	if s.opts.Reverse {
		p, _, err := s.planBack(ctx, engine)
		return p, err
	}
	if s.opts.Final {
		if err := s.replacesManifest(); err != nil {
			return nil, err
		}
	}
	p, err := bucketsync.Plan(ctx, engine)
	if err != nil {
		return nil, err
	}
	if s.opts.Final {
		s.keepsProof(p)
	}
	return p, s.notOnTheWayBack(p)
}

// Run copies. Killed at any point and called again, it goes on. A plan with refusals is a *RefusedError. With an error the report,
// where there is one, says what was done until then.
func (s *Sync) Run(ctx context.Context) (report *SyncReport, err error) {
	if err := s.hold(); err != nil {
		return nil, err
	}
	s.events(Event{Kind: StageBegan, Stage: syncName, Text: s.engine.From.Describe().URL + " and " + s.engine.To.Describe().URL})
	defer func() {
		err = s.redact.Error(interruptedAlone(ctx, nameFailures(filepath.Join(s.opts.Dir, syncFailures), s.redact, err), false))
		s.events(Event{Kind: StageEnded, Stage: syncName, Err: err})
	}()
	if s.opts.Reverse {
		return s.back(ctx)
	}
	brief := s.engine
	brief.Brief = true // Plan is for whoever wants to know more before
	report = &SyncReport{From: s.engine.From.Describe().URL, To: s.engine.To.Describe().URL}
	p, err := s.planned(ctx, brief)
	if err != nil {
		return report, err
	}
	s.warn(p, report)
	if err := p.Err(); err != nil {
		return report, err
	}
	planned, err := bucketsync.PlannedOf(p)
	if err != nil {
		return report, err
	}
	if planned.Idle() {
		report.Result = bucketsync.Result{Skipped: planned.Same, Extra: planned.Extra, Conflicts: planned.Conflicts, Passes: 1}
		return report, nil
	}
	limit := s.opts.MaxDelta
	if limit == 0 {
		limit = defaultMaxDelta
	}
	if s.opts.Warm && !s.opts.Final {
		report.warmResult, err = warmRounds(ctx, p, &plan.MemoryRecorder{}, s.engine, limit)
		return report, err
	}
	return report, s.apply(ctx, p, report)
}

// warn tells what the plan warns of, before anything is copied.
func (s *Sync) warn(p *Plan, report *SyncReport) {
	report.Warnings = warningsOf(p, s.redact)
	for _, w := range report.Warnings {
		s.events(w.event(""))
	}
}

// apply copies once, and leaves a signed manifest where that ends with a proof.
func (s *Sync) apply(ctx context.Context, p *Plan, report *SyncReport) error {
	engine := s.engine
	report.Rounds = 1
	if !s.opts.Final {
		var err error
		report.Result, err = bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, engine)
		return err
	}
	t, err := s.testimony(cmp.Or(s.opts.Proof, bucketsync.ModeProof))
	if err != nil {
		return err
	}
	engine.Witness = t.begin
	report.Result, err = bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, engine)
	if err != nil {
		return errors.Join(err, t.drop())
	}
	if report.Manifest, err = t.end(report.Proof, s.engine.Clock); err != nil || report.Manifest == nil {
		return err
	}
	return s.rememberProof(report.Manifest)
}

// testimony prepares a signed manifest of both places.
func (s *Sync) testimony(mode bucketsync.Mode) (*testimony, error) {
	read, at := attest.ReadOrMakeKey, filepath.Join(s.opts.Dir, signingKey)
	if s.opts.SignKey != "" {
		read, at = attest.ReadKey, s.opts.SignKey
	}
	key, err := read(at)
	if err != nil && s.opts.SignKey != "" {
		return nil, &InputError{err}
	}
	if err != nil {
		return nil, err
	}
	return &testimony{path: s.manifestPath(), key: key, head: attest.Header{
		From: s.engine.From.Describe().URL, To: s.engine.To.Describe().URL, Tool: s.tool, Mode: string(mode),
		Include: s.opts.Filter.Include, Exclude: s.opts.Filter.Exclude, CurrentOnly: s.opts.Versions,
	}}, nil
}

// hold takes the directory for this process.
func (s *Sync) hold() error {
	if s.lock != nil {
		return nil
	}
	hint := "name a directory that can be written as --state"
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return &mend.Error{Op: "make the sync's directory", Err: err, Hint: hint}
	}
	lock := flock.New(filepath.Join(s.opts.Dir, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return &mend.Error{Op: "lock the sync's directory", Err: err, Hint: hint}
	}
	if !ok {
		return &HeldError{Dir: s.opts.Dir, Holder: "another process", Whose: "sync's"}
	}
	s.lock = lock
	return nil
}

// Verify compares both sides, by opts.Mode, SampleSize and Seed. It changes nothing, but writes a signed manifest of what is equal
// where WriteManifest names one; what differs is in the report.
func (s *Sync) Verify(ctx context.Context, opts VerifyOptions) (_ *Verification, err error) {
	defer func() { err = s.redact.Error(interruptedAlone(ctx, err, true)) }()
	checked, err := verifyMode(opts.Mode)
	if err != nil {
		return nil, err
	}
	seed, err := seedOr(opts.Seed, checked)
	if err != nil {
		return nil, err
	}
	o := bucketsync.VerifyOptions{
		From: s.engine.From, To: s.engine.To, Filter: s.opts.Filter, Mode: checked, SampleSize: opts.SampleSize, Seed: seed, AllowExtra: s.opts.AllowExtra,
		Versions: s.opts.Versions, Hash: s.opts.Hash, Concurrency: s.opts.Concurrency, Log: s.log, Clock: s.engine.Clock,
	}
	if bucketsync.HasManifest(s.engine.Manifest) {
		o.Manifest = s.engine.Manifest
	}
	t := &testimony{}
	if s.opts.WriteManifest != "" {
		if err := s.replacesManifest(); err != nil {
			return nil, err
		}
		p := plan.New(verifyName, verifyName)
		if s.keepsProof(p); p.Err() != nil {
			return nil, p.Err()
		}
		if t, err = s.testimony(checked); err != nil {
			return nil, err
		}
		o.Witness = t.begin
	}
	o.Progress = comparing(s.events, verifyName)
	s.events(Event{Kind: StageBegan, Stage: verifyName, Text: s.engine.From.Describe().URL + " and " + s.engine.To.Describe().URL})
	r, err := bucketsync.Verify(ctx, o)
	s.events(Event{Kind: StageEnded, Stage: verifyName, Err: s.redact.Error(err)})
	if err != nil {
		return nil, errors.Join(s.absent(ctx, err), t.drop())
	}
	v := &Verification{Buckets: []BucketVerification{{Name: s.engine.From.Describe().URL, Report: r}}}
	v.Buckets[0].Manifest, err = t.end(&r, s.engine.Clock)
	return v, err
}

// absent says so where a place is not there, of which a listing tells no more than that.
func (s *Sync) absent(ctx context.Context, err error) error {
	if !errors.Is(err, bucket.ErrNotExist) {
		return err
	}
	for _, end := range []bucket.Bucket{s.engine.From, s.engine.To} {
		if errors.Is(end.Check(ctx), bucket.ErrNotExist) {
			return &InputError{&mend.Error{Op: "verify", Err: fmt.Errorf("%s does not exist", end.Describe().URL), Hint: "correct its name, or its store"}}
		}
	}
	return err
}

// unusable is the failure to open a place: what names it, or its credentials, cannot be. An interruption stays one.
func unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &InputError{err}
}

// interruptedAlone says of what a signal ended, in the place of where it was just then, what to do.
func interruptedAlone(ctx context.Context, err error, unchanged bool) error {
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	return &InterruptedError{Unchanged: unchanged, Cause: err}
}

// Close gives the directory back.
func (s *Sync) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Unlock()
}

// Print writes the report for people.
func (r *SyncReport) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("%s to %s: copied %s, %s; %d were the same, %d found equal, %d deleted\n", r.From, r.To, cli.Count(int(r.Copied), "object"), cli.Bytes(r.Bytes), r.Skipped, r.Found, r.Deleted)
	if r.Conflicts > 0 {
		out.f("left as they are: %s that somebody else wrote at the destination%s\n", cli.Count(int(r.Conflicts), "object"), suchAs(r.ConflictKeys))
	}
	if r.Extra > 0 {
		out.f("only at the destination: %s%s\n", cli.Count(int(r.Extra), "object"), suchAs(r.ExtraKeys))
	}
	for _, l := range r.Losses {
		out.f("not as it was: %s\n", l)
	}
	for _, e := range r.Configuration.Lost() {
		out.f("not as it was: %s: %s\n", e.Part, e.Detail)
	}
	if r.Configuration != nil {
		for _, part := range r.Configuration.Waiting {
			out.f("not set up before the proof of a --final sync: %s\n", part)
		}
		for _, i := range r.Configuration.Identities {
			out.f("named by the source's %s: %s (%s); for green: %s\n", i.Named, i.Principal, i.Kind, i.Make)
		}
	}
	switch {
	case r.Proof != nil:
		out.f("proven equal: %s, %s\n", cli.Count(int(r.Proof.Objects), "object"), cli.Bytes(r.Proof.Bytes))
		if r.Proof.Kept > 0 {
			out.f("not among them: %s that differed and stayed as on each side\n", cli.Count(int(r.Proof.Kept), "object"))
		}
	case r.Rounds > 1:
		out.f("after %d rounds %s still differed\n", r.Rounds, cli.Count(int(r.Delta), "object"))
	}
	if r.Manifest != nil {
		r.Manifest.print(out)
	}
	return out.err
}

func suchAs(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf(", such as %q", keys[0])
}
