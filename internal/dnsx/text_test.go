package dnsx_test

import (
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// FuzzText: what TextData writes is one record's data to the DNS library too, and TextParts reads the same strings from it.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", `a "quote"`, `back\slash`, "\x00\xff", "semi;colon", "\\065", "two words"} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 255 || len(b) > 255 {
			return
		}
		data := dnsx.TextData(a, b)
		got, err := dnsx.TextParts(data)
		if err != nil || !slices.Equal(got, []string{a, b}) {
			t.Fatalf("%q and %q were written as %s and read as %q, %v", a, b, data, got, err)
		}
		normal, err := dnsx.Normal(dnsx.RRset{Name: "a.test.", Type: "TXT", TTL: 60, Data: []string{data}})
		if err != nil || len(normal.Data) != 1 {
			t.Fatalf("%s is not one TXT record: %v, %v", data, normal, err)
		}
		if again, err := dnsx.TextParts(normal.Data[0]); err != nil || !slices.Equal(again, []string{a, b}) {
			t.Fatalf("%s came back as %s: %q, %v", data, normal.Data[0], again, err)
		}
	})
}

func TestTextPartsRefusesWhatIsNoText(t *testing.T) {
	for _, data := range []string{`"open`, `a\`, `"\999"`} {
		if got, err := dnsx.TextParts(data); err == nil {
			t.Errorf("%s was read as %q", data, got)
		}
	}
	if got, err := dnsx.TextParts(`bare  "quoted part" \065`); err != nil || !slices.Equal(got, []string{"bare", "quoted part", "A"}) {
		t.Errorf("got %q, %v", got, err)
	}
}
