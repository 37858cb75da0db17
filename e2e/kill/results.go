package kill

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/trial"
)

// Results remembers the outcomes of one version of the program and of the trials, so that an interrupted run goes on.
type Results struct {
	// Path of the file.
	Path string
	done map[string]Outcome
	file *os.File
}

// OpenResults opens the results in a folder that belong to a built program.
func OpenResults(dir, program string) (*Results, error) {
	raw, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	sum := sha256.Sum256(append(raw, trial.Version()...))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &Results{Path: filepath.Join(dir, "results-"+hex.EncodeToString(sum[:6])+".jsonl"), done: map[string]Outcome{}}
	if r.file, err = os.OpenFile(r.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	had, err := os.ReadFile(r.Path)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(had))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var o Outcome
		if json.Unmarshal(lines.Bytes(), &o) == nil { // a torn line is a point to be done again
			r.done[o.Point.String()] = o
		}
	}
	return r, lines.Err()
}

// Converged reports whether a point has been killed before, and converged.
func (r *Results) Converged(p Point) bool { return r.done[p.String()].Converged }

// Add keeps an outcome.
func (r *Results) Add(o Outcome) error {
	r.done[o.Point.String()] = o
	raw, err := json.Marshal(o)
	if err == nil {
		_, err = r.file.Write(append(raw, '\n'))
	}
	return err
}

// Close closes the file.
func (r *Results) Close() error { return r.file.Close() }
