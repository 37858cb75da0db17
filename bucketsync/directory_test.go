package bucketsync

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// From one store to a directory that is made, and from there back into another store, nothing is lost on the way.
func TestApply_ThroughADirectoryAndBack(t *testing.T) {
	r := newRig(t)
	props := bucket.Properties{
		ContentType: "text/html", CacheControl: "no-store", ContentEncoding: "gzip",
		Metadata: map[string]string{"Owner": "Ännchen", "x-y": "1"}, Tags: map[string]string{"team": "shop"},
	}
	for i, key := range []string{"a", "a/b", "a-b", "dir/", "sp ace", "%41", "Ü", "U\u0308", "x/y/z.html"} {
		r.from.write(t, key, strings.Repeat("x", i*1000), props)
	}
	dir, err := file.Open(t.Context(), file.Options{Dir: filepath.Join(t.TempDir(), "made")})
	if err != nil {
		t.Fatal(err)
	}
	for i, ends := range [][2]bucket.Bucket{{r.from, dir}, {dir, bucket.Sub(r.to, "below/")}} {
		opts := r.opts
		opts.From, opts.To = ends[0], ends[1]
		opts.Manifest += fmt.Sprint(i)
		opts.Create, opts.Final, opts.Strict = true, true, true
		p, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
		if err != nil {
			t.Fatal(err)
		}
		if result.Copied != 9 || len(result.Losses) != 0 {
			t.Fatalf("%+v", result)
		}
		again, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if again.Changes[0].Why != "copy 0 objects, 0 B; delete 0; again until nothing is left, then prove both sides equal" {
			t.Fatalf("the next plan is to %s", again.Changes[0].Why)
		}
	}
	report, err := Verify(t.Context(), VerifyOptions{From: r.from, To: bucket.Sub(r.to, "below/"), Mode: ModeFull})
	if err != nil || !report.Equal || report.Objects != 9 {
		t.Fatalf("%+v %v", report, err)
	}
}
