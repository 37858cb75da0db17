package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdUnpack prints the mode and the unpacked text of the one .tar.gz in a folder: unpack FOLDER.
func cmdUnpack(ts *testscript.TestScript, _ bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.tar.gz"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s holds %d bundles", args[0], len(found))
	}
	info, err := os.Stat(found[0])
	ts.Check(err)
	raw, err := os.ReadFile(found[0])
	ts.Check(err)
	zipped, err := gzip.NewReader(bytes.NewReader(raw))
	ts.Check(err)
	text, err := io.ReadAll(zipped)
	ts.Check(err)
	_, err = fmt.Fprintf(ts.Stdout(), "%s %s/%s\n%s", info.Mode(), args[0], filepath.Base(found[0]), text)
	ts.Check(err)
}
