package bucketsync

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
)

// digest is a SHA-256.
type digest [sha256.Size]byte

// root sums up a sequence of digests so that the sum depends on their order, and not on how the sequence was cut into pieces
// that were summed up apart. A digest that ends with a zero byte ends a group, which is about 256 long; the digests of groups
// are grouped in the same way, level above level. A piece knows its groups but for the one in which it begins and the one in
// which it ends, and these are closed when it is joined with its neighbours.
//
// The zero value is an empty sequence.
type root struct {
	levels []*rootLevel
}

type rootLevel struct {
	first  []digest // up to the first that ends a group
	closed bool     // first is whole
	open   hash.Hash
	n      int // digests in open
}

func (r *root) level(i int) *rootLevel {
	for len(r.levels) <= i {
		r.levels = append(r.levels, &rootLevel{})
	}
	return r.levels[i]
}

// add appends a digest.
func (r *root) add(d digest) { r.addAt(0, d) }

func (r *root) addAt(i int, d digest) {
	l := r.level(i)
	ends := d[len(d)-1] == 0
	if !l.closed {
		l.first = append(l.first, d)
		l.closed = ends
		return
	}
	if l.open == nil {
		l.open = sha256.New()
	}
	l.open.Write(d[:])
	if l.n++; ends {
		r.addAt(i+1, l.end())
	}
}

// end closes the open group.
func (l *rootLevel) end() (d digest) {
	l.open.Sum(d[:0])
	l.open.Reset()
	l.n = 0
	return d
}

// join appends another sequence, which must not be used after it.
func (r *root) join(next *root) {
	for i, l := range next.levels {
		for _, d := range l.first {
			r.addAt(i, d)
		}
		if !l.closed {
			return
		}
		// The last of first has closed what was open here.
		mine := r.level(i)
		mine.open, mine.n = l.open, l.n
	}
}

// clone is the same sequence, to which other digests may be added.
func (r *root) clone() root {
	out := root{levels: make([]*rootLevel, len(r.levels))}
	for i, l := range r.levels {
		c := *l
		c.first = slices.Clone(l.first)
		if l.open != nil {
			open, err := l.open.(hash.Cloner).Clone() //nolint:forcetypeassert // every hash of the standard library is one
			if err != nil {
				panic(fmt.Sprintf("a SHA-256 cannot be cloned: %v", err)) // only hashes over hardware can fail
			}
			c.open = open
		}
		out.levels[i] = &c
	}
	return out
}

// sum is the hash of the whole in hexadecimal. Nothing may be added after it.
func (r *root) sum() string {
	var before, behind []digest // of the level below: its first group and its last
	for i := 0; i < len(r.levels); i++ {
		l := r.levels[i]
		if !l.closed {
			return hex.EncodeToString(group(i, before, l.first, behind))
		}
		begin := digest(group(i, before, l.first, nil))
		if l.n > 0 {
			behind = append([]digest{l.end()}, behind...)
		}
		if len(behind) > 0 {
			behind = []digest{digest(group(i, nil, nil, behind))}
		}
		before = []digest{begin}
	}
	return hex.EncodeToString(group(len(r.levels), before, nil, behind))
}

func group(level int, parts ...[]digest) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(level)))
	for _, part := range parts {
		for _, d := range part {
			h.Write(d[:])
		}
	}
	return h.Sum(nil)
}
