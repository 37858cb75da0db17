package cutover

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Before is what plans of the TTL stage that are no longer in force have left: the names as they were found, and the fences that
// they were to take.
type Before struct {
	Held   []Held
	Fences []zone.Fence
}

// BeforeOf reads plans of the TTL stage, the oldest first. Of a name that several hold, the last word counts: it knew of those before it.
func BeforeOf(plans ...*plan.Plan) (Before, error) {
	var before Before
	for _, p := range plans {
		held, err := HeldOf(p)
		if err != nil {
			return Before{}, err
		}
		for _, h := range held {
			before.Fences = append(before.Fences, h.Fence)
			i := slices.IndexFunc(before.Held, func(x Held) bool { return x.Name == h.Name && (x.Route == nil) == (h.Route == nil) })
			if i < 0 {
				before.Held = append(before.Held, h)
				continue
			}
			if h.Record == nil {
				h.Record = before.Held[i].Record
			}
			before.Held[i] = h
		}
	}
	return before, nil
}

// gave reports whether an earlier plan gave a fence this token.
func (b Before) gave(name, token string) bool {
	return slices.Contains(b.Fences, zone.Fence{Name: name, Token: token})
}

// of returns what an earlier plan knew of a name that its record moves.
func (b Before) of(name string) (Held, bool) {
	i := slices.IndexFunc(b.Held, func(h Held) bool { return h.Name == name && h.Route == nil })
	if i < 0 {
		return Held{}, false
	}
	return b.Held[i], true
}

// ownRecords are a name's records with TTLs of their own. One that this migration has lowered already, under a plan that was forgotten,
// has the TTL that stood there before that: the plan knows it, and so does the fence, where the plan is lost. A TTL that is not the
// lowered one was set by somebody since.
func (o Options) ownRecords(s NameState, token string) []zone.RRset {
	own := slices.Clone(s.Records)
	before, known := o.Before.of(s.Hostname)
	kept := ttlsIn(token)
	for i, set := range own {
		switch {
		case s.Proxied:
		case known:
			if low := ttlOf(before.Low, set.Type); low == set.TTL && low != 0 {
				own[i].TTL = ttlOf(before.Old, set.Type)
			}
		case strings.HasPrefix(token, o.tokens()):
			own[i].TTL = max(set.TTL, kept[set.Type])
		}
	}
	return own
}

func ttlOf(sets []zone.RRset, typ string) uint32 {
	for _, set := range sets {
		if set.Type == typ {
			return set.TTL
		}
	}
	return 0
}

// tokens is what all tokens of this migration begin with.
func (o Options) tokens() string { return fencePrefix + o.Migration + "/" }

// token is a new one for a name's fence. It keeps the TTLs of the name's records, for whoever has nothing else to know them by:
//
//	crossfade/move/0f1e…/CNAME=300
func (o Options) token(own []zone.RRset) string {
	var ttls []string
	for _, set := range own {
		ttls = append(ttls, fmt.Sprintf("%s=%d", set.Type, set.TTL))
	}
	return strings.Join([]string{o.tokens() + newToken(), strings.Join(ttls, ",")}, "/")
}

// tokenAfter is a new one in the place of another, whose TTLs it keeps.
func (o Options) tokenAfter(old string) string {
	if ttls := keptTTLs(old); ttls != "" {
		return o.tokens() + newToken() + "/" + ttls
	}
	return o.tokens() + newToken()
}

// keptTTLs is the part of a token that keeps TTLs; empty for one that keeps none.
func keptTTLs(token string) string {
	parts := strings.SplitN(token, "/", 4)
	if len(parts) < 4 || parts[0]+"/" != fencePrefix {
		return ""
	}
	return parts[3]
}

// ttlsIn are the TTLs that a token keeps, by type. What stands in a zone may have been written by anybody.
func ttlsIn(token string) map[string]uint32 {
	ttls := map[string]uint32{}
	for _, part := range strings.Split(keptTTLs(token), ",") {
		typ, text, ok := strings.Cut(part, "=")
		if ttl, err := strconv.ParseUint(text, 10, 31); ok && err == nil {
			ttls[typ] = uint32(ttl)
		}
	}
	return ttls
}
