package bucketsync

import (
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// versionPair is a version of each side that stand for each other, or one that has none.
type versionPair struct{ src, dst *bucket.Version }

// maxAligned bounds the work on two histories of one key: longer ones are paired by their places.
const maxAligned = 1 << 20

// How much speaks for a pair: that a record says so counts more than any number of pairs that could be.
const (
	cannotBe = 0
	couldBe  = 1
	areEqual = 1 << 12
	onRecord = 1 << 24
)

// pairVersions says which versions of two histories are compared with each other, both in their order. Where one side lacks
// a version, the later ones still find theirs.
func pairVersions(h history) []versionPair {
	n, m := len(h.src), len(h.dst)
	if n == m || n*m > maxAligned {
		return pairPlaces(h)
	}
	onFile := map[string]string{}
	for _, r := range h.recs {
		onFile[r.Source.Version] = r.Destination.Version
	}
	// best[i][j] is the most that speaks for any pairing of src[i:] with dst[j:].
	best := make([][]int, n+1)
	for i := range best {
		best[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if speaks := likeness(&h.src[i], &h.dst[j], onFile); speaks != cannotBe {
				best[i][j] = max(best[i][j], speaks+best[i+1][j+1])
			}
		}
	}
	var pairs []versionPair
	for i, j := 0, 0; i < n || j < m; {
		switch {
		case i < n && j < m && likeness(&h.src[i], &h.dst[j], onFile) != cannotBe &&
			best[i][j] == likeness(&h.src[i], &h.dst[j], onFile)+best[i+1][j+1]:
			pairs = append(pairs, versionPair{&h.src[i], &h.dst[j]})
			i, j = i+1, j+1
		case i < n && (j == m || best[i][j] == best[i+1][j]):
			pairs = append(pairs, versionPair{src: &h.src[i]})
			i++
		default:
			pairs = append(pairs, versionPair{dst: &h.dst[j]})
			j++
		}
	}
	return pairs
}

// pairPlaces pairs the oldest with the oldest, and so on.
func pairPlaces(h history) []versionPair {
	pairs := make([]versionPair, max(len(h.src), len(h.dst)))
	for i := range pairs {
		if i < len(h.src) {
			pairs[i].src = &h.src[i]
		}
		if i < len(h.dst) {
			pairs[i].dst = &h.dst[i]
		}
	}
	return pairs
}

// likeness is how much speaks for a pair.
func likeness(src, dst *bucket.Version, onFile map[string]string) int {
	switch {
	case src.Version != "" && onFile[src.Version] == dst.Version && dst.Version != "":
		return onRecord
	case src.Marker != dst.Marker:
		return cannotBe
	case src.Marker:
		return couldBe
	case src.Size != dst.Size:
		return cannotBe
	}
	switch rel, _, _ := relate(told(src.Object), told(dst.Object), true); rel {
	case bucket.Different:
		return cannotBe
	case bucket.Same:
		return areEqual
	default:
		return couldBe
	}
}
