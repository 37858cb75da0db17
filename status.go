package crossfade

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Status is where a migration stands, derived from its journal alone.
type Status struct {
	Migration string `json:"migration"`
	Rehearsal bool   `json:"rehearsal"`
	// Begun is false while there is no journal.
	Begun   bool   `json:"begun"`
	Records int    `json:"records"`
	Head    string `json:"head,omitempty"`  // hash of the last record
	Actor   string `json:"actor,omitempty"` // who wrote last
	// Held is who runs the migration now, as Look found it; nil where nobody does. Unseen says why that is not known.
	Held         *Holding            `json:"held,omitempty"`
	Unseen       string              `json:"unseen,omitempty"`
	Stages       []StageStatus       `json:"stages"`
	Applications []ApplicationStatus `json:"applications"`
	// LeftOut are applications that the journal knows of and the file does not have any more.
	LeftOut []ApplicationStatus `json:"leftOut,omitempty"`
	missing []plan.Refusal
	// GoingBack says what goes back to blue and is not there yet.
	GoingBack string `json:"goingBack,omitempty"`
	// Undone is what a way back has left undone on green; it is done before anything else.
	Undone []LeftUndone `json:"undone,omitempty"`
	// ExternalDNS is what the migration has paused and not started again.
	ExternalDNS []PausedDNS `json:"externalDNS,omitempty"`
	// Waiting is what is waited for, or was when the last run ended, and until when.
	Waiting []Waiting `json:"waiting,omitempty"`
	// CertificateVoid says why the retirement certificate does not hold any more, and what to do; empty while it may.
	CertificateVoid string `json:"certificateVoid,omitempty"`
	// Approvals of waves, oldest first: all that were ever given. inForce is the last of each wave that has not come back since.
	Approvals []Approval `json:"approvals,omitempty"`
	inForce   []Approval
	// Next is the first stage that is not finished; empty when all are.
	Next string `json:"next,omitempty"`
}

// StageState is how far a stage has come.
type StageState string

// States of a stage.
const (
	StagePending  StageState = "pending"
	StageUnderWay StageState = "under way" // planned, not finished: a run is at it, or was stopped in it
	StageFailed   StageState = "failed"    // its last change failed; a run takes it up again
	StageDone     StageState = "done"
)

// StageStatus is one stage.
type StageStatus struct {
	Name    string     `json:"name"`
	Title   string     `json:"title"`
	App     string     `json:"app,omitempty"`
	Wave    int        `json:"wave,omitempty"`
	State   StageState `json:"state"`
	Began   *time.Time `json:"began,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
	Done    int        `json:"done"` // changes made
	Failure string     `json:"failure,omitempty"`
}

// ApplicationState says which side serves an application.
type ApplicationState string

// States of an application.
const (
	OnBlue   ApplicationState = "on blue"
	Frozen   ApplicationState = "frozen on blue"     // blue refuses writes, reads are served
	Moving   ApplicationState = "moving to green"    // green may write, the name is being moved
	Shifting ApplicationState = "partly on green"    // a part of the traffic goes to green
	Soaking  ApplicationState = "on green, watched"  // the name points at green, a breach goes back
	OnGreen  ApplicationState = "on green"           // the soak has passed
	Returned ApplicationState = "back on blue again" // a breach, or an operator, took it back
)

// ApplicationStatus is one application.
type ApplicationStatus struct {
	Name      string           `json:"name"`
	Namespace string           `json:"namespace,omitempty"` // on blue
	Wave      int              `json:"wave"`
	Hostnames []string         `json:"hostnames,omitempty"`
	State     ApplicationState `json:"state"`
	Why       string           `json:"why,omitempty"`
	// Share is the part of its traffic that was led to green last, in per cent, while it is shifted. A step that is under way is said
	// by its stage.
	Share int `json:"share,omitempty"`
	// Frozen is when blue was asked to refuse the application's writes, while the freeze has not been taken back.
	Frozen *time.Time `json:"frozen,omitempty"`
	// Forwards says that blue passes on to green who still comes.
	Forwards *ForwardStatus `json:"forwards,omitempty"`
}

// outline is what the journal keeps of the pipeline, so that status needs nothing else.
type outline struct {
	Migration    string              `json:"migration"`
	Rehearsal    bool                `json:"rehearsal"`
	Stages       []StageStatus       `json:"stages"`
	Applications []ApplicationStatus `json:"applications"`
}

// Names under which the façade keeps notes in the journal.
const (
	noteOutline  = "outline"
	noteReturned = "returned"
)

// returned is the note of an application that went back.
type returned struct {
	App string    `json:"app"`
	Why string    `json:"why"`
	At  time.Time `json:"at"`
	// Refused is how long no side accepted writes. Buckets stand with the first application of a turn.
	Refused time.Duration `json:"refused,omitempty"`
	Buckets []BucketBack  `json:"buckets,omitempty"`
	Left    []LeftBehind  `json:"left,omitempty"`
	// LeftNames are names that somebody else has led elsewhere: they did not go back.
	LeftNames []cutover.LeftName `json:"leftNames,omitempty"`
	// Caches is how long caches that honour TTLs may still lead to green; nil where no name had moved.
	Caches *cutover.Wait `json:"caches,omitempty"`
	// ByItself is set where no person asked for it: the wave is not tried again without a word.
	ByItself bool `json:"byItself,omitempty"`
}

func (m *Migration) outline() outline {
	o := outline{Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil}
	for _, s := range m.pipeline() {
		o.Stages = append(o.Stages, StageStatus{Name: s.name, Title: s.title, App: s.app, Wave: s.wave, State: StagePending})
	}
	for _, a := range m.file.Applications {
		names := make([]string, 0, len(a.Hostnames))
		for _, h := range a.Hostnames {
			names = append(names, h.Name)
		}
		o.Applications = append(o.Applications, ApplicationStatus{Name: a.Name, Namespace: a.Namespace, Wave: a.Wave, Hostnames: names, State: OnBlue})
	}
	return o
}

// Status returns where the migration stands. It may be called while another process runs it. After Look, it also knows who
// does, and what the state store has.
func (m *Migration) Status() (*Status, error) {
	s, err := m.status()
	if err != nil {
		return nil, err
	}
	found := m.looked()
	s.Held, s.Unseen = found.held, found.blind
	for i, w := range s.Waiting {
		s.Waiting[i].Over = w.Until != nil && !w.Until.After(m.opts.Clock.Now())
	}
	return s, nil
}

func (m *Migration) status() (*Status, error) {
	log, err := m.readLog()
	if errors.Is(err, journal.ErrNone) {
		return statusOf(m.outline(), nil), nil
	}
	if err != nil {
		return nil, err
	}
	o := m.outline()
	if notes := log.Noted(noteOutline); len(notes) > 0 {
		if err := json.Unmarshal(notes[len(notes)-1], &o); err != nil {
			return nil, err
		}
	}
	s := statusOf(o, log)
	if open, _, unfinished := openRollback(log); unfinished {
		s.GoingBack = open.cause()
	} else if open, unfinished := m.openReturn(log); unfinished {
		s.GoingBack = open.Turn + ": " + open.Cause
	}
	s.Undone = owedOf(log)
	if s.LeftOut, err = m.leftOut(log); err != nil {
		return nil, err
	}
	s.missing = refuseLeftOut(log, s.LeftOut)
	idle, err := m.waitsForIdle(log)
	s.Waiting = append(s.Waiting, idle...)
	s.Waiting = append(s.Waiting, m.wordsNeeded(log, s.Waiting)...)
	return s, err
}

// waitsForIdle says how far the watch over blue has come, while it is under way.
func (m *Migration) waitsForIdle(log *journal.Log) ([]Waiting, error) {
	s := log.Stage("idle")
	if s.Plan == "" || s.Finished || m.file.Retirement == nil {
		return nil, nil
	}
	ttl, err := m.held()
	if err != nil {
		return nil, err
	}
	w := Waiting{For: WaitsForIdle, Stage: s.Name, What: "blue to be idle"}
	until, text := cutover.IdleOptions{
		Options: cutover.Options{Rehearsal: m.file.Rehearsal}, Retirement: *m.file.Retirement, OldTTL: ttl.OldTTL(), Previous: samplesSinceReturn(log),
	}.Standing()
	if w.Text = text; !until.IsZero() {
		w.Until = &until
	}
	return []Waiting{w}, nil
}

func statusOf(o outline, log *journal.Log) *Status {
	s := &Status{Migration: o.Migration, Rehearsal: o.Rehearsal, Stages: o.Stages, Applications: o.Applications}
	if log == nil {
		if len(s.Stages) > 0 {
			s.Next = s.Stages[0].Name
		}
		return s
	}
	s.Begun, s.Records, s.Head = len(log.Records) > 0, len(log.Records), log.Head
	for _, r := range log.Records {
		if r.Kind == journal.KindOpened {
			var who journal.Opened
			if json.Unmarshal(r.Data, &who) == nil {
				s.Actor = who.Actor
			}
		}
	}
	finished := map[string]bool{}
	for i := range s.Stages {
		fill(&s.Stages[i], log.Stage(s.Stages[i].Name))
		finished[s.Stages[i].Name] = s.Stages[i].State == StageDone
		if s.Next == "" && s.Stages[i].State != StageDone {
			s.Next = s.Stages[i].Name
		}
	}
	for i := range s.Applications {
		place(&s.Applications[i], finished, log)
		placeShare(&s.Applications[i], s.Stages)
	}
	s.Waiting, s.Approvals, s.ExternalDNS, s.CertificateVoid = waitingIn(log), allApprovals(log), pausedIn(log), certificateVoid(log)
	s.inForce = approvalsInForce(log, s.Applications)
	return s
}

// approvalsInForce are those that still say who let a wave go: another one of the same wave takes the place of one, and the return of an
// application of the wave ends it.
func approvalsInForce(log *journal.Log, apps []ApplicationStatus) []Approval {
	var list []Approval
	drop := func(wave int) { list = slices.DeleteFunc(list, func(a Approval) bool { return a.Wave == wave }) }
	for _, r := range log.Records {
		var a Approval
		var back returned
		switch {
		case r.Kind != journal.KindNoted:
		case r.Stage == noteApproved && json.Unmarshal(r.Data, &a) == nil:
			drop(a.Wave)
			list = append(list, a)
		case r.Stage == noteReturned && json.Unmarshal(r.Data, &back) == nil:
			if i := slices.IndexFunc(apps, func(x ApplicationStatus) bool { return x.Name == back.App }); i >= 0 {
				drop(apps[i].Wave)
			}
		}
	}
	return list
}

// waitingIn are the waits that were noted and that nothing has ended since.
func waitingIn(log *journal.Log) []Waiting {
	var list []Waiting
	drop := func(over func(Waiting) bool) { list = slices.DeleteFunc(list, over) }
	for _, r := range log.Records {
		switch {
		case r.Kind == journal.KindNoted && r.Stage == noteWaiting:
			var w Waiting
			if json.Unmarshal(r.Data, &w) == nil {
				drop(func(x Waiting) bool { return x.For == w.For && x.Turn == w.Turn })
				list = append(list, w)
			}
		case r.Kind == journal.KindNoted && r.Stage == noteApproved:
			var a Approval
			if json.Unmarshal(r.Data, &a) == nil {
				drop(func(w Waiting) bool { return w.For == WaitsForApproval && w.Wave == a.Wave && w.Plan == a.Plan })
			}
		case r.Kind == journal.KindFinished, r.Kind == journal.KindReset:
			drop(func(w Waiting) bool { return w.For == WaitsForTTL && w.Stage == r.Stage })
		case r.Kind == journal.KindPlanned: // its turn has begun
			drop(func(w Waiting) bool {
				app, freezes := strings.CutPrefix(r.Stage, "freeze/")
				return freezes && w.Turn != "" && slices.Contains(w.Applications, app)
			})
		}
	}
	return list
}

func allApprovals(log *journal.Log) []Approval {
	var list []Approval
	for _, raw := range log.Noted(noteApproved) {
		var a Approval
		if json.Unmarshal(raw, &a) == nil {
			list = append(list, a)
		}
	}
	return list
}

func fill(s *StageStatus, known journal.Stage) {
	s.Done, s.Failure = known.Done, known.Failure
	switch {
	case known.Finished:
		s.State = StageDone
	case known.Failure != "":
		s.State = StageFailed
	case known.Plan != "":
		s.State = StageUnderWay
	}
	if !known.Began.IsZero() {
		s.Began = &known.Began
	}
	if !known.Ended.IsZero() {
		s.Ended = &known.Ended
	}
}

// place derives an application's state from the last stage of its turn that has finished.
func place(a *ApplicationStatus, finished map[string]bool, log *journal.Log) {
	if freeze := log.Stage("freeze/" + a.Name); freeze.Plan != "" {
		a.Frozen = &freeze.Began
	}
	a.Forwards = forwardsIn(a.Name, log)
	switch {
	case finished["soak/"+a.Name], len(a.Hostnames) == 0 && finished["start/"+a.Name]:
		a.State = OnGreen
	case finished["swap/"+a.Name]:
		a.State = Soaking
	case finished["start/"+a.Name]:
		a.State = Moving
	case finished["freeze/"+a.Name]:
		a.State = Frozen
	default:
		for _, raw := range log.Noted(noteReturned) {
			var r returned
			if json.Unmarshal(raw, &r) == nil && r.App == a.Name {
				a.State, a.Why = Returned, r.Why
			}
		}
	}
}

// placeShare says of an application whose names have not moved as a whole what part of its traffic is led to green.
func placeShare(a *ApplicationStatus, stages []StageStatus) {
	if a.State != Moving {
		return
	}
	for _, s := range stages {
		percent, isShift := strings.CutPrefix(s.Name, "shift/"+a.Name+"/")
		share, err := strconv.Atoi(percent)
		if !isShift || err != nil || s.Done == 0 {
			continue
		}
		// What was split and is still watched is led there already.
		a.State, a.Share = Shifting, share
	}
}
