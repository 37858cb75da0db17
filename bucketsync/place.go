package bucketsync

import (
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// place is where the keys of a prefix of a bucket lie, for comparing two of them.
type place struct {
	store  string // up to the bucket; of a URL of no known form, only the server
	prefix string
	nested bool // stores of this kind can lie in each other, as directories do
}

func placeOf(b bucket.Bucket, prefix string) place {
	caps := b.Describe()
	server := strings.TrimRight(caps.Endpoint, "/") + " "
	u, err := bucket.ParseURL(caps.URL)
	if err != nil {
		return place{store: server, prefix: strings.TrimRight(caps.URL, "/") + "/" + prefix}
	}
	if u.Scheme == bucket.SchemeFile {
		return place{store: strings.TrimRight(u.String(), "/") + "/", prefix: prefix, nested: true}
	}
	prefix = u.Prefix + prefix
	u.Prefix = ""
	return place{store: server + u.String() + "/", prefix: prefix}
}

// overlaps reports whether keys of one place are, or lie in, keys of the other.
func (p place) overlaps(q place) bool {
	related := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	if p.store == q.store {
		return related(p.prefix, q.prefix)
	}
	return p.nested && q.nested && related(p.store, q.store) && related(p.store+p.prefix, q.store+q.prefix)
}
