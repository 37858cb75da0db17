// Command docgen writes the documents that follow from the code: the command's reference and the schema of the migration
// file. With -check it writes nothing and fails where they have drifted.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

func main() {
	check := flag.Bool("check", false, "fail where the documents have drifted, write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	schema, err := migration.Schema("./internal/migration")
	if err != nil {
		return err
	}
	reference, err := reference()
	if err != nil {
		return err
	}
	var drifted []string
	for path, want := range map[string][]byte{"docs/migration.schema.json": schema, "docs/cli.md": reference} {
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if bytes.Equal(have, want) {
			continue
		}
		if check {
			drifted = append(drifted, path)
			continue
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if len(drifted) > 0 {
		return fmt.Errorf("%s drifted from the code: run make docs", strings.Join(drifted, " and "))
	}
	return nil
}

// reference is the help of every verb, as the command prints it.
func reference() ([]byte, error) {
	dir, err := os.MkdirTemp("", "docgen")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the command: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder left in the system's temporary one does no harm
	bin := filepath.Join(dir, "crossfade")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/crossfade").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	var b bytes.Buffer
	b.WriteString("# The command\n\nWritten by `make docs` from the command's own help.\n")
	verbs, err := verbsOf(bin)
	if err != nil {
		return nil, err
	}
	for _, verb := range append([]string{""}, verbs...) {
		args := []string{"help"}
		title := "crossfade"
		if verb != "" {
			args, title = append(args, verb), "crossfade "+verb
		}
		out, err := exec.Command(bin, args...).Output()
		if err != nil {
			return nil, fmt.Errorf("ask for the help of %q: %w", verb, err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n", title, strings.TrimSpace(string(out)))
	}
	return b.Bytes(), nil
}

// verbsOf are the commands and topics that the help of the whole lists, in the order in which it does.
func verbsOf(bin string) ([]string, error) {
	out, err := exec.Command(bin, "help").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for the help: %w", err)
	}
	var verbs []string
	listed := false
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Available Commands:"), strings.HasPrefix(line, "Additional help topics:"):
			listed = true
		case !strings.HasPrefix(line, "  ") || len(fields) == 0:
			listed = false
		case listed && fields[0] == "crossfade":
			verbs = append(verbs, fields[1])
		case listed && fields[0] != "help":
			verbs = append(verbs, fields[0])
		}
	}
	if len(verbs) == 0 {
		return nil, errors.New("the help lists no commands")
	}
	return verbs, nil
}
