package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/bits"
)

// Hash is a leaf or a node of the tree.
type Hash = [sha256.Size]byte

func leafOf(line []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(line)
	return Hash(h.Sum(nil))
}

func nodeOf(left, right Hash) Hash {
	var both [1 + 2*sha256.Size]byte
	both[0] = 1
	copy(both[1:], left[:])
	copy(both[1+sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}

// tree is the hash tree of the leaves so far. It keeps the roots of its whole subtrees alone, one for each bit of the number of
// leaves, and the path of one leaf where that is asked for.
type tree struct {
	n     uint64
	roots []subtree // from the largest to the smallest

	wanted uint64 // the leaf whose path is kept, from 1; 0 is none
	path   []Hash // from the bottom up
}

type subtree struct {
	hash  Hash
	holds bool // the wanted leaf
}

func (t *tree) add(line []byte) {
	t.n++
	last := subtree{hash: leafOf(line), holds: t.n == t.wanted}
	for range bits.TrailingZeros64(t.n) { // as many whole subtrees end here
		before := t.roots[len(t.roots)-1]
		t.roots = t.roots[:len(t.roots)-1]
		last = t.join(before, last)
	}
	t.roots = append(t.roots, last)
}

func (t *tree) join(left, right subtree) subtree {
	switch {
	case left.holds:
		t.path = append(t.path, right.hash)
	case right.holds:
		t.path = append(t.path, left.hash)
	}
	return subtree{hash: nodeOf(left.hash, right.hash), holds: left.holds || right.holds}
}

// root ends the tree: no leaf is added after it.
func (t *tree) root() Hash {
	if len(t.roots) == 0 {
		return sha256.Sum256(nil)
	}
	last := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		last = t.join(t.roots[i], last)
	}
	t.roots = []subtree{last}
	return last.hash
}

// rootFrom computes the root from the leaf at index (from 0) of n and its path, as RFC 9162, section 2.1.3.2, has it. It
// returns false where the path does not have the length of one.
func rootFrom(line []byte, index, n uint64, path []Hash) (Hash, bool) {
	if index >= n {
		return Hash{}, false
	}
	at, last, r := index, n-1, leafOf(line)
	for _, p := range path {
		if last == 0 {
			return Hash{}, false
		}
		if at&1 == 1 || at == last {
			r = nodeOf(p, r)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			r = nodeOf(r, p)
		}
		at, last = at>>1, last>>1
	}
	return r, last == 0
}

// Proof shows that one line is in a file with a root, without the file.
type Proof struct {
	Line  string   `json:"line"`
	Index uint64   `json:"index"` // from 0
	Of    uint64   `json:"of"`    // lines
	Path  [][]byte `json:"path"`  // from the bottom up
	Root  []byte   `json:"root"`
}

// MarshalJSON writes hashes in hexadecimal, as the header and the text have them.
func (p Proof) MarshalJSON() ([]byte, error) {
	path := make([]string, 0, len(p.Path))
	for _, h := range p.Path {
		path = append(path, hex.EncodeToString(h))
	}
	type plain Proof
	return json.Marshal(struct {
		plain
		Path []string `json:"path"`
		Root string   `json:"root"`
	}{plain(p), path, hex.EncodeToString(p.Root)})
}

// Holds reports whether the proof is right.
func (p Proof) Holds() bool {
	path := make([]Hash, 0, len(p.Path))
	for _, h := range p.Path {
		if len(h) != sha256.Size {
			return false
		}
		path = append(path, Hash(h))
	}
	root, ok := rootFrom([]byte(p.Line), p.Index, p.Of, path)
	return ok && bytes.Equal(root[:], p.Root)
}
