package journal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// ParseForTest is parse, for the fuzzer.
func ParseForTest(raw []byte) (*Log, error) { return parse(raw) }

// AppendForTest appends a record as another version of crossfade would: with its own format and kind.
func AppendForTest(t *testing.T, dir string, r Record) {
	t.Helper()
	l, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.Seq, r.Time = uint64(len(l.Records)+1), time.Now().UTC()
	raw, _, err := encode(l.Head, r)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// FullAfterForTest lets the disk take only so many bytes more.
func FullAfterForTest(j *Journal, room int) { j.file = &fullFile{file: j.file, room: room} }

type fullFile struct {
	file
	room int
}

func (f *fullFile) Write(raw []byte) (int, error) {
	n, err := f.file.Write(raw[:min(f.room, len(raw))])
	f.room -= n
	if err == nil && n < len(raw) {
		err = syscall.ENOSPC
	}
	return n, err
}
