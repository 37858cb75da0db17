package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// outlookNames is how many names an outlook lists of those for which it holds.
const outlookNames = 3

// Outlook says of the names that were read how strong a swap of them is, and how long its waits are (C26), before the stages can be
// planned that lower their TTLs and move them. Names for which the same holds share a note.
func Outlook(opts Options, found Inspection) []plan.Note {
	type key struct{ zone, text string }
	names := map[key][]string{}
	var order []key
	for _, s := range found.Names {
		if len(s.Records) == 0 || s.AtGreen() {
			continue
		}
		k := key{s.Zone, opts.outlook(s)}
		if !slices.Contains(order, k) {
			order = append(order, k)
		}
		names[k] = append(names[k], s.Hostname)
	}
	var notes []plan.Note
	for _, k := range order {
		list := names[k]
		text := strings.Join(list[:min(len(list), outlookNames)], ", ")
		if more := len(list) - outlookNames; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		notes = append(notes, plan.Note{Level: plan.Info, What: "zone " + k.zone, Text: text + ": " + k.text})
	}
	return notes
}

func (o Options) outlook(s NameState) string {
	if s.Proxied {
		return fmt.Sprintf("a swap is %s; the provider answers with addresses of its own, so that no TTL is lowered and none waited for", s.Strength)
	}
	low, lowered, wait := o.times(s)
	first := fmt.Sprintf("the TTL of %ds stays, and is waited for first (%s)", s.TTL, wait)
	if lowered {
		first = fmt.Sprintf("the TTL of %ds is lowered to %ds, and waited for first (%s)", s.TTL, low, wait)
	}
	move := summarise(o, swapSummary{}, moveData{Strength: s.Strength, Change: zone.Change{Old: withTTL(s.Records, low)}})
	return fmt.Sprintf("a swap is %s; %s; there: %s; back: %s", s.Strength, first, move.There, move.Back)
}

// times are the TTL that a name gets while it may move, whether that is lower than its own, and how long its own is waited for.
func (o Options) times(s NameState) (low uint32, lowered bool, wait string) {
	low = o.lowTTL()
	for _, set := range s.Records {
		low = min(low, set.TTL)
	}
	return low, low < s.TTL, sum(part{"old TTL", time.Duration(s.TTL) * time.Second}, part{"margin", o.margin()})
}
