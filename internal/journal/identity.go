package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// identify returns the random name of a state directory, which it gets once.
func identify(dir string) (string, error) {
	id, err := Identity(dir)
	if err != nil || id != "" {
		return id, err
	}
	id = rand.Text()
	return id, writeDurably(filepath.Join(dir, idName), []byte(id+"\n"))
}

// Identity reads the random name of a state directory, empty where it has none yet.
func Identity(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, idName))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// Holder says which process writes the journal of a state directory now; empty means that none does.
func Holder(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	// A shared lock for a moment: Open tries for longer than that.
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if err != nil {
		return "", err
	}
	if free {
		return "", errors.Join(ctx.Err(), lock.Unlock())
	}
	return holder(path), nil
}
