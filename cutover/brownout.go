package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of a brown-out's plan.
const (
	actionRaise  plan.Action = "start pods"
	actionRemove plan.Action = "remove pods"
	actionRefuse plan.Action = "refuse"
	actionServe  plan.Action = "serve"
)

// undoLimit bounds putting back what a brown-out or a forwarding has changed, which goes on when the caller has given up.
const undoLimit = 5 * time.Minute

// ErrBrownOut says that somebody came while blue refused: blue may not be retired.
var ErrBrownOut = errors.New("somebody still uses blue")

// errNoHelper says what pods in front cannot do without.
var errNoHelper = errors.New("blue.helper names no image of this project")

// ErrNotUndone says that blue may still refuse, because putting a Service back has failed.
var ErrNotUndone = errors.New("blue may still refuse")

// BrownOutOptions say how blue refuses for a while.
type BrownOutOptions struct {
	Options
	Retirement migration.Retirement
	// For is how long blue refuses.
	For time.Duration
	// Helper is this project's image as blue's nodes can pull it.
	Helper string
	// Evidence is what has shown that blue is idle, and Idle how it ended: it is watched on. Previous are the samples that were recorded
	// before, in their order, those of an earlier brown-out too.
	Evidence []Evidence
	Idle     Idle
	Previous []Sample
	// Refused are the Services, each as NAMESPACE/NAME, that brown-outs have let refuse since the last one that came to its end; see Refuses.
	Refused []string
	// Record keeps a sample of the evidence, as in the watch over idleness. Nil keeps none.
	Record func(Sample) error
	// Baselines are numbers from before the swap with which checks compare, by application and check.
	Baselines map[string]map[string]float64
}

// BrownOut is what was seen while blue refused.
type BrownOut struct {
	Began time.Time     `json:"began"`
	Ended time.Time     `json:"ended"`
	For   time.Duration `json:"for"`
	// Services refused at all their ports. None where nothing leads to the applications.
	Services []string `json:"services,omitempty"`
	// Knocked says at which entries our own knock was refused and counted, so that a client's would have been.
	Knocked []string `json:"knocked,omitempty"`
	// Evidence holds the last look of each kind, and Rounds the checks of each application on green.
	Evidence []Observation     `json:"evidence,omitempty"`
	Rounds   map[string]Rounds `json:"rounds,omitempty"`
	Text     string            `json:"text"`
}

// Caller is somebody who came while blue refused.
type Caller struct {
	Way         string    `json:"way"`
	Address     string    `json:"address"`
	Connections int64     `json:"connections"`
	Last        time.Time `json:"last"`
	// pod counted it.
	pod string
}

// BrownOutError says who came. It wraps ErrBrownOut.
type BrownOutError struct {
	At      time.Time
	Callers []Caller
	// Seen is evidence other than our own pods', where it was that which showed a use.
	Seen []Observation
}

// Error implements error.
func (e *BrownOutError) Error() string {
	text := fmt.Sprintf("%v: at %s, while it refused", ErrBrownOut, e.At.Format(time.DateTime))
	for _, c := range e.Callers {
		text += fmt.Sprintf("; %s came %d times to %s, last at %s", c.Address, c.Connections, c.Way, c.Last.Format(time.TimeOnly))
	}
	for _, o := range e.Seen {
		text += fmt.Sprintf("; %s: %s", o.Evidence, o.Text)
		if len(o.Details) > 0 {
			text += ": " + strings.Join(o.Details, ", ")
		}
	}
	return text
}

// Unwrap makes errors.Is find ErrBrownOut.
func (e *BrownOutError) Unwrap() error { return ErrBrownOut }

// brownOutData is what one change consumes. One of its parts is set.
type brownOutData struct {
	Pods   *front.Pods   `json:"pods,omitempty"`
	Switch *front.Switch `json:"switch,omitempty"`
	For    time.Duration `json:"for,omitempty"`
}

// again is a Recorder that has nothing as done: what was put back after a failure must be done again.
type again struct{ plan.Recorder }

// Done implements plan.Recorder.
func (again) Done(string) (json.RawMessage, bool) { return nil, false }

// ExamineBrownOut finds, before anything is changed, what PlanBrownOut would refuse.
func ExamineBrownOut(ctx context.Context, p *plan.Plan, opts BrownOutOptions) error {
	found, err := PlanBrownOut(ctx, opts)
	if err != nil {
		return err
	}
	p.Refusals = append(p.Refusals, found.Refusals...)
	return nil
}

// PlanBrownOut finds every way in and plans to let each refuse, to watch, and to put all back. The plan holds what every Service was,
// and has to be kept until it is so again.
func PlanBrownOut(ctx context.Context, opts BrownOutOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, opts.Stage)
	found, err := opts.findWaysIn(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("plan the brown-out: %w", err)
	}
	if len(found) == 0 {
		p.Note(plan.Info, "blue", "nothing leads to the applications from outside, so there is nothing that could refuse")
		return p, nil
	}
	if opts.Helper == "" {
		p.Refuse("brown-out", errNoHelper.Error()+": nobody would see who is refused", "name it under blue.helper, or write retirement.brownOut: {skip: REASON}")
		return p, nil
	}
	var undo []string
	for _, ns := range found.namespaces() {
		f := opts.front().Pods(front.BrownOut, ns, ns)
		f.Image = opts.Helper
		var switches []plan.Change
		for _, w := range found {
			if w.svc.Namespace != ns {
				continue
			}
			s, _, err := opts.front().PlanSwitch(ctx, w.svc, &f, nil)
			if err != nil {
				return nil, fmt.Errorf("plan the brown-out: %w", err)
			}
			switches = append(switches, refuseChange(p.Stage, s, w.why))
			undo = append(undo, s.String())
		}
		p.Add(plan.Change{
			ID: p.Stage + "/pods/" + ns, Action: actionRaise, Target: "blue: " + f.String(),
			Why:     "a pod that resets every connection and counts who came: without it nobody would see who is refused",
			Reverse: &plan.Reverse{Action: actionRemove, How: "delete " + f.String()}, Data: plan.JSON(brownOutData{Pods: &f}),
		})
		for _, c := range switches {
			p.Add(c)
		}
	}
	p.Add(plan.Change{
		ID: p.Stage + "/watch", Action: "watch", Target: "blue",
		Why:  fmt.Sprintf("for %s everybody is refused, and whoever comes blocks the retirement; then every Service is put back; nothing is changed by watching, so nothing is taken back", opts.For),
		Data: plan.JSON(brownOutData{For: opts.For}),
	})
	p.Add(plan.Change{
		ID: serveID(p), Action: actionServe, Target: "blue: " + strings.Join(undo, ", "),
		Why: "a brown-out is undone, to the byte, however it ends: this is its reverse",
	})
	p.Add(plan.Change{
		ID: answerID(p), Action: actionCheck, Target: "blue",
		Why: "blue must answer again; our own requests are known, and count as no use; nothing is changed, so nothing is taken back",
	})
	return p, nil
}

func serveID(p *plan.Plan) string { return p.Stage + "/serve" }

func answerID(p *plan.Plan) string { return p.Stage + "/answer" }

// Refuses says which Service a change of a brown-out lets refuse, as NAMESPACE/NAME.
func Refuses(stage, changeID string) (service string, ok bool) {
	return strings.CutPrefix(changeID, stage+partService)
}

// partService is the part of a change's ID before the Service that it lets refuse.
const partService = "/service/"

func refuseChange(stage string, s front.Switch, why string) plan.Change {
	return plan.Change{
		ID: stage + partService + s.Namespace + "/" + s.Name, Action: actionRefuse, Target: "blue: " + s.String(), Why: why,
		ReliesOn: []plan.Reliance{{What: s.String() + "'s uid", Is: s.UID}, {What: s.String() + "'s selector and ports", Is: hashOf(s.Original)}},
		Reverse:  &plan.Reverse{Action: actionServe, How: "give it its own selector and ports back", Data: plan.JSON(s)},
		Data:     plan.JSON(brownOutData{Switch: &s}),
	}
}

// ApplyBrownOut lets blue refuse, watches, and puts everything back, however it ends. It returns a *BrownOutError where somebody
// came, a *BreachError where green needs blue, an *InconclusiveError where too little was seen, and an error that wraps
// ErrNotUndone where blue may still refuse.
func ApplyBrownOut(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts BrownOutOptions) (BrownOut, error) {
	if err := p.Err(); err != nil {
		return BrownOut{}, err
	}
	if result, done, err := BrownOutOf(p, rec); done || err != nil {
		return result, err
	}
	d, err := readBrownOut(p)
	if err != nil {
		return BrownOut{}, err
	}
	if len(d.pods) == 0 {
		now := opts.now()
		return BrownOut{Began: now, Ended: now, Text: "nothing leads to the applications from outside, so nothing refused"}, nil
	}
	w := opts.lookout()
	result, err := opts.make(ctx, p, rec, d, w)
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if err = errors.Join(err, EndBrownOut(undo, p, rec, opts.Options)); err != nil {
		return result, err
	}
	err = plan.Run(ctx, only(p, answerID(p)), again{rec}, opts.runOptions(), func(ctx context.Context, _ plan.Change) (any, error) {
		return struct{}{}, opts.answers(ctx, w)
	})
	return result, err
}

// only is a plan with one of its changes.
func only(p *plan.Plan, id string) *plan.Plan {
	one := plan.New(p.Migration, p.Stage)
	for _, c := range p.Changes {
		if c.ID == id {
			one.Add(c)
		}
	}
	return one
}

// make makes the changes of a brown-out up to its undoing.
func (opts BrownOutOptions) make(ctx context.Context, p *plan.Plan, rec plan.Recorder, d brownOutPlan, w *lookout) (result BrownOut, err error) {
	forward := *p
	forward.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c plan.Change) bool { return c.ID == serveID(p) || c.ID == answerID(p) })
	blue := door{pods: d.pods, switches: d.switches, base: map[string]forwarder.Counts{}}
	err = plan.Run(ctx, &forward, again{rec}, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		var one brownOutData
		if err := json.Unmarshal(c.Data, &one); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		switch {
		case one.Pods != nil:
			if err := opts.front().Raise(ctx, *one.Pods); err != nil {
				return nil, err
			}
			return struct{}{}, opts.open(ctx, blue, *one.Pods)
		case one.Switch != nil:
			return struct{}{}, opts.front().Lead(ctx, c.ID, *one.Switch)
		}
		var err error
		result, err = opts.watchBrownOut(ctx, blue, w, one.For)
		return result, err
	})
	return result, err
}

// EndBrownOut puts back what a brown-out has changed, from its plan alone, however much of it was made. One Service that somebody
// else has changed since does not keep the others from being put back. Its error wraps ErrNotUndone.
func EndBrownOut(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) error {
	d, err := readBrownOut(p)
	if err != nil || len(d.pods) == 0 {
		return err
	}
	err = plan.Run(ctx, only(p, serveID(p)), again{rec}, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		return struct{}{}, opts.front().Serve(ctx, d.switches, d.pods)
	})
	if err != nil {
		// Whatever it is: a plan that is needed to put things back is not one to be made anew.
		return fmt.Errorf("%w: put it back: %s", ErrNotUndone, err.Error())
	}
	return nil
}

// BrownOutOf returns the recorded result of a brown-out that was watched to its end and put back, so that blue answers again.
func BrownOutOf(p *plan.Plan, rec plan.Recorder) (BrownOut, bool, error) {
	raw, watched := rec.Done(p.Stage + "/watch")
	if _, answers := rec.Done(answerID(p)); !watched || !answers {
		return BrownOut{}, false, nil
	}
	var result BrownOut
	if err := json.Unmarshal(raw, &result); err != nil {
		return BrownOut{}, false, fmt.Errorf("read the outcome of the brown-out: %w", err)
	}
	return result, true, nil
}

// brownOutPlan is what a plan says, read.
type brownOutPlan struct {
	pods     []front.Pods
	switches []front.Switch
}

func readBrownOut(p *plan.Plan) (brownOutPlan, error) {
	var all brownOutPlan
	for _, c := range p.Changes {
		if len(c.Data) == 0 {
			continue
		}
		var d brownOutData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return all, fmt.Errorf("read the plan of the brown-out: %w", err)
		}
		if d.Pods != nil {
			all.pods = append(all.pods, *d.Pods)
		}
		if d.Switch != nil {
			all.switches = append(all.switches, *d.Switch)
		}
	}
	return all, nil
}

// who lists the callers that came since, by what pods count. A pod that is gone, or another one in its place, has lost what it knew.
func who(before, now map[string]forwarder.Counts, ignored func(forwarder.Client) bool) ([]Caller, error) {
	var callers []Caller
	for pod, was := range before {
		is, there := now[pod]
		if !there || is.Instance != was.Instance {
			return nil, fmt.Errorf("pod %s was started anew, and what it had counted is lost", pod)
		}
		for i, way := range is.Ways {
			if i >= len(was.Ways) || way.Name != was.Ways[i].Name {
				return nil, fmt.Errorf("pod %s counts other ways than before", pod)
			}
			for _, c := range newCallers(was.Ways[i], way, ignored) {
				c.pod = pod
				callers = append(callers, c)
			}
		}
	}
	for pod := range now {
		if _, known := before[pod]; !known {
			return nil, fmt.Errorf("pod %s has taken the place of another, and what that had counted is lost", pod)
		}
	}
	slices.SortFunc(callers, func(a, b Caller) int { return b.Last.Compare(a.Last) })
	return callers, nil
}

func newCallers(was, is forwarder.WayCounts, ignored func(forwarder.Client) bool) []Caller {
	var callers []Caller
	known := map[string]int64{}
	for _, c := range was.Clients {
		known[c.Address.String()] = c.Connections
	}
	for _, c := range is.Clients {
		if n := c.Connections - known[c.Address.String()]; n > 0 && !ignored(c) {
			callers = append(callers, Caller{Way: is.Name, Address: c.Address.String(), Connections: n, Last: c.Last})
		}
	}
	if n := is.Others - was.Others; n > 0 {
		callers = append(callers, Caller{Way: is.Name, Address: "others", Connections: n})
	}
	return callers
}
