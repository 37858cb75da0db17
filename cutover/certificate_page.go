package cutover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Markdown is the certificate as a page for people.
func (c Certificate) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Retirement certificate: %s", c.Migration)
	line("")
	if c.Rehearsal {
		line("**Rehearsal: safety times were shortened on purpose. This certifies nothing about real users.**")
		line("")
	}
	line("Made %s by %s with %s. SHA-256 `%s`.", c.Made.Format(time.RFC3339), orDash(c.Who), orDash(c.Tool), c.Hash)
	line("")
	line("| side | cluster | version | server |")
	line("| --- | --- | --- | --- |")
	line("| blue | %s | %s | %s |", c.Blue.UID, c.Blue.Version, c.Blue.Server)
	line("| green | %s | %s | %s |", c.Green.UID, c.Green.Version, c.Green.Server)
	line("")
	c.idlePage(line)
	line("## Blue refused everybody")
	line("")
	c.brownOutLines(line)
	line("")
	line("## Green serves")
	line("")
	for _, g := range c.Checks {
		line("- %s: %s", g.App, g)
	}
	line("")
	line("## Data is on green")
	line("")
	if len(c.Data) == 0 {
		line("No bucket belongs to the applications.")
	}
	for _, d := range c.Data {
		line("- %s: %d objects, %d bytes, %d differences, proven %s", d.What, d.Objects, d.Bytes, d.Differences, d.Verified.Format(time.RFC3339))
	}
	line("")
	line("## Blue could be made again")
	line("")
	line("Archive %s, revision %d of %s, verified %s, SHA-256 `%s`.", c.Archive.URL, c.Archive.Revision, c.Archive.Made.Format(time.RFC3339), c.Archive.Verified.Format(time.RFC3339), c.Archive.Hash)
	line("")
	line("## What it hangs on")
	line("")
	line("- The journal: %d records, head `%s`; %d plans, SHA-256 of their hashes `%s`.", c.Journal.Records, c.Journal.Head, c.Journal.Plans, c.Journal.PlansHash)
	line("- The migration file: SHA-256 `%s`, what it says `%s`. For deleting of blue: %s.", c.File.SHA256, c.File.Content, orDash(strings.Join(c.Delete, ", ")))
	line("- The key `%s`, which signed certificate.json; this page was made from it.", c.SignedBy)
	return b.String()
}

func (c Certificate) brownOutLines(line func(string, ...any)) {
	switch b := c.BrownOut; {
	case b == nil && c.NoBrownOut != "":
		line("It did not: %s.", c.NoBrownOut)
	case b == nil:
		line("It did not: this is a rehearsal without a brown-out.")
	default:
		line("%s.", b.Text)
		line("")
		for _, at := range b.Knocked {
			line("- refused, and counted: our own knock of %s", at)
		}
		for _, e := range b.Evidence {
			line("- %s: %s: %s", e.Evidence, e.Use, e.Text)
		}
		for _, app := range slices.Sorted(maps.Keys(b.Rounds)) {
			line("- checks of %s on green meanwhile: %d rounds passed, %d failed", app, b.Rounds[app].Passed, b.Rounds[app].Failed)
		}
	}
}

// idlePage has every source of evidence with what it covers.
func (c Certificate) idlePage(line func(string, ...any)) {
	line("## Nobody uses blue")
	line("")
	line("%s. %d samples, SHA-256 `%s`.", c.Idle.Text, c.Idle.Samples, c.Idle.Hash)
	line("")
	line("| source | covers | from | until | looks | looks that taught nothing | largest gap |")
	line("| --- | --- | --- | --- | --- | --- | --- |")
	for _, s := range c.Sources {
		line("| %s | %s | %s | %s | %d | %d | %s |", cell(s.Name), s.Coverage.covers(), s.From.Format(time.RFC3339), s.Until.Format(time.RFC3339), s.Looks, s.Unseen, s.gap())
	}
	line("")
	for _, s := range c.Sources {
		line("- %s: %s (`%s`, SHA-256 `%s`)", s.Name, s.Text, s.File, s.SHA256)
		if c := s.Confirmed; c != nil {
			line("  - asked once more, for the whole time: %s (`%s`, SHA-256 `%s`)", c.Text, c.File, c.SHA256)
		}
	}
	for _, app := range slices.Sorted(maps.Keys(c.Unwatched)) {
		line("- %s is watched by nothing: %s", app, c.Unwatched[app])
	}
	line("")
	if len(c.Idle.Restarts) == 0 {
		return
	}
	line("The time began again:")
	line("")
	for _, r := range c.Idle.Restarts {
		line("- %s: %s", r.At.Format(time.RFC3339), r.Why)
	}
	line("")
}

// covers says for people what a kind of evidence knows.
func (c Coverage) covers() string {
	switch c {
	case Whole:
		return "the whole time"
	case Sampled:
		return "samples: what was there at each look, and shortly before"
	case State:
		return "samples: what stood there at each look"
	}
	return "not known"
}

func (s Source) gap() string {
	if s.LargestGap == 0 {
		return "none"
	}
	return fmt.Sprintf("%s, until %s", s.LargestGap.Round(time.Second), s.GapAt.Format(time.RFC3339))
}

// cell keeps a text inside its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
