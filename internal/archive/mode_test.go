package archive

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What is not encrypted in an archive is still nobody's but its owner's.
func TestI09_AFolderArchiveIsForItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	dir := &Dir{Path: filepath.Join(t.TempDir(), "archive")}
	for _, name := range []string{"blobs/ab/abc", "index/000001-x.json"} {
		if err := dir.Put(t.Context(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir.Path, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
