package bucketsync

import (
	"fmt"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A comparison of nothing finds no difference, and a proof by it would be one of nothing: a glob that was written wrongly takes no key, and a
// directory where nothing is mounted has none. What follows is by what was seen of the keys:
//
//	keys taken at       keys left out    copied from
//	source   destination  at the source    there before    plan and result    a final sync
//	some     any        any              any             -                  goes on
//	none     none       some             any             warned             refused: nothing was chosen
//	none     any        none             some            warned             refused but with deletions: the source is not the one that it was
//	none     any        none             none            warned             goes on: an empty place is equal to an empty one
//	none     some       some             any             -                  goes on: what is left at the destination is extra, or deleted
//
// A range of keys may be empty in a bucket that is not, and of what an earlier run had finished the keys are not seen again.

// emptiness warns, or refuses, where the source gives nothing to compare.
func (e *engine) emptiness(p *plan.Plan, c Planned) {
	if c.Source > 0 || c.Resumed > 0 || e.opts.Range != (Range{}) {
		return
	}
	const nothing = "nothing was compared: "
	switch {
	case c.LeftOut > 0 && c.Held == 0:
		why := nothing + fmt.Sprintf("no key on either side matches %s, and %s has %s", e.opts.Filter, c.From, cli.Count(int(c.LeftOut), "object"))
		if e.opts.Final {
			p.Refuse(e.opts.Name, why, "correct the globs of --include and --exclude; `a/**` takes what lies below a")
		} else {
			p.Note(plan.Warning, e.opts.Name, why)
		}
	case c.LeftOut > 0:
	case c.Gone > 0 && e.opts.Final && !e.opts.Delete:
		p.Refuse(e.opts.Name, fmt.Sprintf("the source %s holds no objects, and %s copied from there before", c.From, were(c.Gone)),
			e.opts.said("see that it is the right one; where all of it was deleted on purpose, let deletions be copied (delete: true)", "see that it is the right one, and mounted; where all of it was deleted on purpose, say --delete"))
	case c.Held == 0:
		p.Note(plan.Warning, e.opts.Name, nothing+"the source "+c.From+" holds no objects, and nor does the destination")
	default:
		p.Note(plan.Warning, e.opts.Name, "the source "+c.From+" holds no objects")
	}
}

func were(n int64) string {
	if n == 1 {
		return "1 object was"
	}
	return cli.Count(int(n), "object") + " were"
}
