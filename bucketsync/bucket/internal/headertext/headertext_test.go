package headertext

import (
	"errors"
	"maps"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func TestB09_MetadataValuesComeBackFromHeaders(t *testing.T) {
	for _, value := range []string{"", "plain", "a b", "a=b?c", "=?", " edge ", "tab\there", "line\r\nbreak", "Grüße", "=?UTF-8?B?YQ==?=", "x =?UTF-8?Q?y?= z"} {
		check(t, value)
	}
	if Encode("a b; c=\"d\"") != "a b; c=\"d\"" {
		t.Error("a plain value is changed")
	}
}

func check(t *testing.T, value string) {
	t.Helper()
	text := Encode(value)
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			t.Errorf("%q is encoded as %q, which no header can carry", value, text)
		}
	}
	if got := Decode(text); got != value {
		t.Errorf("%q is encoded as %q and comes back as %q", value, text, got)
	}
}

// FuzzEncode: every value of UTF-8 comes back as it was, through printable ASCII.
func FuzzEncode(f *testing.F) {
	f.Add("Grüße aus =?UTF-8?B?YQ==?=")
	f.Fuzz(func(t *testing.T, value string) {
		if Holds(value) {
			check(t, value)
		}
	})
}

func TestB09_MetadataThatCannotComeBackIsRefused(t *testing.T) {
	for name, metadata := range map[string]map[string]string{
		"case": {"Owner": "a", "owner": "b"}, "name": {"own er": "a"}, "empty": {"": "a"}, "letters": {"ö": "a"},
		"bytes": {"a": "\xff"}, "size": {"a": "0123456789012345678901"},
	} {
		if got, err := Fold(metadata, 20); !errors.Is(err, bucket.ErrUnsupported) {
			t.Errorf("%s: %v gives %v, %v", name, metadata, got, err)
		}
	}
	want := map[string]string{"owner": "Grüße", "x-a": ""}
	folded, err := Fold(map[string]string{"Owner": "Grüße", "X-A": ""}, 0)
	if err != nil || !maps.Equal(Unfold(folded), want) {
		t.Errorf("got %v, %v, want %v", Unfold(folded), err, want)
	}
	if err := Check(bucket.Properties{ContentDisposition: "attachment; filename=\"ü\""}); !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("a header of other than ASCII passes: %v", err)
	}
}

func TestB08_OnlyTheTransfersTokenIsStripped(t *testing.T) {
	for have, want := range map[string]string{"": "", "gzip": "gzip", "aws-chunked": "", "aws-chunked,gzip": "gzip", "gzip, aws-chunked": "gzip", "br, gzip": "br, gzip"} {
		if got := StripChunked(have); got != want {
			t.Errorf("%q becomes %q, want %q", have, got, want)
		}
	}
}
