package cutover

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Owner is a TXT record by which external-dns says that a record is its own.
type Owner struct {
	externaldns.Place
	externaldns.Text
	// Set is the whole TXT set that the text stands in, as the primary has it.
	Set zone.RRset `json:"set"`
	// Unknown is set where a text stands at such a place that is not in the documented plain form: encrypted, it may be.
	Unknown bool `json:"unknown,omitempty"`
	// Affix is what the place was computed with.
	Affix externaldns.Affix `json:"affix,omitzero"`
}

// String names the owner for plans and pictures.
func (o Owner) String() string {
	if o.Unknown {
		return "a text of an unknown form at " + o.Name
	}
	text := fmt.Sprintf("%s (at %s)", o.Owner, o.Name)
	if o.Resource != "" {
		text = fmt.Sprintf("%s for %s (at %s)", o.Owner, o.Resource, o.Name)
	}
	return text
}

// encrypted is the form of an encrypted text: base64 and nothing else.
var encrypted = regexp.MustCompile(`^"[A-Za-z0-9+/=_-]{40,}"$`)

// findOwners looks at every place where external-dns, called by one of the affixes, would have written whose the name's
// records are. What only a wildcard answers is nobody's word about the name.
func (o Options) findOwners(ctx context.Context, z Zone, d dnsx.Delegation, records []zone.RRset, affixes []externaldns.Affix) ([]Owner, error) {
	var types []string
	for _, set := range records {
		types = append(types, set.Type)
	}
	var owners []Owner
	for _, affix := range affixes {
		for _, place := range affix.Places(d.Name, types...) {
			at, err := dnsx.Canonical(place.Name)
			if err != nil || !dnsx.InZone(at, z.Driver.Apex()) || slices.ContainsFunc(owners, func(o Owner) bool { return o.Name == at }) {
				continue
			}
			place.Name = at
			found, err := o.ownerAt(ctx, z, d, place)
			if err != nil {
				return nil, fmt.Errorf("read who owns %s: %w", d.Name, err)
			}
			if found != nil {
				found.Affix = affix
				owners = append(owners, *found)
			}
		}
	}
	return owners, nil
}

// sight is what findOwners needs of a name whose servers are known: these, and what a wildcard would say beside it.
func (o Options) sight(ctx context.Context, h Held) dnsx.Delegation {
	d := dnsx.Delegation{Name: h.Name, Cut: dnsx.Cut{SOA: dnsx.SOA{Zone: h.Zone}, Servers: h.Servers}}
	if h.Name == h.Zone {
		return d
	}
	// Nobody made this one. Where it cannot be asked for, the same question fails for the records themselves.
	beside := "crossfade-" + newToken()[:20] + "." + dnsx.Parent(h.Name)
	if set, err := o.names().ReadSet(ctx, d.Cut, beside, "TXT"); err == nil && len(set.Data) > 0 {
		d.Wildcard = append(d.Wildcard, set)
	}
	return d
}

// ownerAt asks the name servers first: most names have no such record, and a provider's requests are counted.
func (o Options) ownerAt(ctx context.Context, z Zone, d dnsx.Delegation, place externaldns.Place) (*Owner, error) {
	seen, err := o.names().ReadSet(ctx, d.Cut, place.Name, "TXT")
	if err != nil || len(seen.Data) == 0 || fromWildcard(d, seen) {
		return nil, err
	}
	set, err := z.Driver.Lookup(ctx, place.Name, "TXT")
	if errors.Is(err, zone.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, data := range set.Data {
		if text, ok := externaldns.Parse(data); ok {
			return &Owner{Place: place, Text: text, Set: set}, nil
		}
	}
	if place.Type != "" && slices.ContainsFunc(set.Data, encrypted.MatchString) {
		return &Owner{Place: place, Set: set, Unknown: true}, nil
	}
	return nil, nil
}

// fromWildcard says whether a set beside the name is what the wildcard of that level answers for any name.
func fromWildcard(d dnsx.Delegation, set dnsx.RRset) bool {
	return dnsx.Parent(set.Name) == dnsx.Parent(d.Name) && slices.ContainsFunc(d.Wildcard, func(w dnsx.RRset) bool {
		w.Name = set.Name
		return w.SameData(set)
	})
}

// owned returns a set whose ownership texts of one owner name another one; the rest stays as it is. It says whether
// anything changed.
func owned(set zone.RRset, from, to string) (zone.RRset, bool) {
	out := set
	out.Data = slices.Clone(set.Data)
	changed := false
	for i, data := range out.Data {
		if text, ok := externaldns.Parse(data); ok && text.Owner == from {
			out.Data[i], changed = text.WithOwner(to), true
		}
	}
	return out, changed
}
