package attest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

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
