package bucket

import "strings"

// String is the digest as it is written down: its algorithm, a colon, its value; empty where it is unknown.
func (d Digest) String() string {
	if d.Algorithm == "" || d.Value == "" {
		return ""
	}
	return string(d.Algorithm) + ":" + d.Value
}

// ParseDigest reads what String writes. A value without an algorithm is a SHA-256: so older versions wrote it.
func ParseDigest(text string) Digest {
	algorithm, value, typed := strings.Cut(text, ":")
	switch {
	case typed:
		return Digest{Algorithm: Algorithm(algorithm), Value: value}
	case text != "":
		return Digest{Algorithm: SHA256, Value: text}
	}
	return Digest{}
}

// Equal says that both digests are known, of the same algorithm, and the same. An unknown digest equals nothing (B2).
func (d Digest) Equal(other Digest) bool {
	return d.Algorithm != "" && d.Value != "" && d == other
}

// Comparison is what the digests of two objects say about their contents.
type Comparison int

// What two objects' digests say.
const (
	// Unknown says that the two share no algorithm: nothing is proven.
	Unknown Comparison = iota
	// Same says that at least one shared digest is equal and none differs.
	Same
	// Different says that a shared digest differs.
	Different
)

// Compare sets the digests of two objects beside each other, algorithm by algorithm.
func Compare(a, b []Digest) Comparison {
	result := Unknown
	for _, x := range a {
		for _, y := range b {
			if x.Algorithm == "" || x.Value == "" || x.Algorithm != y.Algorithm || y.Value == "" {
				continue
			}
			if !x.Equal(y) {
				return Different
			}
			result = Same
		}
	}
	return result
}
