package bucketsync

import (
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A directory has more than files: links, pipes, sockets, devices, names that no key has (bucket.Irregular). Nobody follows, opens, replaces or deletes them. What
// is done about one that the choice of keys takes, and that no proof has recorded as somebody else's:
//
//	source                | destination                | what
//	----------------------+----------------------------+-------------------------------------------------------------------
//	no object             | anything                   | the plan refuses it; in a pass an error of this key, and the rest goes on
//	an object             | no object under its key    | the same, or where conflicts are skipped, it stays and is counted
//	an object             | no object, as a/b below a  | the plan refuses the object; in a pass an error of its key
//	none                  | no object                  | it stays, also in a mirror, and the plan names it; a proof counts it as extra
//
// A proof that meets one where the other side has an object finds a difference of this key.

// irregular reports whether the source has something that cannot become an object, or cannot be written.
func (p pair) irregular() bool {
	return p.src != nil && (p.src.Irregular != "" || p.blocked != "" || p.dst != nil && p.dst.Irregular != "")
}

// held reports whether the destination has an object.
func (p pair) held() bool { return p.dst != nil && p.dst.Irregular == "" }

// notObjects says what is the matter with a key that both sides may have, and not both as an object; or "".
func notObjects(p pair) string {
	switch {
	case p.src != nil && p.src.Irregular != "":
		return "it is " + string(p.src.Irregular) + " at the source, not an object"
	case p.src != nil && p.dst != nil && p.dst.Irregular != "":
		return "it is " + string(p.dst.Irregular) + " at the destination, not an object"
	}
	return ""
}

// inTheWay says why a key for which irregular holds cannot be synced, and what mends it.
func (e *engine) inTheWay(p pair) (why, mend string) {
	leave := e.opts.said("move it elsewhere", "leave it out with --exclude")
	switch why := notObjects(p); {
	case p.src.Irregular != "":
		return why, leave + ", or put in its place what it stands for"
	case why == "":
		return string(p.blocked) + " stands at the destination where it needs a directory", "take that away there, or " + leave
	default:
		return why, "take it away there, or " + leave
	}
}

// skips reports whether what is in the way stays as it is, by the policy for conflicts.
func (e *engine) skips(p pair) bool {
	return e.opts.Conflict == ConflictSkip && p.src.Irregular == "" && p.dst != nil
}

// noObject is what a pass makes of one that came since the plan.
func (e *engine) noObject(p pair) error {
	if e.skips(p) {
		e.skip(p.key)
		return nil
	}
	why, mend := e.inTheWay(p)
	return fmt.Errorf("copy %q: %w: %s (%s)", p.key, bucket.ErrIrregular, why, mend)
}

// irregular refuses a key, or counts it where it is to stay.
func (s *surveyor) irregular(p pair) {
	if p.dst != nil && p.src.Irregular == "" {
		s.count(func(c *Planned) { c.Conflicts++ })
	}
	if s.e.skips(p) {
		return
	}
	why, mend := s.e.inTheWay(p)
	s.refusals.add(why, p.key, mend)
}

// stays counts what only the destination has, where that is no object.
func (c *Planned) stays(dst bucket.Object) {
	if dst.Irregular == "" {
		return
	}
	if c.Irregular++; len(c.IrregularKeys) < maxKeys {
		c.IrregularKeys = append(c.IrregularKeys, fmt.Sprintf("%q (%s)", dst.Key, dst.Irregular))
	}
}

// irregularNotes names what stays at the destination and is no object.
func (e *engine) irregularNotes(p *plan.Plan, c Planned) {
	if c.Irregular == 0 {
		return
	}
	named := strings.Join(c.IrregularKeys, ", ")
	if more := c.Irregular - int64(len(c.IrregularKeys)); more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	p.Note(plan.Warning, e.opts.Name, "what is no object stays at the destination, whatever else is deleted there: "+named)
}

// blocks are what stands at the destination in the place of directories, in keys that come in order: those that the last key begins with.
type blocks []bucket.Object

// add takes the next pair, and says what its key would lie below.
func (b *blocks) add(p pair) (kind bucket.Irregular) {
	for n := len(*b); n > 0 && !strings.HasPrefix(p.key, (*b)[n-1].Key); n-- {
		*b = (*b)[:n-1]
	}
	for _, above := range *b {
		if strings.HasPrefix(p.key, above.Key+"/") {
			kind = above.Irregular
		}
	}
	if p.dst != nil && p.dst.Irregular != "" {
		*b = append(*b, bucket.Object{Key: strings.Clone(p.key), Irregular: p.dst.Irregular})
	}
	return kind
}
