package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// byProvider is how a change was seen that no name server shows (C19).
const byProvider = "the provider's API"

// errStill says that the provider shows something else than what was written.
var errStill = errors.New("the provider does not show the change")

// proxied says whether a zone's provider answers for a name with addresses of its own, so that no name server shows where
// it leads.
func proxied(ctx context.Context, driver zone.Zone, name string) (bool, error) {
	proxier, ok := driver.(zone.Proxier)
	if !ok {
		return false, nil
	}
	return proxier.Proxied(ctx, name)
}

// proxiedNote is what a plan says of such a name.
const proxiedNote = "it is proxied: its provider answers with addresses of its own, so no name server shows where it leads. Its changes are verified by reading them back at the provider's API; " +
	"that requests reach green is shown by the application's checks alone"

const mendMarker = "let green's answers carry something that blue's do not (a header, a version), and demand it end to end: {when: after, http: {path: /, responseHeaders: {X-Side: green}}}"

// judgeMarker demands of a proxied name a check that tells the sides apart (C19): one that goes the way of the clients, and that blue
// does not pass.
func judgeMarker(ctx context.Context, s NameState, opts Options, found *Inspection) error {
	if !s.Proxied {
		return nil
	}
	app, err := opts.application(s.App)
	if err != nil {
		return err
	}
	checkOpts := CheckOptions{Options: opts, App: app.Name, Side: sideBlue, Entries: []Entries{s.Entries}, Phase: AfterSwap}
	var passes, silent []string
	for _, check := range app.Checks {
		if check.HTTP == nil || !check.EndToEnd() || !sameName(cmp.Or(check.HTTP.Hostname, app.Hostnames[0].Name), s.Hostname) {
			continue
		}
		probes, err := probesOf(ctx, checkOpts, app, check)
		if err != nil {
			return err
		}
		for _, p := range probes {
			switch tells, err := p.tells(ctx); {
			case err != nil:
				silent = append(silent, err.Error())
			case tells:
				return nil
			default:
				passes = append(passes, check.Name)
			}
		}
	}
	switch {
	case len(silent) > 0:
		found.warn(s.Hostname, "it is proxied, and whether its checks tell green from blue is not known, since blue did not answer them: "+strings.Join(silent, "; "))
	case len(passes) > 0:
		found.refuse(s.Hostname, fmt.Sprintf("it is proxied, and blue passes every check that goes end to end (%s), so none of them could show that requests reach green",
			strings.Join(slices.Compact(passes), ", ")), mendMarker)
	default:
		found.refuse(s.Hostname, "it is proxied, and no http check goes end to end, so nothing could show that requests reach green", mendMarker)
	}
	return nil
}

// tells reports whether a check of blue has an answer, and one that does not pass.
func (p probe) tells(ctx context.Context) (bool, error) {
	if !p.addr.IsValid() {
		return false, fmt.Errorf("no address of %s is known on %s", p.entry.Hostname, p.side)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	got, err := p.get(ctx, p.check.HTTP, p.at(p.addr), nil)
	if err != nil {
		return false, err
	}
	return p.judgeAnswer(got).outcome == Failed, nil
}

// unlessBlues judges a failure that was met by way of something in between, such as a provider's proxy: where blue, asked itself, fails
// in the same way, the answer may still be blue's, and says nothing of green.
func (p probe) unlessBlues(ctx context.Context, f finding) finding {
	if !p.between || p.blue == nil {
		return f
	}
	for _, addr := range p.blue.Addresses {
		got, err := p.get(ctx, p.check.HTTP, p.at(addr), nil)
		if err == nil && p.judgeAnswer(got) == f {
			return unknown("%s answers in between, and may still lead to blue, which fails in the same way: %s", p.addr, f.text)
		}
	}
	return f
}

// hide takes out of what must be seen everywhere the sets that the provider's proxy hides, and returns them.
func (s *spread) hide() []dnsx.RRset {
	var hidden, shown []dnsx.RRset
	for _, set := range s.want {
		if set.Name == s.name && (set.Type == "A" || set.Type == "AAAA" || set.Type == "CNAME") {
			hidden = append(hidden, set)
		} else {
			shown = append(shown, set)
		}
	}
	s.want = shown
	return hidden
}

// atProvider reads sets back where changes are made.
func atProvider(ctx context.Context, driver zone.Zone, want []dnsx.RRset) error {
	var missing []string
	for _, set := range want {
		got, err := driver.Lookup(ctx, set.Name, set.Type)
		switch {
		case errors.Is(err, zone.ErrNotExist) && len(set.Data) == 0:
		case err != nil && !errors.Is(err, zone.ErrNotExist):
			return err
		case err != nil || !dnsx.RRset(got).Equal(set):
			missing = append(missing, fmt.Sprintf("%s %s holds %s", set.Name, set.Type, strings.Join(got.Data, " ")))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s", errStill, strings.Join(missing, "; "))
	}
	return nil
}
