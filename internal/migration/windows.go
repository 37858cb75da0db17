package migration

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/window"
)

// Defaults of change windows and approvals.
const (
	// DefaultWindowSpare is what a turn's arithmetic adds for the freeze, the last copy and the start.
	DefaultWindowSpare = 10 * time.Minute
	// DefaultWindowWait is how long a run waits for a window.
	DefaultWindowWait = time.Hour
	// DefaultApprovalAfter is for how long all checks of the wave before must pass where they approve.
	DefaultApprovalAfter = 10 * time.Minute
)

// Windows are the times at which applications may be moved: a turn begins only where the time that it takes is left.
type Windows struct {
	// Timezone of the IANA database in which the times are meant: Europe/Berlin.
	Timezone string `yaml:"timezone" json:"timezone"`
	// Open lists the windows.
	Open []Window `yaml:"open" json:"open" jsonschema:"minItems=1"`
	// Closed lists dates on which none opens: 2026-12-24, or 2026-12-20/2027-01-03.
	Closed []string `yaml:"closed,omitempty" json:"closed,omitempty"`
	// Spare is added to the time that a turn takes, for the freeze, the last copy and the start. Default 10m.
	Spare Duration `yaml:"spare,omitempty" json:"spare,omitempty"`
	// Wait is how long a run waits for a window before it ends with the exit code 11; the same command goes on later. Default 1h.
	Wait Duration `yaml:"wait,omitempty" json:"wait,omitempty"`
}

// Window is one weekly window.
type Window struct {
	// Weekdays on which it opens: mon, tue, wed, thu, fri, sat, sun. Default every day.
	Weekdays []string `yaml:"weekdays,omitempty" json:"weekdays,omitempty"`
	// From is when it opens, 09:00.
	From string `yaml:"from" json:"from"`
	// To is when it closes, up to 24:00; where it is not after from, it is the next day's.
	To string `yaml:"to" json:"to"`
}

// Schedule reads the windows.
func (w *Windows) Schedule() (*window.Schedule, error) {
	specs := make([]window.Spec, len(w.Open))
	for i, o := range w.Open {
		specs[i] = window.Spec{Weekdays: o.Weekdays, From: o.From, To: o.To}
	}
	return window.Parse(w.Timezone, specs, w.Closed)
}

// Approval says what must be there before a wave begins.
type Approval string

// Approvals.
const (
	// ApprovalNone lets a wave begin when the one before it is done.
	ApprovalNone Approval = "none"
	// ApprovalRequired stops the run until somebody approves.
	ApprovalRequired Approval = "required"
	// ApprovalGates lets a wave begin when all checks of the wave before it have passed for a while.
	ApprovalGates Approval = "gates"
)

// Wave sets what holds for one wave.
type Wave struct {
	// Wave is its number.
	Wave int `yaml:"wave" json:"wave" jsonschema:"minimum=1"`
	// Approval that this wave needs. Default that of the cutover section.
	Approval Approval `yaml:"approval,omitempty" json:"approval,omitempty" jsonschema:"enum=none,enum=required,enum=gates"`
	// ApprovalAfter is for how long the checks of the wave before must pass, with approval: gates. Default that of the cutover section.
	ApprovalAfter Duration `yaml:"approvalAfter,omitempty" json:"approvalAfter,omitempty"`
}

// ApprovalOf is what a wave needs before it begins, and, with gates, for how long they must pass.
func (c Cutover) ApprovalOf(wave int) (Approval, time.Duration) {
	need, after := cmp.Or(c.Approval, ApprovalNone), c.ApprovalAfter.Or(DefaultApprovalAfter)
	for _, w := range c.Waves {
		if w.Wave == wave {
			need, after = cmp.Or(w.Approval, need), w.ApprovalAfter.Or(after)
		}
	}
	return need, after
}

// Events that can be told of.
const (
	EventApproval = "approval-needed"
	EventWindow   = "window-waited"
	EventBreach   = "breach"
	EventReturned = "returned"
	EventWave     = "wave-done"
	EventDone     = "migration-done"
)

// Notification tells somebody of events: a webhook or a command, exactly one of the two.
type Notification struct {
	// Name of the notification, for the log.
	Name string `yaml:"name" json:"name"`
	// Events are those that are told: approval-needed, window-waited, breach, returned, wave-done, migration-done. Default all.
	Events []string `yaml:"events,omitempty" json:"events,omitempty"`
	// Webhook posts the event as JSON.
	Webhook *Webhook `yaml:"webhook,omitempty" json:"webhook,omitempty"`
	// Command is a program on this machine, run without a shell, that reads the event as JSON from its standard input.
	Command []string `yaml:"command,omitempty" json:"command,omitempty"`
	// Timeout of one try. Default 10s.
	Timeout Duration `yaml:"timeout,omitempty" json:"timeout,omitempty"`
}

// Webhook is where events are posted. Exactly one of URL and URLFrom is set.
type Webhook struct {
	// URL to post to.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
	// URLFrom refers to a URL that is itself a secret.
	URLFrom *SecretRef `yaml:"urlFrom,omitempty" json:"urlFrom,omitempty"`
	// Secret refers to the key with which the body is signed (HMAC-SHA256).
	Secret *SecretRef `yaml:"secret,omitempty" json:"secret,omitempty"`
}

func (v *validator) windows(f *File) {
	w := f.Cutover.Windows
	if w == nil {
		return
	}
	if _, err := w.Schedule(); err != nil {
		v.problem("cutover.windows", err.Error(), "as in {timezone: Europe/Berlin, open: [{weekdays: [tue, wed], from: \"09:00\", to: \"16:00\"}]}")
	}
}

func (v *validator) approvals(f *File) {
	const gates = "it has an effect with approval: gates only"
	if c := f.Cutover; c.ApprovalAfter != 0 && c.Approval != ApprovalGates && !slices.ContainsFunc(c.Waves, func(w Wave) bool { return w.Approval == ApprovalGates }) {
		v.problem("cutover.approvalAfter", gates, "take it out, or write approval: gates")
	}
	seen := map[int]bool{}
	for i, w := range f.Cutover.Waves {
		at := fmt.Sprintf("cutover.waves[%d]", i)
		if seen[w.Wave] {
			v.problem(at+".wave", fmt.Sprintf("wave %d stands here a second time", w.Wave), "keep one of them")
		}
		seen[w.Wave] = true
		if need, _ := f.Cutover.ApprovalOf(w.Wave); w.ApprovalAfter != 0 && need != ApprovalGates {
			v.problem(at+".approvalAfter", gates, "take it out, or write approval: gates")
		}
		if !slices.ContainsFunc(f.Applications, func(a Application) bool { return a.Wave == w.Wave }) {
			v.problem(at+".wave", fmt.Sprintf("no application is in wave %d", w.Wave), "")
		}
	}
}

func (v *validator) notifications(f *File) {
	names := map[string]bool{}
	known := []string{EventApproval, EventWindow, EventBreach, EventReturned, EventWave, EventDone}
	for i, n := range f.Notifications {
		at := fmt.Sprintf("notifications[%d]", i)
		if names[n.Name] {
			v.problem(at+".name", fmt.Sprintf("a second notification is called %q", n.Name), "names are used once")
		}
		names[n.Name] = true
		if count(n.Webhook != nil, len(n.Command) > 0) != 1 {
			v.problem(at, "it must hold either webhook or command", "")
		}
		for k, on := range n.Events {
			if !slices.Contains(known, on) {
				v.problem(fmt.Sprintf("%s.events[%d]", at, k), fmt.Sprintf("there is no event %q", on), suggest(on, known))
			}
		}
		if n.Webhook != nil {
			v.webhook(n.Webhook, at+".webhook")
		}
	}
}

func (v *validator) webhook(w *Webhook, at string) {
	if count(w.URL != "", w.URLFrom != nil) != 1 {
		v.problem(at, "it must hold either url or urlFrom", "a URL that is itself a secret is referred to: urlFrom: {env: NAME}")
	}
	v.secret(w.URLFrom, at+".urlFrom")
	v.secret(w.Secret, at+".secret")
	if w.URL == "" {
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		v.problem(at+".url", "it is no http or https URL", "write it as https://hooks.example.com/crossfade")
	case u.User != nil:
		v.problem(at+".url", "it would hold a secret in clear", "use urlFrom:")
	}
}
