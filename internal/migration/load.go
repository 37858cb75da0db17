package migration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
}

// Load reads and checks a migration file. Everything that is wrong with it comes back at once, as an *InvalidError.
func Load(path string) (*Document, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no migration file at %s: name one with -f", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the migration file: %w", err)
	}
	f, err := Parse(path, raw)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", path, err)
	}
	return &Document{File: *f, Path: path, Dir: filepath.Dir(abs)}, nil
}

// Parse reads and checks the text of a migration file; name stands for it in errors.
func Parse(name string, raw []byte) (*File, error) {
	tree, err := parser.ParseBytes(raw, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, &InvalidError{File: name, Problems: []Problem{syntaxProblem(err)}}
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return nil, &InvalidError{File: name, Problems: []Problem{{Line: 1, Column: 1,
			What: fmt.Sprintf("it holds %d YAML documents", countDocs(tree)), Mend: "write exactly one"}}}
	}
	body := tree.Docs[0].Body
	w := newWalker()
	w.file(body)
	if len(w.problems) > 0 {
		return nil, &InvalidError{File: name, Problems: w.problems}
	}
	var f File
	if err := yaml.NodeToValue(body, &f); err != nil {
		return nil, &InvalidError{File: name, Problems: []Problem{syntaxProblem(err)}}
	}
	v := validator{at: w.at}
	v.file(&f)
	if len(v.problems) > 0 {
		return nil, &InvalidError{File: name, Problems: v.problems}
	}
	return &f, nil
}

func countDocs(tree *ast.File) int {
	n := 0
	for _, d := range tree.Docs {
		if d.Body != nil {
			n++
		}
	}
	return n
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
