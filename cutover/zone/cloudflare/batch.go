package cloudflare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// planBatch returns the operations that turn the records of a name into what the change wants, for the types that it
// touches. With keep, a record whose data changes is patched and keeps its ID; without, it is deleted and made again, so
// that the ID is a condition.
func planBatch(change zone.Change, now []record, keep bool) (batch, error) {
	var b batch
	for _, typ := range change.Touched() {
		var want zone.RRset
		for _, set := range change.New {
			if set.Type == typ {
				want = set
			}
		}
		if err := planType(&b, want, typ, now, keep); err != nil {
			return batch{}, err
		}
	}
	return b, nil
}

func planType(b *batch, want zone.RRset, typ string, now []record, keep bool) error {
	like := template(typ, now)
	if len(want.Data) > 0 {
		if err := checkTTL(want, like); err != nil {
			return err
		}
	}
	fresh := slices.Clone(want.Data)
	var gone []record
	for _, r := range ofType(now, typ) {
		i := slices.Index(fresh, r.data())
		switch {
		case i < 0:
			gone = append(gone, r)
			continue
		case r.ttl() == want.TTL:
		case keep:
			b.Patches = append(b.Patches, record{ID: r.ID, TTL: sentTTL(want, r)})
		default:
			remake(b, r, r.Content, sentTTL(want, r))
		}
		fresh = slices.Delete(fresh, i, i+1)
	}
	for len(gone) > 0 && len(fresh) > 0 {
		r := gone[0]
		if keep {
			patch := record{ID: r.ID, Content: content(typ, fresh[0])}
			if r.ttl() != want.TTL {
				patch.TTL = sentTTL(want, r)
			}
			b.Patches = append(b.Patches, patch)
		} else {
			remake(b, r, content(typ, fresh[0]), sentTTL(want, r))
		}
		gone, fresh = gone[1:], fresh[1:]
	}
	for _, r := range gone {
		b.Deletes = append(b.Deletes, record{ID: r.ID})
	}
	for _, data := range fresh {
		made := like
		made.ID, made.Name, made.Type, made.Content, made.TTL = "", strings.TrimSuffix(want.Name, "."), typ, content(typ, data), sentTTL(want, like)
		b.Posts = append(b.Posts, made)
	}
	return nil
}

// remake deletes a record and makes it again with everything else that it had.
func remake(b *batch, r record, content string, ttl int) {
	b.Deletes = append(b.Deletes, record{ID: r.ID})
	r.ID, r.Content, r.TTL = "", content, ttl
	b.Posts = append(b.Posts, r)
}

// template is the record from which a new one of a type takes what is no data: whether it is proxied, comment, tags and
// settings. It is one of the same type, or of another one that leads to an address.
func template(typ string, now []record) record {
	leads := []string{"A", "AAAA", "CNAME"}
	for _, r := range now {
		if r.Type == typ {
			return record{Proxied: r.Proxied, Comment: r.Comment, Tags: r.Tags, TTL: r.TTL, Settings: r.Settings}
		}
	}
	for _, r := range now {
		if slices.Contains(leads, typ) && slices.Contains(leads, r.Type) {
			return record{Proxied: r.Proxied, Comment: r.Comment, Tags: r.Tags, TTL: r.TTL} // each type has settings of its own
		}
	}
	return record{}
}

// sentTTL is what the API is told for a TTL. An automatic one stays automatic where that comes to the same.
func sentTTL(want zone.RRset, was record) int {
	if was.proxied() || was.TTL == automatic && want.TTL == automaticTTL {
		return automatic
	}
	return int(want.TTL)
}

// checkTTL refuses a TTL that the API would silently turn into another one.
func checkTTL(want zone.RRset, like record) error {
	op := "swap " + want.Name
	switch {
	case like.proxied() && want.TTL != automaticTTL:
		return &zone.Error{
			Op: op, Hint: fmt.Sprintf("leave it at %d s, which is how long Cloudflare takes at most", automaticTTL),
			Err: fmt.Errorf("%w: the record is proxied, so that its TTL is Cloudflare's and cannot be %d s", zone.ErrInvalid, want.TTL),
		}
	case want.TTL == automatic:
		return &zone.Error{
			Op: op, Hint: "choose a TTL of 60 s or more",
			Err: fmt.Errorf("%w: the TTL 1 means %d s to Cloudflare", zone.ErrInvalid, automaticTTL),
		}
	}
	return nil
}
