package bucket

import "testing"

func TestB02_UnknownDigestEqualsNothing(t *testing.T) {
	known := Digest{MD5, "00"}
	for _, pair := range [][2]Digest{{{}, {}}, {{}, known}, {{MD5, ""}, {MD5, ""}}, {known, {SHA256, "00"}}} {
		if pair[0].Equal(pair[1]) {
			t.Errorf("%v equals %v", pair[0], pair[1])
		}
		if got := Compare(pair[:1], pair[1:]); got != Unknown {
			t.Errorf("%v beside %v is %v, want unknown", pair[0], pair[1], got)
		}
	}
	if !known.Equal(known) || Compare([]Digest{known}, []Digest{{SHA256, "x"}, known}) != Same {
		t.Error("a known digest does not equal itself")
	}
	if Compare([]Digest{known, {SHA256, "x"}}, []Digest{{SHA256, "y"}, known}) != Different {
		t.Error("a digest that differs is outvoted by one that is the same")
	}
}

func TestDigestsAreReadAsTheyAreWritten(t *testing.T) {
	for _, d := range []Digest{{}, {BLAKE3, "00"}, {SHA256, "ff"}, {MD5, "aa"}} {
		if got := ParseDigest(d.String()); got != d {
			t.Errorf("%+v is read as %+v", d, got)
		}
	}
	if got := ParseDigest("00ff"); got != (Digest{SHA256, "00ff"}) {
		t.Errorf("a value alone is %+v", got)
	}
}
