// Package blake3 is the hash function BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf) as a stream whose
// state can be kept: where hashing stands can be written down, and another process goes on from there. The compression of chunks
// and nodes, with the instructions of the processor, is that of lukechampine.com/blake3/guts.
//
//	bytes ─> groups of 16 chunks, all at once ─> chaining values on a stack ─ joined like the digits of a counter ─> root
//
// The first group is not closed, and what the last one completes is not joined, before something follows: the node that turns out to be
// the root is compressed in another way than all others (section 2.4 of the specification).
package blake3

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// Size is the length of a hash, in bytes.
const Size = 32

// group is how many bytes are compressed at once.
const group = guts.MaxSIMD * guts.ChunkSize

type value = [8]uint32

// Hash is a hash.Hash. The zero value is that of nothing. Its state is marshalled in a form of its own, of up to 20 KiB; behind a number of
// bytes that is a multiple of 16 KiB it has less than 2 KiB.
type Hash struct {
	stack  [50]value // more than 2^64 bytes would need
	depth  int       // of the stack
	groups uint64    // on the stack
	open   [group]byte
	held   int  // bytes in open
	seen   byte // see fetch
}

// New returns a hash of nothing.
func New() *Hash { return &Hash{} }

// Size implements hash.Hash.
func (h *Hash) Size() int { return Size }

// BlockSize implements hash.Hash.
func (h *Hash) BlockSize() int { return guts.BlockSize }

// Reset implements hash.Hash.
func (h *Hash) Reset() { h.depth, h.groups, h.held = 0, 0, 0 }

// Write implements hash.Hash. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	n := len(p)
	h.fetch(p)
	for len(p) > 0 {
		if h.held == 0 && (len(p) > group || len(p) == group && h.groups > 0) {
			h.push((*[group]byte)(p))
			p = p[group:]
			h.fetch(p)
			continue
		}
		h.join(bits.OnesCount64(h.groups)) // something follows them
		taken := copy(h.open[h.held:], p)
		h.held += taken
		p = p[taken:]
		if h.held == group && (len(p) > 0 || h.groups > 0) {
			h.push(&h.open)
			h.held = 0
		}
	}
	return n, nil
}

// fetch has the processor fetch the group that comes next, line by line. Compressing reads 16 chunks side by side, an order that it does not
// foresee: of bytes that come from memory a group then takes half as long again.
func (h *Hash) fetch(p []byte) {
	const line = 64
	for i := 0; i < min(len(p), group); i += line {
		h.seen += p[i]
	}
}

// push closes a group that is not the only one.
func (h *Hash) push(data *[group]byte) {
	h.join(bits.OnesCount64(h.groups))
	h.stack[h.depth] = guts.ChainingValue(guts.CompressBuffer(data, group, &guts.IV, h.groups*guts.MaxSIMD, 0))
	h.depth++
	h.groups++
}

// join joins what lies on top of the stack until only so many values are left.
func (h *Hash) join(depth int) {
	for ; h.depth > depth; h.depth-- {
		h.stack[h.depth-2] = guts.ChainingValue(parent(h.stack[h.depth-2], h.stack[h.depth-1]))
	}
}

func parent(left, right value) guts.Node { return guts.ParentNode(left, right, &guts.IV, 0) }

// Sum implements hash.Hash.
func (h *Hash) Sum(to []byte) []byte {
	var root guts.Node
	depth := h.depth
	if h.held > 0 || h.groups == 0 {
		root = guts.CompressBuffer(&h.open, h.held, &guts.IV, h.groups*guts.MaxSIMD, 0)
	} else {
		// There are two values at least: the only group is never on the stack, and what the last one completes is not joined.
		root = parent(h.stack[depth-2], h.stack[depth-1])
		depth -= 2
	}
	for ; depth > 0; depth-- {
		root = parent(h.stack[depth-1], guts.ChainingValue(root))
	}
	root.Flags |= guts.FlagRoot
	sum := guts.WordsToBytes(guts.CompressNode(root))
	return append(to, sum[:Size]...)
}

const (
	// form is the first byte of a marshalled state.
	form = 1
	// head is how many bytes lie before the stack: the form, the number of groups on the stack and that of bytes behind them.
	head = 1 + 8 + 2
)

// MarshalBinary implements encoding.BinaryMarshaler.
func (h *Hash) MarshalBinary() ([]byte, error) {
	out := make([]byte, 0, head+h.depth*Size+h.held)
	out = append(out, form)
	out = binary.BigEndian.AppendUint64(out, h.groups)
	out = binary.BigEndian.AppendUint16(out, uint16(h.held))
	for _, v := range h.stack[:h.depth] {
		for _, word := range v {
			out = binary.BigEndian.AppendUint32(out, word)
		}
	}
	return append(out, h.open[:h.held]...), nil
}

// errState says that a state is none of this package's.
var errState = errors.New("not a state of BLAKE3")

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Where it fails the hash is as it was.
func (h *Hash) UnmarshalBinary(raw []byte) error {
	if len(raw) < head || raw[0] != form {
		return errState
	}
	groups, held := binary.BigEndian.Uint64(raw[1:]), int(binary.BigEndian.Uint16(raw[9:]))
	depth := bits.OnesCount64(groups)
	if groups > 0 && held == 0 {
		depth = bits.OnesCount64(groups-1) + 1 // see push
	}
	switch {
	case groups > 1<<48, held > group, held == group && groups > 0, held == 0 && groups == 1, len(raw) != head+depth*Size+held:
		return errState
	}
	raw = raw[head:]
	h.groups, h.depth, h.held = groups, depth, held
	for i := range h.stack[:depth] {
		for j := range h.stack[i] {
			h.stack[i][j], raw = binary.BigEndian.Uint32(raw), raw[4:]
		}
	}
	copy(h.open[:], raw)
	return nil
}
