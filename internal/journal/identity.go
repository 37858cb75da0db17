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

// identify returns the name of a state directory whose lock is held. It gets its random part once.
func identify(dir string) (string, error) {
	id, err := Identity(dir)
	if err != nil || id != "" {
		return id, err
	}
	if err := writeDurably(filepath.Join(dir, idName), []byte(rand.Text()+"\n")); err != nil {
		return "", err
	}
	return Identity(dir)
}

// Identity reads the name of a state directory, empty where it has none yet: a random part that is kept, and the place of the lock
// file. A copy has the one and not the other, so that its lock never passes for the lock of what was copied.
func Identity(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, idName))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	at, err := place(filepath.Join(dir, lockName))
	return strings.TrimSpace(string(raw)) + "@" + at, err
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
