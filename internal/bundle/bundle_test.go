package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
	"time"
)

func TestABundleIsTheSameForTheSameFiles(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	var first, second bytes.Buffer
	if err := Write(&first, "x", made, []File{{"b", []byte("2")}, {"a", []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if err := Write(&second, "x", made.In(time.FixedZone("", 3600)), []File{{"a", []byte("1")}, {"b", []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the order in which files are given changes the bundle")
	}
	zipped, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	archive := tar.NewReader(zipped)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
	if len(names) != 2 || names[0] != "x/a" || names[1] != "x/b" {
		t.Errorf("it holds %v", names)
	}
}
