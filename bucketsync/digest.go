package bucketsync

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"

	"github.com/minio/crc64nvme"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// sums hashes a stream once with every algorithm that a store may acknowledge. SHA-256 is the identity of content in
// manifests and proofs; MD5 is what most stores tell; the two CRCs cost next to nothing beside them.
type sums struct {
	w      io.Writer
	hashes map[bucket.Algorithm]hash.Hash
	n      int64
}

func newSums() *sums {
	s := &sums{hashes: map[bucket.Algorithm]hash.Hash{
		bucket.MD5:       md5.New(),
		bucket.SHA256:    sha256.New(),
		bucket.CRC32C:    crc32.New(crc32.MakeTable(crc32.Castagnoli)),
		bucket.CRC64NVME: crc64nvme.New(),
	}}
	writers := make([]io.Writer, 0, len(s.hashes))
	for _, h := range s.hashes {
		writers = append(writers, h)
	}
	s.w = io.MultiWriter(writers...)
	return s
}

// Write implements io.Writer.
func (s *sums) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.w.Write(p)
}

func (s *sums) raw(a bucket.Algorithm) []byte { return s.hashes[a].Sum(nil) }

func (s *sums) hex(a bucket.Algorithm) string { return hex.EncodeToString(s.raw(a)) }

func (s *sums) digests() []bucket.Digest {
	out := make([]bucket.Digest, 0, len(s.hashes))
	for _, a := range []bucket.Algorithm{bucket.SHA256, bucket.MD5, bucket.CRC64NVME, bucket.CRC32C} {
		out = append(out, bucket.Digest{Algorithm: a, Value: s.hex(a)})
	}
	return out
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
			if !identity || x.Algorithm == bucket.SHA256 || x.Algorithm == bucket.MD5 {
				rel, ra, rb = bucket.Same, x, y
			}
		}
	}
	return rel, ra, rb
}
