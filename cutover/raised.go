package cutover

import (
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// Raised is a TTL above the lowered one that a name was seen with after the TTL stage.
type Raised struct {
	Name string `json:"name"`
	// TTL in seconds, and when it was first seen.
	TTL uint32    `json:"ttl"`
	At  time.Time `json:"at"`
}

// sawTTL tells of a TTL above the lowered one, unless one as long is known. It is told before the name is refused: once somebody has
// lowered it again, nothing but this shows what caches may hold.
func (o Options) sawTTL(name string, low, now []zone.RRset) error {
	ttl := longestOf(now)
	if known := o.beforeSwap(name, low); o.Raising == nil || seconds(known.length) >= ttl {
		return nil
	}
	return o.Raising(Raised{Name: name, TTL: ttl, At: o.now()})
}

// beforeSwap is the longest that a cache may hold what a name held before its swap, from when the last server showed the swap. Nobody
// knows when a TTL that was raised was lowered again, only that it was before the swap: so the whole of it counts from there.
func (o Options) beforeSwap(name string, low []zone.RRset) part {
	longest := part{"TTL", time.Duration(longestOf(low)) * time.Second}
	for _, r := range o.Raised {
		if length := time.Duration(r.TTL) * time.Second; r.Name == name && length > longest.length {
			longest = part{fmt.Sprintf("TTL that somebody had set after the stage ttl (seen %s)", r.At.UTC().Format(time.DateTime+" MST")), length}
		}
	}
	return longest
}

func longestOf(sets []zone.RRset) uint32 {
	var ttl uint32
	for _, set := range sets {
		ttl = max(ttl, set.TTL)
	}
	return ttl
}
