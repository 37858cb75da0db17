package runlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTheLogStaysBoundedAndForItsOwner(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, Current), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := open(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := fmt.Fprintf(l, "line %04d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("there are %d files, want 2", len(files))
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1000 || info.Size() == 0 {
			t.Errorf("%s has %d bytes", f.Name(), info.Size())
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", f.Name(), info.Mode().Perm())
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, Current))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(raw), "line 0499\n") {
		t.Error("the last line is not in the current file")
	}
}

func TestALogThatCannotBeWrittenStopsNobody(t *testing.T) {
	l, err := open(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n, err := l.Write([]byte("a line")); n != 6 || err != nil {
			t.Errorf("Write returned %d, %v", n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestATeeKeepsEachSidesLevel(t *testing.T) {
	var quiet, full bytes.Buffer
	log := slog.New(Tee(
		slog.NewTextHandler(&quiet, &slog.HandlerOptions{Level: slog.LevelInfo}),
		slog.NewTextHandler(&full, &slog.HandlerOptions{Level: slog.LevelDebug}),
	)).With("k", "v").WithGroup("g")
	log.Debug("detail", "n", 1)
	log.Info("news")
	if strings.Contains(quiet.String(), "detail") || !strings.Contains(quiet.String(), "news") {
		t.Errorf("the quiet side has %s", quiet.String())
	}
	if !strings.Contains(full.String(), "k=v g.n=1") || !strings.Contains(full.String(), "news") {
		t.Errorf("the full side has %s", full.String())
	}
}
