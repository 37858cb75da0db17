package crossfade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// failedLine is an object that could not be copied, in the file that names all of them.
type failedLine struct {
	Key   string `json:"key"`
	Raw   []byte `json:"rawKey,omitempty"` // of a key that is not UTF-8
	Error string `json:"error"`
}

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
	for _, f := range failed.Failures {
		line := failedLine{Key: f.Key, Error: redactor.Text(f.Err.Error())}
		if !utf8.ValidString(f.Key) {
			line.Key, line.Raw = "", []byte(f.Key)
		}
		raw, merr := json.Marshal(line)
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
