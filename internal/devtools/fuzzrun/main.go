// Command fuzzrun is what `make fuzz` runs: every fuzz target of the module, one after the other, for the same time each. It ends
// with a line for each target and fails when one has failed. Inputs that Go found are below testdata of the target's package.
package main

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct{ dir, name string }

func main() {
	each := flag.Duration("time", 10*time.Second, "how long each target is fuzzed")
	only := flag.String("run", "", "fuzz only targets whose PACKAGE.NAME holds this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ok, err := run(ctx, *each, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzzrun:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, each time.Duration, only string) (bool, error) {
	targets, err := find(".")
	if err != nil {
		return false, err
	}
	var lines []string
	failed := 0
	for _, t := range targets {
		if !strings.Contains(t.dir+"."+t.name, only) {
			continue
		}
		fmt.Printf("== %s %s\n", t.dir, t.name)
		began := time.Now()
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "-fuzzminimizetime", "5s", "./"+t.dir)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		word, why := "ok  ", ""
		if err := cmd.Run(); err != nil {
			word, why, failed = "FAIL", " ("+err.Error()+")", failed+1
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("fuzz %s: %w", t.name, ctx.Err())
		}
		lines = append(lines, fmt.Sprintf("%s  %-40s %-20s %s%s", word, t.dir, t.name, time.Since(began).Round(time.Second), why))
	}
	fmt.Printf("\n%s\nfuzz: %d targets, %s each, %d failed\n", strings.Join(lines, "\n"), len(lines), each, failed)
	return failed == 0 && len(lines) > 0, nil
}

// find lists the fuzz functions of all packages below a folder, whatever system they are built for.
func find(root string) ([]target, error) {
	var found []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("look for fuzz targets in %s: %w", path, err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				found = append(found, target{dir: filepath.ToSlash(filepath.Dir(path)), name: f.Name.Name})
			}
		}
		return nil
	})
	return found, err
}
