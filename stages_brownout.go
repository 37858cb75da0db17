package crossfade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	stageBrownOut = "brown-out"
	// noteComeBack is kept when somebody came while blue refused: what was seen before says nothing any more.
	noteComeBack = "brown-out-broken"
)

// brownOutStage lets blue refuse everybody for a while, watches, and puts everything back.
func (m *Migration) brownOutStage() stage {
	s := withStep(m, stage{name: stageBrownOut, verb: "run", concludes: true, title: "let blue refuse everybody for a while, and undo it", after: "blue to be idle"},
		m.brownOutOptions, cutover.PlanBrownOut, cutover.ApplyBrownOut)
	apply := s.apply
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		result, err := apply(ctx, p)
		if err == nil {
			return result, nil
		}
		return nil, errors.Join(err, m.brownOutFailed(err))
	}
	return s
}

// brownOutFailed forgets the plan of a brown-out that was put back, so that the next one finds the Services anew; one that could not
// be put back is kept. Where somebody came, blue is not idle: that is watched from the start again.
func (m *Migration) brownOutFailed(cause error) error {
	var came *cutover.BrownOutError
	if errors.As(cause, &came) {
		if err := errors.Join(m.journal.Note(noteComeBack, came), m.resetAll([]string{"idle"}, cause.Error())); err != nil {
			return err
		}
	}
	if errors.Is(cause, cutover.ErrNotUndone) {
		return nil
	}
	return m.resetAll([]string{stageBrownOut}, cause.Error())
}

func (m *Migration) brownOutOptions(ctx context.Context) (cutover.BrownOutOptions, error) {
	idle, err := m.idleOptions(ctx, false)
	if err != nil {
		return cutover.BrownOutOptions{}, err
	}
	out := cutover.BrownOutOptions{
		Options: idle.Options, Retirement: *m.file.Retirement, For: m.file.RefusesFor(), Helper: m.file.Blue.Helper, Evidence: idle.Evidence,
		Previous: idle.Previous, Record: idle.Record, Baselines: map[string]map[string]float64{},
	}
	out.Stage = stageBrownOut
	m.journal.View(func(l *journal.Log) { out.Refused = refusedSince(l.Records) })
	if err := m.resultOf("idle", &out.Idle); err != nil {
		return out, err
	}
	for _, a := range m.file.Applications {
		if len(a.Hostnames) > 0 {
			moved, err := m.moved(a)
			if err != nil {
				return out, err
			}
			out.Baselines[a.Name] = cutover.Baselines(moved)
		}
	}
	return out, nil
}

// refusedSince are the Services that brown-outs have let refuse since the last one that came to its end.
func refusedSince(records []journal.Record) (services []string) {
	for _, r := range records {
		if r.Stage != stageBrownOut {
			continue
		}
		service, refused := cutover.Refuses(stageBrownOut, r.Change)
		switch {
		case r.Kind == journal.KindFinished:
			services = nil
		case r.Kind == journal.KindIntent && refused:
			services = append(services, service)
		}
	}
	return services
}

// lookAtRetirement refuses early what would be found only when every application is on green: who comes to blue is seen by pods of the
// helper image, and the ways in must be such that they can refuse.
func (m *Migration) lookAtRetirement(ctx context.Context, p *plan.Plan, reached bool) {
	if m.file.Retirement == nil {
		return
	}
	if m.file.Blue.Helper == "" && slices.ContainsFunc(m.file.Applications, watchedAtNodes) {
		p.Refuse("blue.helper", "it names no image of this project, and who still connects to blue's entries is seen by pods of it on blue's nodes: blue would never be idle",
			"name the image as blue's nodes can pull it, or leave retirement out until it can be named")
		return // which is what the brown-out needs, too
	}
	for _, a := range m.file.Applications {
		if countsInStoppedPods(a) {
			p.Refuse("application "+a.Name, "its requests are counted by pods that writes: quiesce stops on blue: nobody would count them then, and blue would never be idle",
				fmt.Sprintf("take requests out of it, and let hostnames, or a query of retirement.prometheus that watches it, show its use; or say why nobody can use what is stopped: retirement.unwatched: {%s: REASON}", a.Name))
		}
	}
	for _, app := range slices.Sorted(maps.Keys(m.file.Retirement.Unwatched)) {
		p.Note(plan.Warning, app, "nothing watches whether it is still used on blue: "+m.file.Retirement.Unwatched[app])
	}
	if m.file.RefusesFor() == 0 || !reached {
		return
	}
	opts, err := m.cutoverOptions(ctx, "preflight")
	if err == nil {
		err = cutover.ExamineBrownOut(ctx, p, cutover.BrownOutOptions{Options: opts, Retirement: *m.file.Retirement, For: m.file.RefusesFor(), Helper: m.file.Blue.Helper})
	}
	if err != nil {
		p.Refuse("retirement.brownOut", "whether blue's ways in can refuse could not be found out: "+err.Error(), "see that blue answers, or write retirement.brownOut: {skip: REASON}")
	}
}

// countsInStoppedPods reports whether the freeze stops all pods that count an application's requests. Those of another selector may be of
// somebody else, and go on.
func countsInStoppedPods(a migration.Application) bool {
	return a.Writes == migration.WritesQuiesce && a.Requests != nil && (a.Selector == "" || a.Requests.Pods.Selector == "" || a.Requests.Pods.Selector == a.Selector)
}

// watchedAtNodes reports whether connections to an application's entries are evidence: those of a name that stays at blue's entry are green's.
func watchedAtNodes(a migration.Application) bool {
	return slices.ContainsFunc(a.Hostnames, func(h migration.Hostname) bool { return !h.AtBackend() })
}

// endBrownOut puts back what a run that was killed in a brown-out has left: blue refuses until then. It comes before anything else.
func (m *Migration) endBrownOut(ctx context.Context) error {
	s := m.journal.Stage(stageBrownOut)
	if s.Plan == "" || s.Finished {
		return nil
	}
	p, err := m.journal.LoadPlan(stageBrownOut)
	if err != nil || p == nil {
		return err
	}
	if _, done, err := cutover.BrownOutOf(p, m.journal); done || err != nil {
		return err // it was watched to its end and put back, and blue answers: only its end is not recorded
	}
	blue, err := m.side(Blue)
	if err != nil {
		return err
	}
	opts := cutover.Options{
		Migration: m.file.Name, Stage: stageBrownOut, Blue: cutover.Side{Kube: blue}, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
	}
	m.opts.Log.WarnContext(ctx, "an earlier run was ended while blue refused: it is put back first")
	if err := cutover.EndBrownOut(ctx, p, m.journal, opts); err != nil {
		return fmt.Errorf("%w; the next run, rollback, retire or cleanup tries again", err)
	}
	return m.journal.Reset(stageBrownOut, "an earlier run was ended while blue refused")
}

// brownedOut takes what the brown-out has shown into the options of the certificate.
func (m *Migration) brownedOut(out *cutover.CertifyOptions) error {
	out.RefusesFor = m.file.RefusesFor()
	if b := m.file.Retirement.BrownOut; b != nil {
		out.Skipped = b.Skip
	}
	if out.RefusesFor == 0 {
		return nil
	}
	var seen cutover.BrownOut
	if err := m.resultOf(stageBrownOut, &seen); err != nil {
		return err
	}
	out.BrownOut = &seen
	return nil
}

// refuseWithoutBrownOut says why a certificate from before the file demanded a brown-out does not let blue be destroyed.
func (m *Migration) refuseWithoutBrownOut(cert cutover.Certificate) string {
	if m.file.RefusesFor() == 0 || cert.BrownOut != nil {
		return ""
	}
	return "the certificate was made without a brown-out, and the file demands one"
}
