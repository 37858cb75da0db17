package cutover

import (
	"fmt"
	"strings"
	"time"
)

// Report is what the cutovers of a migration did, for people and for `-o json`. Its parts are the results of the stages;
// what has not happened yet is zero.
type Report struct {
	Migration string      `json:"migration"`
	Rehearsal bool        `json:"rehearsal,omitempty"`
	TTL       TTLResult   `json:"ttl,omitzero"`
	Apps      []AppReport `json:"apps,omitempty"`
	Idle      *Idle       `json:"idle,omitempty"`
}

// AppReport is one application's part.
type AppReport struct {
	App    string        `json:"app"`
	Shift  []ShiftResult `json:"shift,omitempty"`
	Swap   *SwapResult   `json:"swap,omitempty"`
	Settle *SettleResult `json:"settle,omitempty"`
	Soak   *SoakResult   `json:"soak,omitempty"`
	Return *ReturnResult `json:"return,omitempty"`
}

// Waits returns every wait with its arithmetic, in the order of the migration (C26).
func (r Report) Waits() []Wait {
	var waits []Wait
	for _, h := range r.TTL.Names {
		if h.Route == nil {
			waits = append(waits, h.Waited)
		}
	}
	for _, a := range r.Apps {
		for _, s := range a.Shift {
			if s.Wait.For > 0 {
				waits = append(waits, s.Wait)
			}
		}
		if a.Settle != nil && a.Settle.Wait.For > 0 {
			waits = append(waits, a.Settle.Wait)
		}
		if a.Soak != nil && a.Soak.Wait.For > 0 {
			waits = append(waits, a.Soak.Wait)
		}
	}
	if r.Idle != nil {
		waits = append(waits, Wait{What: "blue idle", Text: r.Idle.Text, From: r.Idle.Since, Until: r.Idle.Until, For: r.Idle.For})
	}
	return waits
}

// Markdown is the report as a section of a page.
func (r Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("## Cutover")
	line("")
	if r.Rehearsal {
		line("**Rehearsal: safety times were shortened on purpose.**")
		line("")
	}
	line("| application | name | from | to | strength | every server after | checks passed |")
	line("| --- | --- | --- | --- | --- | --- | --- |")
	for _, a := range r.Apps {
		if a.Swap == nil {
			continue
		}
		checks := "–"
		if a.Soak != nil {
			checks = fmt.Sprintf("%d of %d rounds", a.Soak.Rounds.Passed, a.Soak.Rounds.Passed+a.Soak.Rounds.Failed+a.Soak.Rounds.Inconclusive)
		}
		for _, m := range a.Swap.Names {
			from, to := m.way()
			line("| %s | %s | %s | %s | %s | %s | %s |", a.App, m.Name, from, to, m.promise(), m.Seen.At.Sub(m.Sent).Round(time.Millisecond), checks)
		}
		if a.Return != nil {
			line("| %s | went back | | | | | |", a.App)
		}
	}
	line("")
	line("| wait | arithmetic | length |")
	line("| --- | --- | --- |")
	for _, w := range r.Waits() {
		line("| %s | %s | %s |", w.What, w.Text, w.For.Round(time.Second))
	}
	for _, a := range r.Apps {
		for _, step := range a.Shift {
			for _, m := range step.Measured {
				line("")
				line("Shift of %s to %d%%: %s.", a.App, step.To, m)
			}
		}
		if a.Settle == nil {
			continue
		}
		for _, s := range a.Settle.Stretched {
			line("")
			line("Resolver against its TTL: %s.", s)
		}
	}
	return b.String()
}
