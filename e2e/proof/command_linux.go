package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/internal/journal"
)

// commandLimit bounds one run of the command: nothing may hang for ever.
const commandLimit = 10 * time.Minute

// killed is the exit code that stands for SIGKILL.
const killed = -1

// An ending is how the command ended.
type ending struct {
	code   int // killed for SIGKILL
	stdout []byte
	log    string // the file with standard error
	said   string // its last line
	took   time.Duration
}

func (e ending) String() string {
	if e.code == killed {
		return "killed"
	}
	return fmt.Sprintf("exit %d: %s", e.code, e.said)
}

// crossfade runs the command to its end. An exit code other than 0 is no error.
func (s *scene) crossfade(ctx context.Context, fault string, args ...string) (ending, error) {
	end, err := s.start(ctx, fault, args...)
	if err != nil {
		return ending{}, err
	}
	return end()
}

// start starts the command, with a fault armed where one is given, and returns how to wait for its end.
func (s *scene) start(ctx context.Context, fault string, args ...string) (func() (ending, error), error) {
	s.runs++
	log, err := os.Create(s.path("logs", fmt.Sprintf("%02d-%s.log", s.runs, args[0])))
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", args[0], err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	cmd := exec.CommandContext(ctx, s.o.Binary, append([]string{args[0], "-f", s.file()}, args[1:]...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = append(os.Environ(), "CROSSFADE_FAULT="+fault, "CROSSFADE_FAULT_HOLD="+s.path("hold"))
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("start crossfade %s: %w", args[0], err), log.Close())
	}
	return func() (ending, error) {
		defer cancel()
		err := cmd.Wait()
		e := ending{stdout: stdout.Bytes(), log: log.Name(), took: time.Since(began)}
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return e, errors.Join(fmt.Errorf("crossfade %s of %s did not end in %s", args[0], s.name, commandLimit), log.Close())
		case errors.As(err, &exit):
			e.code = exit.ExitCode()
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
				e.code = killed
			}
		case err != nil:
			return e, errors.Join(fmt.Errorf("crossfade %s of %s: %w", args[0], s.name, err), log.Close())
		}
		e.said = lastLine(log.Name())
		return e, log.Close()
	}, nil
}

func lastLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

// journaled waits until the journal holds a record that has a text in it, and returns when that was written.
func (s *scene) journaled(ctx context.Context, text string) (time.Time, error) {
	for {
		records, err := s.records()
		if err != nil {
			return time.Time{}, err
		}
		for _, r := range records {
			if strings.Contains(r.line, text) {
				return r.Time, nil
			}
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("wait for a record with %s: %w", text, err)
		}
	}
}

// A record is one line of the journal.
type record struct {
	journal.Record
	line string
}

// records reads the journal while somebody writes it: a line that is not whole yet is left out.
func (s *scene) records() ([]record, error) {
	raw, err := os.ReadFile(filepath.Join(s.path("state"), "journal.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", s.name, err)
	}
	var records []record
	for text := range strings.Lines(string(raw)) {
		var line struct {
			Record journal.Record `json:"record"`
		}
		if json.Unmarshal([]byte(text), &line) == nil {
			records = append(records, record{line.Record, text})
		}
	}
	return records, nil
}
