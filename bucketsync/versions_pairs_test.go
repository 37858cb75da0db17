package bucketsync

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// versionsOf makes a history of a word for each version: "a3" is an object of 3 bytes whose MD5 is made of "a3", "?3" one
// whose content no digest tells, "-" a delete marker. Their ids are the side and their place.
func versionsOf(side, words string) []bucket.Version {
	var out []bucket.Version
	for i, word := range strings.Fields(words) {
		v := bucket.Version{Marker: word == "-"}
		v.Version = fmt.Sprint(side, i)
		if !v.Marker {
			v.Size = int64(word[1] - '0')
			if word[0] != '?' {
				v.Digests = []bucket.Digest{{Algorithm: bucket.MD5, Value: fmt.Sprintf("%032x", word)}}
			}
		}
		out = append(out, v)
	}
	return out
}

func TestPairVersions(t *testing.T) {
	for _, tt := range []struct {
		name, src, dst string
		recs           map[string]string
		want           string
	}{
		{"the same", "a1 b2 -", "a1 b2 -", nil, "s0=d0 s1=d1 s2=d2"},
		{"as long, and one differs", "a1 b2 c3", "a1 x2 c3", nil, "s0=d0 s1=d1 s2=d2"},
		{"one is gone in the middle", "a1 b2 c3 d4", "a1 c3 d4", nil, "s0=d0 s1= s2=d1 s3=d2"},
		{"one of two that are equal is gone", "a1 a1 - c3", "a1 - c3", nil, "s0=d0 s1= s2=d1 s3=d2"},
		{"one more in the middle", "a1 c3", "a1 b2 c3", nil, "s0=d0 =d1 s1=d2"},
		{"a marker is gone", "a1 - b1 -", "a1 b1 -", nil, "s0=d0 s1= s2=d1 s3=d2"},
		{"no digest, and sizes tell", "?1 ?2 ?3", "?1 ?3", nil, "s0=d0 s1= s2=d1"},
		{"no digest, and the record tells", "?1 ?1 ?1", "?1 ?1", map[string]string{"s0": "d0", "s2": "d1"}, "s0=d0 s1= s2=d1"},
		{"nothing there", "a1 b2", "", nil, "s0= s1="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := history{key: "k", src: versionsOf("s", tt.src), dst: versionsOf("d", tt.dst)}
			for from, to := range tt.recs {
				h.recs = append(h.recs, Record{Source: Seen{Version: from}, Destination: Seen{Version: to}})
			}
			var got []string
			for _, p := range pairVersions(h) {
				var src, dst string
				if p.src != nil {
					src = p.src.Version
				}
				if p.dst != nil {
					dst = p.dst.Version
				}
				got = append(got, src+"="+dst)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}
