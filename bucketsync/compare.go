package bucketsync

import "github.com/crossfade-project/crossfade/bucketsync/bucket"

// verdict is what is to be done about one key.
type verdict int

// What compare finds. "as recorded" means that what identifies a version (tag, version, size, time) is what the
// manifest has; "ours" that the manifest shows that this migration wrote it.
//
//	source | destination              | manifest               | verdict
//	-------+--------------------------+------------------------+-----------
//	yes    | no                       | any                    | copyNew
//	yes    | as recorded              | source as recorded     | same
//	yes    | as recorded, ours        | source has moved       | copyOver
//	yes    | as recorded, or touched  | source or dest. touched| unsure: see bucket.Touched
//	yes    | ours, of a broken-off try| intent                 | copyOver
//	yes    | a bare directory         | none, or other         | copyOver: see folders.go
//	yes    | not ours, size differs   | none, or other         | conflict
//	yes    | not ours, digest differs | none, or other         | conflict
//	yes    | not ours, same size      | none, or other         | unsure: heads, then bytes are read
//	no     | as recorded, ours        | any                    | extraOwn
//	no     | anything else            | none, or other         | extraForeign
//	no     | no                       | any                    | gone
//	yes    | no                       | foreign, as recorded   | left: it was never to be copied
//	yes, and one of both is no object, nor is what stands above | noObject: see irregular.go
const (
	same verdict = iota
	copyNew
	copyOver
	conflict
	unsure
	extraOwn
	extraForeign
	gone
	left
	noObject
)

func compare(p pair) verdict {
	switch {
	case p.src == nil && p.dst == nil:
		return gone
	case p.src == nil:
		if p.rec.owns(*p.dst) {
			return extraOwn
		}
		return extraForeign
	case p.dst == nil && p.rec != nil && p.rec.State == StateForeign && p.rec.Source.was(*p.src):
		return left
	case p.irregular():
		return noObject
	case p.dst == nil:
		return copyNew
	case p.rec != nil && p.rec.State != StateIntent && p.rec.Destination.is(*p.dst) && p.rec.Source.is(*p.src):
		return same
	case p.rec.touched(p):
		return unsure
	case p.rec.owns(*p.dst), p.dst.Folder.Bare():
		return copyOver
	case p.src.Size != p.dst.Size:
		return conflict
	}
	if rel, _, _ := relate(told(*p.src), told(*p.dst), true); rel == bucket.Different {
		return conflict
	}
	// Equal digests do not end it: the properties are not in a listing.
	return unsure
}

// judge is compare, and has what is to be copied again copied.
func (e *engine) judge(p pair) verdict {
	v := compare(p)
	if len(e.opts.Recopy) == 0 || e.result.Passes > 1 || v != same && v != unsure {
		return v
	}
	if again := (Filter{Include: e.opts.Recopy}); again.takes(p.key) && (p.rec.owns(*p.dst) || e.opts.Conflict == ConflictOverwrite) {
		return copyOver
	}
	return v
}

// Seen is what identifies one version of an object in a listing.
type Seen struct {
	ETag     string `json:"etag,omitempty"`
	Version  string `json:"version,omitempty"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified,omitempty"` // seconds since 1970; heads have no fractions of them
}

func seen(o bucket.Object) Seen {
	s := Seen{ETag: o.ETag, Version: o.Version, Size: o.Size}
	if !o.Modified.IsZero() {
		s.Modified = o.Modified.Unix()
	}
	return s
}

// is reports whether an object is the version that was seen. Times alone never show that: a tag or a version must be
// known on both sides (B6), and everything that both know must agree.
func (s Seen) is(o bucket.Object) bool {
	now := seen(o)
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	if s.Size != now.Size || !agree(s.ETag, now.ETag) || !agree(s.Version, now.Version) {
		return false
	}
	if s.Modified != 0 && now.Modified != 0 && s.Modified != now.Modified {
		return false
	}
	return (s.ETag != "" && now.ETag != "") || (s.Version != "" && now.Version != "")
}

// was is is, and takes an object for what it was seen as by an earlier version, which wrote less of a file down.
func (s Seen) was(o bucket.Object) bool {
	return s.is(o) || bucket.Earlier(s.ETag, o.ETag) && s.written(o)
}

// written reports whether an object is the write that was seen, be it touched since.
func (s Seen) written(o bucket.Object) bool {
	if bucket.Touched(s.ETag, o.ETag) {
		s.ETag = o.ETag
	}
	return s.is(o)
}

// touched reports whether both objects are the writes that are recorded as equal. Where they are not known to be untouched, too,
// they are compared anew.
func (r *Record) touched(p pair) bool {
	return r != nil && (r.State == StateCopied || r.State == StateFound) && r.Source.written(*p.src) && r.Destination.written(*p.dst)
}
