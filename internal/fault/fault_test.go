package fault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sink is a file of which one can see what was written when the point came.
type sink struct {
	bytes.Buffer
	synced int
}

func (s *sink) Sync() error { s.synced = s.Len(); return nil }

const lines = `{"hash":"a","record":{"seq":1,"kind":"opened"}}
{"hash":"b","record":{"seq":2,"kind":"intent"}}
{"hash":"c","record":{"seq":3,"kind":"done"}}
`

func TestWriteStopsAtTheMomentOfItsRecord(t *testing.T) {
	first := bytes.IndexByte([]byte(lines), '\n') + 1
	second := first + len(`{"hash":"b","record":{"seq":2,"kind":"intent"}}`) + 1
	for spec, want := range map[string]int{
		"kill before 2": first, "kill after 2": second, "kill torn 2": (first + second) / 2,
		`kill before "kind":"intent"`: first, "kill before 1": 0, "kill after 3": len(lines), `kill before "kind" #3`: second, `kill after "record" #1`: first,
	} {
		p, err := Parse(spec, "")
		if err != nil {
			t.Fatal(err)
		}
		var s sink
		at := -1
		p.act = func() {
			at = s.Len()
			if s.synced != at {
				t.Errorf("%s: %d bytes are written, %d are durable", spec, at, s.synced)
			}
		}
		if n, err := p.Write(&s, []byte(lines)); n != len(lines) || err != nil || s.String() != lines {
			t.Errorf("%s: Write = %d, %v and wrote %q", spec, n, err, s.String())
		}
		if at != want {
			t.Errorf("%s: stopped after %d bytes, want %d", spec, at, want)
		}
	}
}

func TestNothingArmedWritesOnly(t *testing.T) {
	var s sink
	var none *Points
	if _, err := none.Write(&s, []byte(lines)); err != nil || s.String() != lines || s.synced != 0 {
		t.Errorf("wrote %q, %v, synced %d", s.String(), err, s.synced)
	}
}

func TestHoldWaitsUntilItsFileIsGone(t *testing.T) {
	hold := filepath.Join(t.TempDir(), "hold")
	p, err := Parse("hold after 2", hold)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	var s sink
	go func() { _, err := p.Write(&s, []byte(lines)); done <- err }()
	for {
		if _, err := os.Stat(hold); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-done:
		t.Fatal("it went on while the file was there")
	default:
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || s.String() != lines {
		t.Errorf("wrote %q, %v", s.String(), err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, spec := range []string{"", "kill", "kill before", "kill before ", "kill never 3", "stop before 3", "hold before 3", `kill before "x" #0`} {
		if _, err := Parse(spec, ""); err == nil {
			t.Errorf("Parse(%q) succeeds", spec)
		}
	}
}
