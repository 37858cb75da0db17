package migration

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Document is a migration file as it was read, with the folder that its relative paths start at.
type Document struct {
	File
	// Path of the file, as it was given.
	Path string
	// Dir is the absolute folder of the file.
	Dir string
	// SHA256 is that of the file's bytes as they were read, in hexadecimal.
	SHA256 string
	// Unretirable says why blue cannot be ended as the file says; nil with every file of Load.
	Unretirable *InvalidError

	at map[string]position // by field
}

// ErrNoFile says that no migration file is where one was looked for.
var ErrNoFile = errors.New("there is no migration file")

// Load reads and checks a migration file. Everything that is wrong with it comes back at once, as an *InvalidError.
func Load(path string) (*Document, error) {
	d, err := load(path)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// LoadToGoBack reads a file as Load does, and passes over what only the end of blue asks for: that is Document.Unretirable. A file that
// nobody may go on with must not keep users on a green that fails.
func LoadToGoBack(path string) (*Document, error) {
	d, err := load(path)
	if err == nil {
		return d, nil
	}
	var invalid *InvalidError
	if d == nil || !errors.As(err, &invalid) || slices.ContainsFunc(invalid.Problems, func(p Problem) bool { return !p.Retirement }) {
		return nil, err
	}
	d.Unretirable = invalid
	return d, nil
}

// load also returns the document of a file that could be read and is not valid.
func load(path string) (*Document, error) {
	raw, err := readText(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s: name one with -f", ErrNoFile, path)
	}
	if err != nil {
		if info, serr := os.Stat(path); serr == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a folder: name the migration file in it with -f", path)
		}
		return nil, fmt.Errorf("read the migration file: %w", err)
	}
	f, at, invalid := parse(path, raw)
	if f == nil {
		return nil, invalid
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", path, err)
	}
	sum := sha256.Sum256(raw)
	return &Document{File: *f, Path: path, Dir: filepath.Dir(abs), at: at, SHA256: hex.EncodeToString(sum[:])}, invalid
}

// Parse reads and checks the text of a migration file; name stands for it in errors.
func Parse(name string, raw []byte) (*File, error) {
	f, _, err := parse(name, raw)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// parse also says where each field stands, and returns a file that could be read and is not valid.
func parse(name string, raw []byte) (*File, map[string]position, error) {
	body, problem := document(raw)
	if problem != nil {
		return nil, nil, &InvalidError{File: name, Problems: []Problem{*problem}}
	}
	w := newWalker()
	w.file(body)
	if len(w.problems) > 0 {
		return nil, nil, &InvalidError{File: name, Problems: w.problems}
	}
	var f File
	if err := yaml.NodeToValue(body, &f); err != nil {
		return nil, nil, &InvalidError{File: name, Problems: []Problem{syntaxProblem(err)}}
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, nil, fmt.Errorf("find the folder of %s: %w", name, err)
	}
	v := validator{at: w.at, dir: filepath.Dir(abs)}
	v.file(&f)
	if len(v.problems) > 0 {
		return &f, w.at, &InvalidError{File: name, Problems: v.problems}
	}
	return &f, w.at, nil
}

// document returns the one YAML document of a file. Directives and empty documents beside it do not count.
func document(raw []byte) (ast.Node, *Problem) {
	raw, problem := text(raw)
	if problem != nil {
		return nil, problem
	}
	list, problem := tokens(raw)
	if problem != nil {
		return nil, problem
	}
	tree, err := parser.Parse(list, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p := syntaxProblem(err)
		return nil, &p
	}
	var bodies []ast.Node
	for _, d := range tree.Docs {
		if _, directive := d.Body.(*ast.DirectiveNode); d.Body != nil && !directive {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, &Problem{Line: 1, Column: 1, What: "it is empty", Mend: "`crossfade init` writes a first one"}
	case 1:
		return bodies[0], nil
	}
	at := pos(bodies[1])
	return nil, &Problem{Line: at.line, Column: at.column, What: fmt.Sprintf("it holds %d YAML documents", len(bodies)), Mend: "write exactly one"}
}

// syntaxProblem keeps the position that the YAML library found.
func syntaxProblem(err error) Problem {
	p := Problem{Line: 1, Column: 1, What: err.Error()}
	var ye yaml.Error
	if errors.As(err, &ye) {
		p.What = ye.GetMessage()
		if t := ye.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	switch {
	case strings.Contains(p.What, "'\t'"):
		p.Mend = "indent with spaces: YAML takes no tabs"
	default:
		p.Mend = "correct the YAML around here"
	}
	return p
}

// Resolve makes a path of the file absolute: relative ones start at the file's folder.
func (d *Document) Resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.Dir, path)
}

// StateDir is the folder of the journal and the plans.
func (d *Document) StateDir() string {
	if d.State != nil && d.State.Directory != "" {
		return d.Resolve(d.State.Directory)
	}
	return filepath.Join(d.Dir, ".crossfade", d.Name)
}
