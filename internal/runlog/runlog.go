// Package runlog keeps the log of the last runs in the state directory: two files of bounded size, for the owner's eyes only.
// Who writes to it holds the migration's lock, so that there is one writer.
//
//	run.log ── grows to Max ──> run.log.1 (the one before is dropped)
package runlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Names of the two files, the older one first.
const (
	Previous = "run.log.1"
	Current  = "run.log"
)

// Max is the size, in bytes, from which a file is put aside for a new one.
const Max = 4 << 20

// Log is the log open for writing. It implements io.Writer.
type Log struct {
	dir string
	max int64

	mu   sync.Mutex
	file *os.File // nil once it cannot be written any more
	size int64
}

// Open opens the log of a state directory, which must exist.
func Open(dir string) (*Log, error) { return open(dir, Max) }

func open(dir string, limit int64) (*Log, error) {
	l := &Log{dir: dir, max: limit}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) begin() error {
	f, err := os.OpenFile(filepath.Join(l.dir, Current), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Chmod(0o600) // one that somebody opened to others is closed again
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends to the log. A log that cannot be written is no reason to stop a migration, so it is given up in silence:
// the journal is the record.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size > 0 && l.size+int64(len(p)) > l.max {
		l.turn()
	}
	if l.file == nil {
		return len(p), nil
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	if err != nil {
		_ = l.file.Close()
		l.file = nil
	}
	return len(p), nil
}

func (l *Log) turn() {
	err := l.file.Close()
	l.file = nil
	if err == nil {
		err = os.Rename(filepath.Join(l.dir, Current), filepath.Join(l.dir, Previous))
	}
	if err == nil {
		_ = l.begin() // without it, nothing more is written
	}
}

// Close closes the log. A nil log is closed.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Tee returns a slog.Handler that gives every record to both.
func Tee(a, b slog.Handler) slog.Handler { return tee{a, b} }

type tee struct{ a, b slog.Handler }

// Enabled implements slog.Handler.
func (t tee) Enabled(ctx context.Context, level slog.Level) bool {
	return t.a.Enabled(ctx, level) || t.b.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (t tee) Handle(ctx context.Context, r slog.Record) error {
	var errs []error
	for _, h := range []slog.Handler{t.a, t.b} {
		if h.Enabled(ctx, r.Level) {
			errs = append(errs, h.Handle(ctx, r.Clone()))
		}
	}
	return errors.Join(errs...)
}

// WithAttrs implements slog.Handler.
func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.a.WithAttrs(attrs), t.b.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.a.WithGroup(name), t.b.WithGroup(name)}
}
