// Package testlog runs go test and reads its events (go doc test2json), for the project's own tools.
package testlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Result is what became of one test.
type Result struct {
	Package string
	Test    string // with its parents: TestA/case
	Action  string // pass, fail or skip
	Seconds float64
	Output  []string
}

// Reason is what a skipped test said.
func (r Result) Reason() string {
	for _, line := range r.Output {
		text := strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(text, ".go:"); ok {
			if _, reason, ok := strings.Cut(rest, ": "); ok {
				return reason
			}
		}
	}
	return "it gave no reason"
}

// Package is what became of one package.
type Package struct {
	Name    string
	Action  string
	Seconds float64
	Output  []string // what is said outside tests: build errors, panics
}

// Last is where make test leaves its log.
const Last = "bin/tests.json"

// Log is the result of a whole run.
type Log struct {
	Tests    []Result
	Packages []Package
}

// Save writes the log to a file.
func (l *Log) Save(path string) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("save the tests' results: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("save the tests' results: %w", err)
	}
	return nil
}

// Load reads what Save wrote.
func Load(path string) (*Log, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tests' results: %w", err)
	}
	log := &Log{}
	if err := json.Unmarshal(raw, log); err != nil {
		return nil, fmt.Errorf("read the tests' results in %s: %w", path, err)
	}
	return log, nil
}

type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// Run runs go test -json with args and returns what became of every test. seen is called for each finished package and failed
// test, as they come. A failing test is no error; a go command that could not be run is.
func Run(ctx context.Context, args []string, seen func(Package, []Result)) (*Log, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run go test: %w", err)
	}
	log, err := read(out, seen)
	if err != nil {
		return nil, errors.Join(err, cmd.Wait())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || len(log.Packages) == 0) {
		return nil, fmt.Errorf("run go test: %w", err)
	}
	return log, nil
}

func read(r io.Reader, seen func(Package, []Result)) (*Log, error) {
	log := &Log{}
	tests, packages := map[string]*Result{}, map[string]*Package{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read go test's events: %w: %s", err, lines.Text())
		}
		if e.Package == "" {
			e.Package, _, _ = strings.Cut(e.ImportPath, " ")
		}
		p, ok := packages[e.Package]
		if !ok {
			p = &Package{Name: e.Package}
			packages[e.Package] = p
		}
		if e.Test == "" {
			if log.onPackage(p, e) && seen != nil {
				seen(*p, log.of(p.Name))
			}
			continue
		}
		key := e.Package + " " + e.Test
		t, ok := tests[key]
		if !ok {
			t = &Result{Package: e.Package, Test: e.Test}
			tests[key] = t
		}
		switch e.Action {
		case "output":
			t.Output = append(t.Output, e.Output)
		case "pass", "fail", "skip":
			t.Action, t.Seconds = e.Action, e.Elapsed
			log.Tests = append(log.Tests, *t)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read go test's events: %w", err)
	}
	return log, nil
}

// onPackage takes in an event of a package and reports whether the package is finished.
func (l *Log) onPackage(p *Package, e event) bool {
	switch e.Action {
	case "output", "build-output":
		p.Output = append(p.Output, e.Output)
	case "pass", "fail", "skip":
		p.Action, p.Seconds = e.Action, e.Elapsed
		l.Packages = append(l.Packages, *p)
		return true
	}
	return false
}

func (l *Log) of(pkg string) []Result {
	var out []Result
	for _, t := range l.Tests {
		if t.Package == pkg {
			out = append(out, t)
		}
	}
	return out
}
