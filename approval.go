package crossfade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// noteApproved is kept when a wave is approved.
const noteApproved = "approved"

// noteBreach is kept when something failed while a turn was on its way, or after it.
const noteBreach = "breach"

// breach is the note of a failure that users may have met.
type breach struct {
	Apps  []string `json:"apps"`
	Stage string   `json:"stage"`
	Wave  int      `json:"wave,omitempty"`
	Cause string   `json:"cause"`
	// Held says that the applications stay on green, for a person to decide.
	Held bool `json:"held,omitempty"`
}

// Approval is the note of one approval.
type Approval struct {
	Wave int    `json:"wave"`
	Plan string `json:"plan"` // hash of what was approved
	By   string `json:"actor"`
	// Rule says by which rule it was approved, where no person did.
	Rule string    `json:"why,omitempty"`
	At   time.Time `json:"at"`
}

// ApprovalRequest is what is to be approved.
type ApprovalRequest struct {
	Wave         int      `json:"wave"`
	Applications []string `json:"apps"`
	// Why says why a wave that went back by itself needs a word.
	Why  string `json:"why,omitempty"`
	Plan *Plan  `json:"plan"`
}

// wavePlan says what begins with a wave: which applications move, and how long that takes. Its hash is what is approved: it
// stands for the migration file as it is now, and for the plans that are in force.
func (m *Migration) wavePlan(wave int) (*plan.Plan, error) {
	p := plan.New(m.file.Name, fmt.Sprintf("wave/%d", wave))
	for _, t := range m.turns() {
		if t.wave != wave {
			continue
		}
		_, text, err := m.turnTime(t)
		if err != nil {
			return nil, err
		}
		for _, a := range t.apps {
			var names []string
			for _, h := range a.Hostnames {
				names = append(names, h.Name)
			}
			p.Add(plan.Change{
				ID: fmt.Sprintf("%s/%s", p.Stage, a.Name), Action: "move", Target: a.Name, App: a.Name,
				Why:     fmt.Sprintf("%s goes to green in %s, which takes %s", orNoName(names), t.name, text),
				Reverse: &plan.Reverse{Action: "return", How: "crossfade rollback " + a.Name},
			})
		}
	}
	raw, err := json.Marshal(m.file.File)
	if err != nil {
		return nil, fmt.Errorf("hash the migration file: %w", err)
	}
	sum := sha256.Sum256(raw)
	relies := struct {
		File  string            `json:"file"`
		Plans map[string]string `json:"plans"`
	}{hex.EncodeToString(sum[:]), map[string]string{}}
	for _, name := range []string{"provision", stagePorts, "restore", "ttl"} {
		known, err := m.known(name)
		if err != nil {
			return nil, err
		}
		relies.Plans[name] = known.Plan
	}
	p.Data = plan.JSON(relies)
	return p, nil
}

func orNoName(names []string) string {
	if len(names) == 0 {
		return "no name; the application"
	}
	return strings.Join(names, ", ")
}

// approved returns nil where a wave may begin as far as approvals go.
func (m *Migration) approved(ctx context.Context, t turn, s stage) error {
	need, after := m.file.Cutover.ApprovalOf(t.wave)
	var back returned
	var broke bool
	m.journal.View(func(log *journal.Log) { back, broke = m.brokeOff(log, t.wave) })
	if need == migration.ApprovalNone && !broke {
		return nil
	}
	p, err := m.wavePlan(t.wave)
	if err != nil {
		return err
	}
	if m.isApproved(t.wave, p.Hash()) {
		return nil
	}
	if need == migration.ApprovalGates && !broke {
		return m.approveByGates(ctx, t.wave, p.Hash(), after)
	}
	apps, why, text := m.appsOf(t.wave), "", m.whatIsApproved(t.wave, p)
	if broke {
		why = back.notAgain()
		text = why + "; " + text
	}
	if m.opts.Approve != nil {
		yes, err := m.opts.Approve(ctx, ApprovalRequest{Wave: t.wave, Applications: apps, Why: why, Plan: p})
		if err != nil {
			return err
		}
		if yes {
			return m.approve(t.wave, p.Hash(), m.opts.Actor, "")
		}
	}
	wait := Waiting{
		For: WaitsForApproval, Stage: s.name, Turn: t.name, Wave: t.wave, Applications: apps, Plan: p.Hash(),
		What: fmt.Sprintf("an approval of wave %d", t.wave), Text: text,
	}
	if err := m.waits(wait); err != nil {
		return err
	}
	return &PausedError{Waiting: wait}
}

// whatIsApproved names the plan, and an approval that was given for another one.
func (m *Migration) whatIsApproved(wave int, p *plan.Plan) string {
	text := fmt.Sprintf("its plan has the hash %.12s…", p.Hash())
	for _, a := range m.approvals(wave) {
		if a.Plan == p.Hash() { // it would be in force
			text = fmt.Sprintf("its plan has the hash %.12s…, as %s approved it at %s, but it came back from green since", p.Hash(), a.By, a.At.UTC().Format(time.DateTime+" MST"))
			continue
		}
		text = fmt.Sprintf("its plan has the hash %.12s…, and %s approved %.12s… at %s: the migration file, a plan, or what green has seen of the wave has changed since", p.Hash(), a.By, a.Plan, a.At.UTC().Format(time.DateTime+" MST"))
	}
	return text
}

func (m *Migration) appsOf(wave int) []string {
	var apps []string
	for _, a := range m.file.Applications {
		if a.Wave == wave {
			apps = append(apps, a.Name)
		}
	}
	return apps
}

func (m *Migration) approve(wave int, hash, by, rule string) error {
	return m.journal.Note(noteApproved, Approval{Wave: wave, Plan: hash, By: by, Rule: rule, At: m.opts.Clock.Now().UTC()})
}

// approvals are all that were given for a wave, oldest first.
func (m *Migration) approvals(wave int) []Approval {
	var list []Approval
	m.journal.View(func(log *journal.Log) { list = allApprovals(log) })
	return slices.DeleteFunc(list, func(a Approval) bool { return a.Wave != wave })
}

// isApproved reports whether an approval of a wave's plan is in force: one from before an application of the wave came back from
// green is not, since what was approved did not hold.
func (m *Migration) isApproved(wave int, hash string) bool {
	ok := false
	m.journal.View(func(log *journal.Log) {
		for _, r := range log.Records {
			if r.Kind != journal.KindNoted {
				continue
			}
			var a Approval
			switch {
			case r.Stage == noteApproved && json.Unmarshal(r.Data, &a) == nil && a.Wave == wave && a.Plan == hash:
				ok = true
			case r.Stage == noteReturned && m.waveReturned(r, wave):
				ok = false
			}
		}
	})
	return ok
}

// waveReturned reports whether a note tells of the return of an application of a wave.
func (m *Migration) waveReturned(r journal.Record, wave int) bool {
	var back returned
	return json.Unmarshal(r.Data, &back) == nil && slices.Contains(m.appsOf(wave), back.App)
}

// brokeOff is the last return of an application of a wave that no person asked for, unless a person approved the wave since. Tried
// again by a cron job, what does not hold would move users there and back for ever.
func (m *Migration) brokeOff(log *journal.Log, wave int) (last returned, broke bool) {
	for _, r := range log.Records {
		var a Approval
		var back returned
		switch {
		case r.Kind != journal.KindNoted:
		case r.Stage == noteApproved && json.Unmarshal(r.Data, &a) == nil && a.Wave == wave && a.Rule == "":
			broke = false
		case r.Stage == noteReturned && m.waveReturned(r, wave) && json.Unmarshal(r.Data, &back) == nil && back.ByItself:
			last, broke = back, true
		}
	}
	return last, broke
}

// notAgain says why a wave is not tried again by itself.
func (r returned) notAgain() string {
	return fmt.Sprintf("%s went back to blue by itself at %s, and is not tried again without a word: %s", r.App, r.At.UTC().Format(time.DateTime+" MST"), r.Why)
}

// wordsNeeded are the waves that went back by themselves and that no run has waited for since.
func (m *Migration) wordsNeeded(log *journal.Log, known []Waiting) []Waiting {
	var list []Waiting
	for _, t := range m.turns() {
		back, broke := m.brokeOff(log, t.wave)
		said := func(w Waiting) bool { return w.For == WaitsForApproval && w.Wave == t.wave }
		if broke && !slices.ContainsFunc(known, said) && !slices.ContainsFunc(list, said) {
			list = append(list, Waiting{
				For: WaitsForApproval, Stage: "freeze/" + back.App, Turn: t.name, Wave: t.wave, Applications: m.appsOf(t.wave),
				What: fmt.Sprintf("an approval of wave %d", t.wave), Text: back.notAgain(),
			})
		}
	}
	return list
}

// approveByGates watches the wave before, and notes the approval when all its checks have passed for long enough. What fails
// there is no reason to go back by itself: its soak is over. But nothing more follows it.
func (m *Migration) approveByGates(ctx context.Context, wave int, hash string, after time.Duration) error {
	before := 0
	for _, a := range m.file.Applications {
		if a.Wave < wave {
			before = max(before, a.Wave)
		}
	}
	if before == 0 {
		return m.approve(wave, hash, m.opts.Actor, "approval: gates: no wave comes before it")
	}
	stage := fmt.Sprintf("wave/%d", wave)
	opts, err := m.cutoverOptions(ctx, stage)
	if err != nil {
		return err
	}
	group, watched := errgroup.WithContext(ctx)
	count := 0
	for _, a := range m.file.Applications {
		if a.Wave != before || len(a.Hostnames) == 0 {
			continue
		}
		moved, err := m.moved(a)
		if err != nil {
			return err
		}
		count++
		group.Go(func() error {
			_, err := cutover.Watch(watched, cutover.WatchOptions{Options: opts, App: a.Name, For: after, Moved: moved})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		cause := fmt.Errorf("wave %d is not begun, because wave %d does not pass its checks: %w; its applications stay on green: `crossfade rollback APPLICATION` takes one back, `crossfade run` tries again", wave, before, err)
		if ctx.Err() == nil {
			if nerr := m.journal.Note(noteBreach, breach{Apps: m.appsOf(before), Stage: stage, Wave: before, Cause: cause.Error(), Held: true}); nerr != nil {
				return nerr
			}
		}
		return cause
	}
	return m.approve(wave, hash, m.opts.Actor, fmt.Sprintf("approval: gates: all checks of %s of wave %d passed for %s", cli.Count(count, "application"), before, after))
}

// checkWaves refuses waves that the file does not have.
func (m *Migration) checkWaves(waves []int) error {
	for _, wave := range waves {
		if len(m.appsOf(wave)) == 0 {
			var known []string
			for _, t := range m.turns() {
				known = append(known, fmt.Sprint(t.wave))
			}
			return &UnknownError{Kind: "wave", Name: fmt.Sprint(wave), Known: "the migration file has " + strings.Join(slices.Compact(known), ", ")}
		}
	}
	return nil
}

// approveWaves notes the approvals that an operator gives. One that would be given for what is not planned yet is refused.
func (m *Migration) approveWaves(waves []int) error {
	if err := m.checkWaves(waves); err != nil {
		return err
	}
	for _, wave := range waves {
		if !m.journal.Stage("ttl").Finished {
			return &RefusedError{Stage: fmt.Sprintf("wave/%d", wave), Refusals: []plan.Refusal{{
				What: fmt.Sprintf("--approve %d", wave), Why: "the warm phase is not done, so that nobody can know what would be approved", Mend: "let `crossfade run` come to the wave first",
			}}}
		}
		p, err := m.wavePlan(wave)
		if err != nil {
			return err
		}
		if m.isApproved(wave, p.Hash()) {
			continue
		}
		if err := m.approve(wave, p.Hash(), m.opts.Actor, ""); err != nil {
			return err
		}
	}
	return nil
}
