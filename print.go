package crossfade

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// Print writes the status as two tables.
func (s *Status) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("migration %s%s\n", s.Migration, stamp(s.Rehearsal))
	if !s.Begun {
		out.f("not begun: there is no journal yet\n")
	} else {
		out.f("journal: %s, head %s, last written by %s\n", cli.Count(s.Records, "record"), s.Head, s.Actor)
	}
	switch {
	case s.Held != nil && s.Held.Until.IsZero():
		out.f("running now: %s, says %s\n", s.Held.By, s.Held.At)
	case s.Held != nil && s.Held.Ended:
		out.f("running now: nobody: %s, has ended and left %s, so that another machine is refused until %s\n", s.Held.By, s.Held.At, s.Held.Until.UTC().Format(time.DateTime+" MST"))
	case s.Held != nil:
		out.f("running now: %s, says %s, until %s unless it is renewed\n", s.Held.By, s.Held.At, s.Held.Until.UTC().Format(time.DateTime+" MST"))
	case s.Unseen != "":
		out.f("running now: not known: %s\n", s.Unseen)
	}
	out.f("\n")
	if out.err != nil {
		return out.err
	}
	var rows [][]string
	for _, a := range s.Applications {
		rows = append(rows, []string{a.Name, fmt.Sprint(a.Wave), a.where(), strings.Join(a.Hostnames, " "), firstLine(a.Why)})
	}
	if err := cli.Table(w, []string{"APPLICATION", "WAVE", "STATE", "HOSTNAMES", "WHY"}, rows); err != nil {
		return err
	}
	out.f("\n")
	rows = nil
	for _, st := range s.Stages {
		rows = append(rows, []string{st.Name, string(st.State), took(st), changesDone(st), firstLine(st.Failure)})
	}
	if out.err != nil {
		return out.err
	}
	if err := cli.Table(w, []string{"STAGE", "STATE", "TOOK", "CHANGES", "FAILURE"}, rows); err != nil {
		return err
	}
	if s.Next != "" && s.Begun {
		out.f("\nnext: %s\n", s.Next)
	}
	for _, a := range s.Applications {
		if a.Forwards != nil {
			out.f("\n%s: %s\n", a.Name, a.Forwards)
		}
	}
	for _, r := range s.missing {
		out.f("\n%s: %s: %s\n", r.What, r.Why, r.Mend)
	}
	s.printWaiting(out)
	printVoid(out, s.CertificateVoid)
	s.printFrozen(out)
	for _, l := range s.Undone {
		out.f("\nnot done: %s\n", l)
	}
	printPaused(out, s.ExternalDNS)
	return out.err
}

// printWaiting says what is waited for and until when, what to type, and who approved the waves.
func (s *Status) printWaiting(out *printer) {
	for _, w := range s.Waiting {
		if w.For == WaitsForApproval {
			out.f("\nwaits for %s of %s: %s\n", w, strings.Join(w.Applications, ", "), w.next())
			continue
		}
		out.f("\nwaits for %s; %s\n", w, w.next())
	}
	for _, a := range s.inForce {
		text := fmt.Sprintf("wave %d: approved by %s at %s, plan %.12s…", a.Wave, a.By, a.At.UTC().Format(time.DateTime+" MST"), a.Plan)
		if a.Rule != "" {
			text += " (" + a.Rule + ")"
		}
		out.f("\n%s\n", text)
	}
}

// printVoid says that the retirement certificate does not hold any more.
func printVoid(out *printer, why string) {
	if why != "" {
		out.f("\nthe retirement certificate does not hold any more: %s\n", why)
	}
}

// where is the application's state for people.
func (a ApplicationStatus) where() string {
	if a.Share > 0 {
		return fmt.Sprintf("%s (%d%%)", a.State, a.Share)
	}
	return string(a.State)
}

// printFrozen says whose writes nobody accepts, and what to type.
func (s *Status) printFrozen(out *printer) {
	if s.Held != nil && s.Held.Until.IsZero() {
		return // a process of this machine is at it; a lease may be a dead one's
	}
	for _, line := range s.left() {
		out.f("\n%s\n", line)
	}
}

// left is what a process that has ended leaves half done where users notice it, each with what to type.
func (s *Status) left() []string {
	var lines []string
	if s.GoingBack != "" {
		lines = append(lines, fmt.Sprintf("going back is not finished (%s): `crossfade run` or `crossfade rollback` finishes it", firstLine(s.GoingBack)))
	}
	for _, st := range s.Stages {
		if st.Name == stageBrownOut && (st.State == StageUnderWay || st.State == StageFailed) {
			lines = append(lines, "blue refuses everybody: the next `crossfade run`, `rollback`, `retire` or `cleanup` puts it back first")
		}
	}
	for _, a := range s.Applications {
		if a.Frozen == nil || a.State == Soaking || a.State == OnGreen {
			continue // green accepts writes, or the freeze was taken back
		}
		line := fmt.Sprintf("blue is frozen for %s since %s", a.Name, a.Frozen.UTC().Format(time.DateTime+" MST"))
		if s.GoingBack == "" {
			line += fmt.Sprintf(": `crossfade run` goes on to green, `crossfade rollback %s` goes back to blue", a.Name)
		}
		lines = append(lines, line)
	}
	return lines
}

func took(s StageStatus) string {
	if s.Began == nil || s.Ended == nil {
		return ""
	}
	return cli.Duration(s.Ended.Sub(*s.Began).Truncate(time.Millisecond))
}

func changesDone(s StageStatus) string {
	if s.Done == 0 {
		return ""
	}
	return fmt.Sprint(s.Done)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
