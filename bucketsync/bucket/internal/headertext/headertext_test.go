package headertext

import "testing"

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
