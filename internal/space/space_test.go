package space_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/crossfade-project/crossfade/internal/space"
)

func TestFreeCountsAndNamesAPathThatIsNot(t *testing.T) {
	dir := t.TempDir()
	n, err := space.Free(dir)
	if errors.Is(err, space.ErrUnknown) {
		t.Skip(err)
	}
	if err != nil || n == 0 {
		t.Errorf("a temporary folder has room for %d bytes, %v", n, err)
	}
	if _, err := space.Free(filepath.Join(dir, "none")); err == nil {
		t.Error("a path that does not exist has room")
	}
}
