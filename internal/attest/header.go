package attest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrNoManifest says that a file is none that this package writes.
var ErrNoManifest = errors.New("it is no signed manifest")

// MayReplace returns ErrNoManifest where a manifest at this path would take the place of something else, or its signature that of another file.
// What is left of a manifest may be replaced, and a file without bytes.
func MayReplace(path string) error {
	for name, begin := range map[string][]byte{path: headerBegin, path + sigSuffix: []byte("-----BEGIN SSH SIGNATURE-----")} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at what a manifest would replace: %w", err)
		}
		got := make([]byte, len(begin))
		n, err := io.ReadFull(f, got)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("look at what a manifest would replace: %w", err)
		}
		if !bytes.HasPrefix(begin, got[:n]) {
			return fmt.Errorf("replace %s: %w", name, ErrNoManifest)
		}
	}
	return nil
}

// ReadHeader reads the first line of a file and checks nothing else of it.
func ReadHeader(path string) (Header, error) {
	var head Header
	f, err := os.Open(path)
	if err != nil {
		return head, fmt.Errorf("read manifest: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	line, err := readLine(bufio.NewReader(f))
	if err == nil {
		err = json.Unmarshal(line, &head)
	}
	if err == nil && head.Format == 0 {
		err = errors.New("it is no manifest")
	}
	if err != nil {
		return head, fmt.Errorf("read manifest %s: line 1: %w", path, err)
	}
	return head, nil
}
