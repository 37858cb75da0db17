package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/provision"
)

// RetireOptions confirm the retirement.
type RetireOptions struct {
	// Confirm is the migration's name as a person typed it.
	Confirm string
}

// Retirement is what is gone of blue.
type Retirement struct {
	Migration   string           `json:"migration"`
	Rehearsal   bool             `json:"rehearsal"`
	Certificate string           `json:"certificate"` // hash
	Destroyed   provision.Result `json:"destroyed"`
	// Names got their TTLs back, and their fences removed.
	Names int `json:"names"`
	// LeftNames are those that somebody else has changed: they stay as they are.
	LeftNames []cutover.LeftName `json:"leftNames,omitempty"`
	// Kept are records that were made for green and stay, because other names lead to them.
	Kept []cutover.KeptRecord `json:"kept,omitempty"`
	// ExternalDNS is what became of the Deployments that the migration had paused.
	ExternalDNS []cutover.Resumed `json:"externalDNS,omitempty"`
}

// Retire destroys what the file names of blue. It needs the certificate that Run has made, looks once more whether it still
// holds, and needs the migration's name typed out. Afterwards no name goes back, so their TTLs are restored.
func (m *Migration) Retire(ctx context.Context, opts RetireOptions) (_ *Retirement, err error) {
	if m.journal == nil {
		return nil, errReadOnly
	}
	m.logBegin("retire", nil)
	defer func() { err = m.leave(ctx, "retire", m.logEnd("retire", err)) }()
	if opts.Confirm != m.file.Name {
		return nil, &RefusedError{Stage: "retire", Refusals: []plan.Refusal{{
			What: "confirmation", Why: "blue is destroyed only when the migration's name is typed out", Mend: "say --confirm " + m.file.Name,
		}}}
	}
	if m.file.Unretirable != nil {
		return nil, m.file.Unretirable
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if err := m.endBrownOut(ctx); err != nil {
		return nil, err
	}
	var log *journal.Log
	m.journal.View(func(l *journal.Log) { log = l })
	rest, err := m.halfGone(ctx, log)
	if err != nil {
		return nil, err
	}
	if !rest.half {
		if err := m.resetAll([]string{"retire"}, "nothing of blue is gone"); err != nil {
			return nil, err
		}
	}
	cert, err := m.certificateThatHolds(ctx, log, rest)
	if err != nil {
		return nil, err
	}
	if !m.journal.Stage("retire").Finished {
		// Before the last look, so that nothing takes long between that and the end.
		if err := m.proveBackup(ctx, backedUp(stage{name: "retire"})); err != nil {
			return nil, err
		}
	}
	last := m.retirement(cert, opts.Confirm)
	if !rest.half {
		if _, err := m.planAnew(ctx, last[0]); err != nil {
			return nil, err // before blue's Services are changed: who still comes goes on being passed on
		}
	}
	if rest.canBeAsked() {
		if err := m.lookAgain(ctx, rest); err != nil {
			return nil, err
		}
	}
	for _, s := range append(m.endForwards(m.journal.Stage), last...) {
		if err := m.take(ctx, s); err != nil {
			return nil, err
		}
	}
	result := &Retirement{Migration: m.file.Name, Rehearsal: cert.Rehearsal, Certificate: cert.Hash}
	if err := m.resultOf("retire", &result.Destroyed); err != nil {
		return nil, err
	}
	var ttl cutover.TTLResult
	if err := m.resultOf("ttl", &ttl); err != nil {
		return nil, err
	}
	m.journal.View(func(l *journal.Log) {
		ended := l.Records[lastPlanned(l, "restore-ttl"):]
		restored := restoredIn(ended, "restore-ttl")
		result.ExternalDNS, result.LeftNames, result.Kept = resumedIn(ended), restored.Left, restored.Kept
	})
	result.Names = len(ttl.Names) - len(result.LeftNames)
	return result, nil
}

// restOfBlue is what an earlier call has left of blue. What is gone can be asked no more, and is ended under the same certificate; what is
// still there is judged like the whole.
type restOfBlue struct {
	half        bool     // an earlier call has deleted something, or everything
	gone, there []string // namespaces; nil where nothing is gone, or everything was deleted
}

// canBeAsked reports whether somebody may still use what is left.
func (r restOfBlue) canBeAsked() bool { return !r.half || len(r.there) > 0 }

// mend is what to do about a refusal. Blue as a whole cannot be watched again: what is gone would be missing for ever.
func (r restOfBlue) mend(otherwise string) string {
	before, _, again := strings.Cut(otherwise, "--redo")
	if !r.half || !again {
		return otherwise
	}
	before = before[:max(0, strings.LastIndex(before, "; "), strings.LastIndex(before, ", or "))]
	if before != "" {
		before += "; "
	}
	return fmt.Sprintf("%sthe rest of blue is gone, so it is not watched again: see yourself that nobody uses %s any more, delete it by hand, and say this again; its volumes are kept already",
		before, strings.Join(r.there, " and "))
}

// noteDeleting is kept when blue's cluster has not refused the deletion of a namespace.
const noteDeleting = "deleting"

type deleting struct {
	Change string `json:"change"`
}

// deletedByRetire tells which changes of the retirement in force have deleted something, or may have: those that were done or not refused,
// and those from which this migration was killed. After a refusal, somebody else has deleted it.
func deletedByRetire(log *journal.Log) func(changeID string) bool {
	deleted, open := map[string]bool{}, map[string]bool{}
	for _, r := range log.Records {
		var note deleting
		switch {
		case r.Kind == journal.KindNoted && r.Stage == noteDeleting && json.Unmarshal(r.Data, &note) == nil:
			deleted[note.Change] = true
		case r.Stage != "retire":
		case r.Kind == journal.KindReset:
			deleted, open = map[string]bool{}, map[string]bool{}
		case r.Kind == journal.KindIntent, r.Kind == journal.KindFailed:
			open[r.Change] = r.Kind == journal.KindIntent
		case r.Kind == journal.KindDone:
			deleted[r.Change] = true
		}
	}
	return func(id string) bool { return deleted[id] || open[id] }
}

// halfGone tells what an earlier call has left of blue. As long as it has deleted nothing, it counts for nothing.
func (m *Migration) halfGone(ctx context.Context, log *journal.Log) (restOfBlue, error) {
	if log == nil || log.Stage("retire").Plan == "" || log.Stage("retire").Finished {
		return restOfBlue{half: log != nil && log.Stage("retire").Finished}, nil
	}
	p, err := m.planInForce(ctx, log.Stage("retire"))
	if err != nil {
		return restOfBlue{}, err
	}
	blue, err := m.side(Blue)
	if err != nil {
		return restOfBlue{}, err
	}
	gone, there, err := provision.HalfGone(ctx, p, deletedByRetire(log), blue)
	return restOfBlue{half: len(gone) > 0, gone: gone, there: there}, err
}

// certificateThatHolds refuses with everything that stands against destroying blue now. Where nothing of it can be asked any more, it asks
// only whether it is the one that was certified.
func (m *Migration) certificateThatHolds(ctx context.Context, log *journal.Log, rest restOfBlue) (cutover.Certificate, error) {
	refuse := func(why, mend string) error {
		return &RefusedError{Stage: "retire", Refusals: []plan.Refusal{{What: "blue", Why: why, Mend: rest.mend(mend)}}}
	}
	if m.file.Retirement == nil || len(m.file.Retirement.Delete.Namespaces) == 0 {
		return cutover.Certificate{}, refuse("the file names nothing of blue to delete", "add retirement.delete.namespaces")
	}
	if log == nil {
		return cutover.Certificate{}, refuse("the migration has not begun", "run `crossfade run`")
	}
	cert, err := m.certificate(log)
	if err != nil {
		return cert, refuse(err.Error(), "run `crossfade run` until it has made the certificate")
	}
	if log.Stage("retire").Finished {
		return cert, nil
	}
	blue, err := m.side(Blue)
	if err != nil {
		return cert, err
	}
	id, err := blue.Identity(ctx)
	if err != nil {
		return cert, fmt.Errorf("ask blue who it is: %w", err)
	}
	if rest.half {
		if err := cert.Valid(m.file.Name, id, cert.Made); err != nil { // however old it is by now
			return cert, refuse(err.Error(), "give the kubeconfig of the blue that is half gone")
		}
	}
	if !rest.canBeAsked() {
		return cert, nil
	}
	if err := cert.Valid(m.file.Name, id, m.opts.Clock.Now()); err != nil {
		return cert, refuse(err.Error(), "let `crossfade run --redo idle` watch blue again and certify it")
	}
	if why := m.refuseWithoutBrownOut(cert); why != "" {
		return cert, refuse(why, "let `crossfade run` take the brown-out, then `crossfade run --redo certificate`")
	}
	err = m.refuseCertificate(log, cert)
	var refused *RefusedError
	if errors.As(err, &refused) {
		for i, r := range refused.Refusals {
			refused.Refusals[i].Mend = rest.mend(r.Mend)
		}
	}
	return cert, err
}

const mendUnseen = "see that it can be asked, and retire again; where somebody has deleted it from blue, take what counts it (requests, hostnames) out of the file, say so under retirement.unwatched, and let `crossfade run --redo idle` watch the rest"

// lookAgain looks once more at what is there of blue, and refuses what was used, lost or not seen since the certificate was made.
func (m *Migration) lookAgain(ctx context.Context, rest restOfBlue) error {
	opts, err := m.idleOptions(ctx, true, rest.gone...)
	if err != nil {
		return err
	}
	sample, err := cutover.LookAgain(ctx, opts)
	if err != nil {
		return err
	}
	refused := &RefusedError{Stage: "retire"}
	for _, o := range sample.Observations {
		if r, bad := voids(o); bad {
			r.Mend = rest.mend(r.Mend)
			refused.Refusals = append(refused.Refusals, r)
		}
		if o.Use == cutover.Unseen {
			refused.Refusals = append(refused.Refusals, plan.Refusal{
				What: o.Evidence, Why: "whether blue was used since it was certified is not known: " + o.Text, Mend: rest.mend(mendUnseen),
			})
		}
	}
	if len(refused.Refusals) > 0 {
		return refused
	}
	return nil
}

// refuseCertificate refuses a certificate that was changed, or of another migration, or that is not for what would be deleted.
func (m *Migration) refuseCertificate(log *journal.Log, cert cutover.Certificate) error {
	refused := &RefusedError{Stage: "retire"}
	for _, c := range m.checkCertificate(log, cert, nil) {
		if c.Verdict != Holds {
			refused.Refusals = append(refused.Refusals, plan.Refusal{What: c.What, Why: c.Text, Mend: c.Mend})
		}
	}
	for _, ns := range m.file.Retirement.Delete.Namespaces {
		if !slices.Contains(cert.Delete, ns) {
			refused.Refusals = append(refused.Refusals, plan.Refusal{
				What: "namespace " + ns, Why: "the certificate is not for deleting it", Mend: "let `crossfade run --redo certificate` certify what the file says now",
			})
		}
	}
	list, err := m.leftOut(log)
	if err != nil {
		return err
	}
	refused.Refusals = append(refused.Refusals, refuseLeftOut(log, list)...)
	if len(refused.Refusals) > 0 {
		return refused
	}
	return nil
}

// retirement are the last stages of a migration.
func (m *Migration) retirement(cert cutover.Certificate, confirmed string) []stage {
	return []stage{
		withStep(m, stage{name: "retire", title: "delete what the file names of blue"},
			func(ctx context.Context) (provision.DestroyOptions, error) {
				opts, err := m.provisionOptions("retire")
				if err != nil {
					return provision.DestroyOptions{}, err
				}
				reader, err := m.openArchive(ctx)
				if err != nil {
					return provision.DestroyOptions{}, err
				}
				archived := map[string]bool{}
				for _, e := range reader.Index().Entries {
					archived[e.ID()] = true
				}
				return provision.DestroyOptions{
					Options: opts, Delete: m.file.Retirement.Delete.Namespaces, Archived: archived,
					Certificate: provision.Certificate{Hash: cert.Hash, Typed: confirmed},
					Deleting:    func(id string) error { return m.journal.Note(noteDeleting, deleting{Change: id}) },
				}, nil
			},
			provision.PlanDestroy, provision.Destroy),
		withStep(m, stage{name: "restore-ttl", title: "give the names their TTLs back, and their fences up"},
			func(ctx context.Context) (cutover.RestoreOptions, error) {
				opts, err := m.cutoverOptions(ctx, "restore-ttl")
				if err != nil {
					return cutover.RestoreOptions{}, err
				}
				ttl, err := m.held()
				if err != nil {
					return cutover.RestoreOptions{}, err
				}
				moved, err := m.movedToGreen()
				if err != nil {
					return cutover.RestoreOptions{}, err
				}
				return m.withDNS(cutover.RestoreOptions{Options: opts, Held: ttl.Names, Moved: moved, AtGreen: true})
			},
			cutover.PlanRestoreTTL, restoreTTL),
	}
}

func restoreTTL(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts cutover.RestoreOptions) (cutover.RestoreResult, error) {
	if err := cutover.ApplyRestoreTTL(ctx, p, rec, opts); err != nil {
		return cutover.RestoreResult{}, err
	}
	return cutover.RestoreResultOf(p)
}

// movedToGreen are the names as the swaps have left them.
func (m *Migration) movedToGreen() ([]cutover.Moved, error) {
	var names []cutover.Moved
	for _, a := range m.file.Applications {
		s, err := m.known("swap/" + a.Name)
		if err != nil {
			return nil, err
		}
		if !s.Finished {
			continue
		}
		var swap cutover.SwapResult
		if err := m.resultOf(s.Name, &swap); err != nil {
			return nil, err
		}
		names = append(names, swap.Names...)
	}
	return names, nil
}

// restoredIn is what the last end of a stage that gives TTLs back came to: the names and records that it left as they are.
func restoredIn(records []journal.Record, stage string) cutover.RestoreResult {
	var result cutover.RestoreResult
	for _, r := range records {
		if r.Kind == journal.KindFinished && r.Stage == stage {
			result = cutover.RestoreResult{}
			_ = json.Unmarshal(r.Data, &result) // one of an earlier version says nothing
		}
	}
	return result
}

func printLeftNames(out *printer, names []cutover.LeftName) {
	if len(names) > 0 {
		out.f("\nnames that somebody else has changed, and that stay as they are:\n")
	}
	for _, n := range names {
		out.f("  %s (%s): it holds %s\n", n.Name, n.App, n.Holds)
	}
}

func printKept(out *printer, records []cutover.KeptRecord) {
	if len(records) > 0 {
		out.f("\nrecords that were made for green, and that stay because they are used:\n")
	}
	for _, k := range records {
		out.f("  %s\n", k)
	}
}

// planRetirement shows what retire would do, and what stands against it.
func (m *Migration) planRetirement(ctx context.Context, o *Overview, log *journal.Log) error {
	rest, err := m.halfGone(ctx, log)
	if err != nil {
		return err
	}
	cert, err := m.certificateThatHolds(ctx, log, rest)
	p := plan.New(m.file.Name, "retire")
	var refused *RefusedError
	if errors.As(err, &refused) {
		p.Refusals = refused.Refusals
	} else if err != nil {
		return err
	}
	if log != nil && log.Stage(stageExport).Finished && !log.Stage("retire").Finished {
		if _, refusal := m.lookAtBackup(ctx); refusal != nil {
			p.Refusals = append(p.Refusals, refusal.Refusal)
		}
	}
	if len(p.Refusals) > 0 {
		o.Plans = append(o.Plans, p)
		return nil
	}
	p, err = m.retirement(cert, m.file.Name)[0].plan(ctx) // planning deletes nothing, so nobody has to type the name
	if err != nil {
		return err
	}
	o.Plans = append(o.Plans, p)
	return nil
}

// Print writes the retirement for people.
func (r *Retirement) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("blue is retired: migration %s%s\n", r.Migration, stamp(r.Rehearsal))
	out.f("certificate %s\n", r.Certificate)
	out.f("deleted: %s; kept: %s\n", cli.Count(r.Destroyed.Deleted, "namespace"), cli.Count(r.Destroyed.Retained, "volume"))
	out.f("names with their own TTL again: %d\n", r.Names)
	printLeftNames(out, r.LeftNames)
	printKept(out, r.Kept)
	printResumed(out, r.ExternalDNS)
	return out.err
}
