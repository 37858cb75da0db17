package blake3

import (
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"

	library "lukechampine.com/blake3"
)

var _ hash.Hash = (*Hash)(nil)

// counting is the input of the published test vectors: 0, 1, 2 … 250, 0, 1 …
func counting(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i % 251)
	}
	return out
}

// Some of https://github.com/BLAKE3-team/BLAKE3/blob/master/test_vectors/test_vectors.json.
func TestPublishedVectors(t *testing.T) {
	for n, want := range map[int]string{
		0:     "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:     "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		1023:  "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
		1024:  "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
		1025:  "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
		2049:  "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
		8193:  "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
		16384: "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
		31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
	} {
		h := New()
		_, _ = h.Write(counting(n))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%d bytes: got %s, want %s", n, got, want)
		}
	}
}

// killed is a hash as another process has it.
func killed(t testing.TB, h *Hash) *Hash {
	t.Helper()
	raw, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	next := &Hash{held: 7, groups: 3, depth: 2}
	if err := next.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	again, err := next.MarshalBinary()
	if err != nil || !slices.Equal(raw, again) {
		t.Fatalf("a state that was read is another one: %v", err)
	}
	return next
}

// agrees hashes data in pieces that lengths cuts, going on in another process before every piece whose turn odd says.
func agrees(t testing.TB, data []byte, length func() int, dies func() bool) {
	t.Helper()
	h, sum := New(), library.New(Size, nil)
	for rest := data; ; {
		if want, got := sum.Sum(nil), h.Sum(nil); !slices.Equal(want, got) {
			t.Fatalf("behind %d of %d bytes: got %x, want %x", len(data)-len(rest), len(data), got, want)
		}
		if len(rest) == 0 {
			return
		}
		if dies() {
			h = killed(t, h)
		}
		n := min(length(), len(rest))
		_, _ = h.Write(rest[:n])
		_, _ = sum.Write(rest[:n])
		rest = rest[n:]
	}
}

func TestAnyCutAndAnyKillGiveTheSameHash(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	sizes := []int{0, 1, group - 1, group, group + 1, 2*group - 1, 2 * group, 2*group + 1, 3 * group, 4 * group, 7*group + 5, 16 * group, 33 * group, 1<<20 + 17}
	for range 60 {
		sizes = append(sizes, r.IntN(40*group))
	}
	for _, size := range sizes {
		for _, most := range []int{1500, group, 3 * group, 64 * group} {
			agrees(t, counting(size), func() int { return 1 + r.IntN(most) }, func() bool { return r.IntN(2) == 0 })
			agrees(t, counting(size), func() int { return most }, func() bool { return true })
		}
	}
}

func TestTheStateBehindAPartIsSmall(t *testing.T) {
	h := New()
	for range 5 {
		_, _ = h.Write(counting(8 << 20))
		raw, err := h.MarshalBinary()
		if err != nil || len(raw) > 2<<10 {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
	}
	h.Reset()
	if hex.EncodeToString(h.Sum(nil)) != "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Error("a hash that was reset is not that of nothing")
	}
}

// Whatever a state is said to be, reading it never panics, nor does hashing on; and one that is refused leaves the hash as it was.
func FuzzUnmarshal(f *testing.F) {
	for _, n := range []int{0, 5, group, group + 1, 2 * group, 5*group + 9} {
		h := New()
		_, _ = h.Write(counting(n))
		raw, _ := h.MarshalBinary()
		f.Add(raw)
	}
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := New()
		if err := h.UnmarshalBinary(raw); err != nil {
			if !slices.Equal(h.Sum(nil), New().Sum(nil)) {
				t.Error("a state that was refused was taken in part")
			}
			return
		}
		again, err := h.MarshalBinary()
		if err != nil || !slices.Equal(again, raw) {
			t.Errorf("the state is another one when it is written again: %v", err)
		}
		_, _ = h.Write(counting(3*group + 1))
		h.Sum(nil)
	})
}

// However bytes are cut into writes, and wherever the process is exchanged, the hash is that of the library.
func FuzzCuts(f *testing.F) {
	f.Add(uint32(100_000), []byte{1, 200, 30})
	f.Add(uint32(group), []byte{64})
	f.Fuzz(func(t *testing.T, size uint32, cuts []byte) {
		if len(cuts) == 0 {
			return
		}
		const most = 500 // each piece takes as long as two sums of the whole do
		i := 0
		next := func() byte { i++; return cuts[i%len(cuts)] }
		length := func() int {
			if i > 2*most {
				return 1 << 19
			}
			return 1 + 257*int(next())
		}
		agrees(t, counting(int(size%(1<<19))), length, func() bool { return next()%2 == 0 })
	})
}

func BenchmarkHash(b *testing.B) {
	for _, n := range []int{4 << 10, 8 << 20} {
		data := make([]byte, n)
		b.Run(map[bool]string{true: "small", false: "part"}[n < 1<<20], func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			h := New()
			for b.Loop() {
				h.Reset()
				for rest := data; len(rest) > 0; { // as it comes from a connection
					m := min(len(rest), 64<<10-7)
					_, _ = h.Write(rest[:m])
					rest = rest[m:]
				}
				h.Sum(nil)
			}
		})
	}
}
