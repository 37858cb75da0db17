package crossfade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// nameFailures leaves the objects that failed in a file, which the error then names. After a sync without any, none is left.
func nameFailures(path string, redactor *redact.Redactor, err error) error {
	var failed *bucketsync.FailedError
	if !errors.As(err, &failed) {
		if gone := os.Remove(path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			return errors.Join(err, fmt.Errorf("remove what names the objects that failed before: %w", gone))
		}
		return err
	}
	var lines bytes.Buffer
	for i := range failed.Failures {
		f := &failed.Failures[i]
		f.Err = redactor.Error(f.Err)
		raw, merr := json.Marshal(failedObject(*f))
		if merr != nil {
			return errors.Join(err, fmt.Errorf("name the objects that failed: %w", merr))
		}
		lines.Write(append(raw, '\n'))
	}
	if werr := os.WriteFile(path, lines.Bytes(), 0o600); werr != nil {
		return errors.Join(err, fmt.Errorf("name the objects that failed: %w", werr))
	}
	return fmt.Errorf("%w\n  (%s names all objects that failed)", err, path)
}
