package bucketsync

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"runtime"
	"slices"
	"sync"

	"github.com/minio/crc64nvme"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/internal/blake3"
)

// defaultHash is the identity of content where none is chosen: of the two cryptographic ones that which is cheaper here. BLAKE3 is where
// its chunks are hashed side by side by the processor's vectors, for which the library has code on amd64; elsewhere processors have
// instructions for SHA-256, and the library has none for BLAKE3. A manifest names the algorithm of each hash, so that both may be in one.
func defaultHash() bucket.Algorithm {
	if runtime.GOARCH == "amd64" {
		return bucket.BLAKE3
	}
	return bucket.SHA256
}

// isIdentity reports whether an algorithm may be the identity of content: two that are equal are of the same bytes, whoever chose them.
func isIdentity(a bucket.Algorithm) bool { return a == bucket.BLAKE3 || a == bucket.SHA256 }

// sums hashes a stream once, with every algorithm that is asked for.
type sums struct {
	hashes [5]hash.Hash // in the order of algorithms; nil where one is not wanted
	n      int64
	sealed []bucket.Digest
}

// seal ends the hashing. What was found out stays known, and the hashes, of which that of BLAKE3 is as large as some objects, are for the next
// object.
func (s *sums) seal(next *sync.Pool) {
	s.sealed = slices.Clip(s.digests())
	if h, ok := s.hashes[0].(*blake3.Hash); ok { // the first of algorithms
		next.Put(h)
	}
	s.hashes = [5]hash.Hash{}
}

// sumsFrom is newSums with what was sealed before.
func sumsFrom(pool *sync.Pool, wanted []bucket.Algorithm) *sums {
	h, ok := pool.Get().(*blake3.Hash)
	if !ok || !slices.Contains(wanted, bucket.BLAKE3) {
		return newSums(wanted...)
	}
	s := newSums(slices.DeleteFunc(wanted, func(a bucket.Algorithm) bool { return a == bucket.BLAKE3 })...)
	h.Reset()
	s.hashes[0] = h
	return s
}

// algorithms are those that stores tell or that are an identity, the strongest first. MD5 is what most stores tell, and dearer than both
// of those before it; the CRCs cost next to nothing beside them.
func algorithms() [5]bucket.Algorithm {
	return [5]bucket.Algorithm{bucket.BLAKE3, bucket.SHA256, bucket.MD5, bucket.CRC64NVME, bucket.CRC32C}
}

// newSums hashes with the algorithms that are wanted.
func newSums(wanted ...bucket.Algorithm) *sums {
	s := &sums{}
	for i, a := range algorithms() {
		if !slices.Contains(wanted, a) {
			continue
		}
		switch a {
		case bucket.BLAKE3:
			s.hashes[i] = blake3.New()
		case bucket.SHA256:
			s.hashes[i] = sha256.New()
		case bucket.MD5:
			s.hashes[i] = md5.New()
		case bucket.CRC64NVME:
			s.hashes[i] = crc64nvme.New()
		case bucket.CRC32C:
			s.hashes[i] = crc32.New(crc32.MakeTable(crc32.Castagnoli))
		}
	}
	return s
}

// algorithmsOf are those of digests.
func algorithmsOf(digests []bucket.Digest) []bucket.Algorithm {
	out := make([]bucket.Algorithm, 0, len(digests)+1)
	for _, d := range digests {
		out = append(out, d.Algorithm)
	}
	return out
}

// sumsState is where hashing stands, for going on in another process.
type sumsState struct {
	N      int64                       `json:"n"`
	Hashes map[bucket.Algorithm][]byte `json:"hashes"`
}

// state is where the hashes stand now.
func (s *sums) state() (*sumsState, error) {
	out := &sumsState{N: s.n, Hashes: map[bucket.Algorithm][]byte{}}
	for i, a := range algorithms() {
		if s.hashes[i] == nil {
			continue
		}
		kept, ok := s.hashes[i].(encoding.BinaryMarshaler)
		if !ok {
			return nil, fmt.Errorf("the state of %s cannot be kept", a)
		}
		raw, err := kept.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("keep the state of %s: %w", a, err)
		}
		out.Hashes[a] = raw
	}
	return out, nil
}

// restore goes on from a state, which must have all the algorithms.
func (s *sums) restore(from *sumsState) error {
	if from == nil {
		return errors.New("no state of the hashes is known")
	}
	for i, a := range algorithms() {
		if s.hashes[i] == nil {
			continue
		}
		kept, ok := s.hashes[i].(encoding.BinaryUnmarshaler)
		if !ok || from.Hashes[a] == nil {
			return fmt.Errorf("no state of %s is known", a)
		}
		if err := kept.UnmarshalBinary(from.Hashes[a]); err != nil {
			return fmt.Errorf("go on with %s: %w", a, err)
		}
	}
	s.n = from.N
	return nil
}

// Write implements io.Writer. What is hashed with one algorithm is still in the processor's cache for the next one.
func (s *sums) Write(p []byte) (int, error) {
	const cached = 256 << 10
	n := len(p)
	s.n += int64(n)
	for len(p) > 0 {
		piece := p[:min(len(p), cached)]
		for _, h := range s.hashes {
			if h != nil {
				_, _ = h.Write(piece) // a hash takes every write
			}
		}
		p = p[len(piece):]
	}
	return n, nil
}

func (s *sums) digests() []bucket.Digest {
	if s.sealed != nil {
		return s.sealed
	}
	out := make([]bucket.Digest, 0, len(s.hashes))
	for i, a := range algorithms() {
		if s.hashes[i] != nil {
			out = append(out, bucket.Digest{Algorithm: a, Value: hex.EncodeToString(s.hashes[i].Sum(nil))})
		}
	}
	return out
}

// told are the digests of an object to compare by: what its store tells, and where it has no bytes, that of nothing. Else the marker of a
// folder would be read again and again in a store that keeps files, where its time changes with what lies below it.
func told(o bucket.Object) []bucket.Digest {
	const ofNothing = "d41d8cd98f00b204e9800998ecf8427e"
	if o.Size > 0 {
		return o.Digests
	}
	return []bucket.Digest{{Algorithm: bucket.MD5, Value: ofNothing}}
}

// relate compares digests of the same algorithm (B2). One pair that differs decides. Equality of a CRC alone shows that a
// transfer went well but not that two objects that nobody copied are the same, so identity asks for a strong one.
func relate(a, b []bucket.Digest, identity bool) (bucket.Comparison, bucket.Digest, bucket.Digest) {
	rel := bucket.Unknown
	var ra, rb bucket.Digest
	for _, x := range a {
		for _, y := range b {
			switch bucket.Compare([]bucket.Digest{x}, []bucket.Digest{y}) {
			case bucket.Unknown:
				continue
			case bucket.Different:
				return bucket.Different, x, y
			case bucket.Same:
			}
			if !identity || isIdentity(x.Algorithm) || x.Algorithm == bucket.MD5 {
				rel, ra, rb = bucket.Same, x, y
			}
		}
	}
	return rel, ra, rb
}
