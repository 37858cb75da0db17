//go:build linux

package demo

import (
	"fmt"
	"io"
	"time"
)

// OK is true when no request failed and no accepted write is lost.
func (r *Result) OK() bool { return r.Load.Totals.Failed() == 0 && len(r.Lost) == 0 }

// Print writes the report, and as its last line what it comes to.
func (r *Result) Print(w io.Writer) error {
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := r.Migration.Print(w); err != nil {
		return err
	}
	p := &printer{w: w}
	p.f("\nas the users saw it:\n")
	for _, t := range r.Load.Targets {
		p.f("  %s: %d requests, %d failed", t.Target.Host, t.Totals.Requests, t.Totals.Failed())
		if t.Target.Writes > 0 {
			p.f("; %d writes accepted, %d refused while frozen", t.Totals.Writes, t.Totals.Refused)
			if t.Freeze != nil && t.Freeze.Seconds != nil {
				p.f("; last write on blue to first on green %.1f s", *t.Freeze.Seconds)
			}
		}
		for _, side := range []string{"blue", "green"} {
			p.f("; %s answered %d", side, t.Sides[side].Answers)
		}
		p.f("\n")
	}
	for _, f := range r.Load.Failures {
		p.f("  FAILED %s %s %s by %s on %s: %s\n", f.At.Format(time.TimeOnly), f.Op, f.Host, f.Client, f.Side, f.Reason)
	}
	for _, l := range r.Lost {
		p.f("  LOST %s: %s\n", l.Key, l.Reason)
	}
	p.f("  clock: %d ticks in green's store, %d minutes without one\n", r.Ticks, len(r.Missing))
	p.f("time: rig %s, migration %s, retirement %s\n", seconds(r.Took.Rig), seconds(r.Took.Migration), seconds(r.Took.Retire))
	t := r.Load.Totals
	p.f("demo: %d applications migrated, %d requests, %d failed, %d writes, %d lost, longest freeze %.1f s\n",
		len(r.Migration.Applications), t.Requests, t.Failed(), t.Writes, len(r.Lost), r.Load.LongestFreeze().Seconds())
	return p.err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

// printer keeps the first error of a row of writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
