package bucket_test

import (
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func TestB17_AnAnswerAboutAnotherVersionIsRefused(t *testing.T) {
	for _, c := range []struct {
		asked, answered string
		fine            bool
	}{
		{"3", "3", true},
		{"null", "", true},
		{"null", "3", false},
		{"3", "4", false},
		{"3", "", false}, // the live object of a server that does not look at ids
	} {
		err := bucket.AnsweredVersion("open version", "s3://b", "key", c.asked, c.answered)
		if (err == nil) != c.fine {
			t.Errorf("asked for %q, answered %q: %v", c.asked, c.answered, err)
		}
	}
}
