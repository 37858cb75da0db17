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
	line("Made %s by %s. SHA-256 `%s`.", c.Made.Format(time.RFC3339), orDash(c.Tool), c.Hash)
	line("")
	line("| side | cluster | version | server |")
	line("| --- | --- | --- | --- |")
	line("| blue | %s | %s | %s |", c.Blue.UID, c.Blue.Version, c.Blue.Server)
	line("| green | %s | %s | %s |", c.Green.UID, c.Green.Version, c.Green.Server)
	line("")
	line("## Nobody uses blue")
	line("")
	line("%s. %d samples, %d restarts, SHA-256 `%s`.", c.Idle.Text, c.Idle.Samples, len(c.Idle.Restarts), c.Idle.Hash)
	line("")
	for _, e := range c.Idle.Evidence {
		line("- %s: %s: %s", e.Evidence, e.Use, e.Text)
	}
	line("")
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

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
