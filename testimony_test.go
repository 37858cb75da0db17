package crossfade

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// A manifest of a sync of versions says that it has the current ones alone, when it is made and when it is read.
func TestTestimony_OfVersionsItHasTheCurrentOnesAndSaysSo(t *testing.T) {
	place, err := memory.Open(t.Context(), memory.Options{Name: "place"})
	if err != nil {
		t.Fatal(err)
	}
	for _, versions := range []bool{true, false} {
		s := &Sync{opts: SyncOptions{Dir: t.TempDir(), Versions: versions}, engine: bucketsync.Options{From: place, To: place}}
		written, err := s.testimony(bucketsync.ModeProof)
		if err != nil {
			t.Fatal(err)
		}
		tell, err := written.begin()
		if err == nil {
			err = tell(bucketsync.Proven{Key: "k", Hash: "blake3:" + strings.Repeat("0", 64)})
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := written.end(&bucketsync.Report{Equal: true}, clock.NewFake(time.Unix(1_700_000_000, 0)))
		if err != nil {
			t.Fatal(err)
		}
		read, err := VerifyManifest(t.Context(), ManifestOptions{Path: m.Path}, Options{})
		if err != nil || !read.OK() || read.CurrentOnly != versions || read.Hashes.Content != 1 {
			t.Fatalf("%+v, %v", read, err)
		}
		var said, again bytes.Buffer
		m.print(&printer{w: &said})
		if err := read.Print(&again); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{said.String(), again.String()} {
			if strings.Contains(text, "its entries are the current versions alone, 1: older ones were compared too") != versions {
				t.Errorf("versions %t: %s", versions, text)
			}
		}
	}
}
