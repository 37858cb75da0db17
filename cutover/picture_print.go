package cutover

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Print writes the picture as a tree, for people. Everything in it may come from outside.
func (p Picture) Print(w io.Writer, now time.Time) error {
	head := p.Name
	if p.App != "" {
		head += "  application " + p.App
	}
	root := &branch{text: head}
	if p.Zone.Apex != "" || p.Route == nil {
		p.drawZone(root)
		p.drawServers(root, now)
		p.drawChain(root)
		p.drawDNSSEC(root)
		p.drawAround(root)
		p.drawOwners(root)
	}
	p.drawEntries(root)
	p.drawTimes(root)
	if len(p.Refusals)+len(p.Notes) > 0 {
		plans := root.add("what a plan says of it")
		for _, r := range p.Refusals {
			plans.add("REFUSED: %s", r.Why).add("mend: %s", r.Mend)
		}
		for _, n := range p.Notes {
			plans.add("%s: %s", n.Level, n.Text)
		}
	}
	if len(p.Unread) > 0 {
		list := root.add("COULD NOT BE READ")
		for _, u := range p.Unread {
			list.add("%s: %s", u.What, u.Why)
		}
	}
	return root.write(w)
}

func (p Picture) drawZone(root *branch) {
	z := p.Zone
	b := root.add("zone %s", z.Apex)
	if z.Cut != "" && z.Cut != z.Apex {
		b.add("DELEGATED AWAY: the name is in %s", z.Cut)
	}
	if z.Cut == "" {
		b.add("SOA: not known")
	} else {
		b.add("SOA: serial %d, TTL %ds, MINIMUM %ds, primary %s", z.SOA.Serial, z.SOA.TTL, z.SOA.Minimum, z.SOA.Primary)
		b.add("a missing answer would be remembered for %ds", z.Negative)
	}
	if z.Strength != "" {
		b.add("a change is %s (%s)", z.Strength, strengthText(z.Strength))
	}
	d := root.add("delegation")
	switch {
	case z.Parent == "" && len(z.AtParent) == 0:
		d.add("at the parent: not followed, the file lists the servers")
	case len(z.AtParent) == 0:
		d.add("at the parent %s: not known", z.Parent)
	default:
		d.add("at the parent %s: %s", z.Parent, strings.Join(z.AtParent, " "))
	}
	d.add("in the zone: %s", orWord(z.AtChild, "not known"))
	for _, n := range z.OnlyAtParent() {
		d.add("DIFFERS: only the parent names %s", n)
	}
	for _, n := range z.OnlyAtChild() {
		d.add("DIFFERS: only the zone names %s", n)
	}
}

func strengthText(s zone.Strength) string {
	switch s {
	case zone.Atomic:
		return "one message, and no state between"
	case zone.Transactional:
		return "one transaction, spread to the servers later"
	}
	return "servers may show something else for a while"
}

func (p Picture) drawServers(root *branch, now time.Time) {
	b := root.add("servers")
	if len(p.Servers) == 0 {
		b.add("not known")
	}
	var at *branch
	last := ""
	for i, s := range p.Servers {
		if i == 0 || s.Server != last {
			at = b
			if s.Server != "" {
				at = b.add("%s", s.Server)
			}
			last = s.Server
		}
		line := at.add("%s", s.Addr)
		if s.Unknown != "" {
			line.add("NO ANSWER: %s", s.Unknown)
			continue
		}
		authority := "with authority"
		if !s.Authoritative {
			authority = "WITHOUT AUTHORITY"
		}
		lag := "as new as any"
		if s.Behind > 0 {
			lag = fmt.Sprintf("BEHIND by %d", s.Behind)
		}
		line.add("%s %s, serial %d, %s", s.Rcode, authority, s.Serial, lag)
		if len(s.Sets) == 0 {
			line.add("no CNAME, A or AAAA")
		}
		for _, set := range s.Sets {
			line.add("%s", setText(set))
		}
		for _, sig := range s.Signatures {
			if sig.Problem != "" {
				line.add("%s NOT VALID: %s", sig.Type, sig.Problem)
				continue
			}
			line.add("%s signed, %.1f days left (key %d)", sig.Type, sig.Left(now).Hours()/24, sig.KeyTag)
		}
	}
}

func setText(set dnsx.RRset) string {
	return fmt.Sprintf("%s %s  TTL %ds", set.Type, strings.Join(set.Data, " "), set.TTL)
}

func (p Picture) drawChain(root *branch) {
	b := root.add("chain")
	for _, link := range p.Chain {
		at := b.add("%s", link.Name)
		for _, set := range link.Sets {
			at.add("%s", setText(set))
		}
		if link.Zone != "" && link.Zone != p.Zone.Cut {
			at.add("in the zone %s", link.Zone)
		}
	}
	switch {
	case p.Broken != "":
		b.add("BROKEN: %s", p.Broken)
	case len(p.Chain) == 0:
		b.add("nothing is at the name")
	}
}

func (p Picture) drawDNSSEC(root *branch) {
	switch d := p.DNSSEC; {
	case p.Zone.Cut == "":
		root.add("DNSSEC: not known")
	case !d.Signed && d.Secure:
		root.add("DNSSEC: NOT SIGNED, and the parent has a DS: nobody who validates gets an answer")
	case !d.Signed:
		root.add("DNSSEC: not signed")
	case !d.Secure && p.Zone.Parent == "":
		root.add("DNSSEC: signed; the parent was not asked for a DS")
	case !d.Secure:
		root.add("DNSSEC: signed, and the parent has no DS")
	default:
		root.add("DNSSEC: signed, and the parent has a DS")
	}
}

func (p Picture) drawAround(root *branch) {
	b := root.add("around it")
	for _, set := range p.Beside {
		b.add("beside it: %s", setText(set))
	}
	for _, set := range p.Wildcards {
		b.add("wildcard: %s %s", set.Name, setText(set))
	}
	for _, name := range p.Below {
		b.add("below it: %s", name)
	}
	if len(b.children) == 0 {
		b.add("nothing that was read")
	}
	unread := slices.ContainsFunc(p.Unread, func(u Unread) bool { return u.What == "CAA" })
	switch {
	case p.CAA != nil:
		b.add("CAA at %s: %s", p.CAA.Name, strings.Join(p.CAA.Data, "; "))
	case unread || p.Zone.Cut == "":
		b.add("CAA: not known")
	default:
		b.add("CAA: none, so every authority may issue")
	}
	if p.CAAAtGreen != nil && (p.CAA == nil || p.CAA.Name != p.CAAAtGreen.Name) {
		b.add("CAA once it leads to green, at %s: %s", p.CAAAtGreen.Name, strings.Join(p.CAAAtGreen.Data, "; "))
	}
}

func (p Picture) drawOwners(root *branch) {
	b := root.add("who keeps it")
	for _, o := range p.Owners {
		b.add("external-dns: %s", o)
	}
	for _, h := range p.Hints {
		b.add("external-dns, perhaps: %s", h)
	}
	for _, k := range p.Keepers {
		at := b.add("found on %s", k)
		for _, u := range k.Unread {
			at.add("NOT READ: %s", u)
		}
	}
	if p.Fence != "" {
		b.add("fenced by a migration: %s", p.Fence)
	}
	if len(b.children) == 0 {
		b.add("nobody that was found")
	}
}

func (p Picture) drawEntries(root *branch) {
	if p.Blue == nil {
		return
	}
	b := root.add("entries")
	for _, side := range []struct {
		name string
		e    *Entry
	}{{sideBlue, p.Blue}, {sideGreen, p.Green}} {
		source := ""
		if side.e.Source != "" {
			source = " (" + side.e.Source + ")"
		}
		b.add("%s: %s%s", side.name, side.e, source)
	}
	if p.Route != nil {
		leads := p.Route.Leads
		if leads == "" {
			leads = "where is not known"
		}
		b.add("%s keeps the name, and leads it: %s", p.Route.Route.Ref, leads)
		return
	}
	if p.Share > 0 {
		b.add("the name is split: %d of 100 answers lead to green, the others to blue", p.Share)
		return
	}
	switch p.Leads {
	case "":
		b.add("where the name leads is not known")
	case "nowhere", "elsewhere":
		b.add("the name leads %s now", strings.ToUpper(p.Leads))
	default:
		b.add("the name leads to %s now", p.Leads)
	}
}

func (p Picture) drawTimes(root *branch) {
	if p.Times.Wait == "" {
		return
	}
	b := root.add("times of a cutover")
	if p.Times.TTL == p.Times.Low {
		b.add("the TTL is %ds already, low enough; wait %s", p.Times.TTL, p.Times.Wait)
	} else {
		b.add("lower the TTL from %ds to %ds, then wait %s", p.Times.TTL, p.Times.Low, p.Times.Wait)
	}
	b.add("there: %s", p.Times.There)
	b.add("back: %s", p.Times.Back)
}

func orWord(list []string, word string) string {
	if len(list) == 0 {
		return word
	}
	return strings.Join(list, " ")
}

// branch is one line of a tree with what hangs below it.
type branch struct {
	text     string
	children []*branch
}

func (b *branch) add(format string, args ...any) *branch {
	child := &branch{text: fmt.Sprintf(format, args...)}
	b.children = append(b.children, child)
	return child
}

// treeWidth is where lines are broken, so that the tree stays one on a narrow terminal.
const treeWidth = 78

func (b *branch) write(w io.Writer) error {
	if _, err := fmt.Fprintln(w, cli.Line(b.text)); err != nil {
		return err
	}
	return b.writeChildren(w, "")
}

func (b *branch) writeChildren(w io.Writer, indent string) error {
	for i, child := range b.children {
		first, rest := "├─ ", "│  "
		if i == len(b.children)-1 {
			first, rest = "└─ ", "   "
		}
		trunk := rest
		if len(child.children) > 0 {
			trunk += "│ "
		} else {
			trunk += "  "
		}
		room := max(30, treeWidth-utf8.RuneCountInString(indent+trunk))
		for k, line := range fold(cli.OneLine(child.text), room) {
			before := first
			if k > 0 {
				before = trunk
			}
			if _, err := fmt.Fprintln(w, strings.TrimRight(indent+before+line, " ")); err != nil {
				return err
			}
		}
		if err := child.writeChildren(w, indent+rest); err != nil {
			return err
		}
	}
	return nil
}

// fold breaks a text between words. A word that is longer than a line has a line to itself.
func fold(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
