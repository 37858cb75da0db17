package attest

import (
	"bufio"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Writer writes a file. Until Close nothing is at its path that was not there before.
type Writer struct {
	path string
	head Header
	body *os.File // the lines, until the root is known
	out  *bufio.Writer
	tree tree
	last string
}

// Create begins a file.
func Create(path string, head Header) (*Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("write manifest %s: %w", path, err)
	}
	body, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // what a kill left is replaced
	if err != nil {
		return nil, fmt.Errorf("write manifest %s: %w", path, err)
	}
	head.Format, head.Tree, head.Objects, head.Bytes, head.Hashes = format, treeName, 0, 0, &Hashes{}
	return &Writer{path: path, head: head, body: body, out: bufio.NewWriterSize(body, 1<<16)}, nil
}

// Add adds an object. Keys come in the order of their bytes, each once.
func (w *Writer) Add(e Entry) error {
	if e.Key <= w.last {
		return fmt.Errorf("write manifest %s: %q comes after %q: keys must be in order", w.path, e.Key, w.last)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", w.path, err)
	}
	w.last = e.Key
	w.tree.add(line)
	w.head.Objects++
	w.head.Bytes += e.Size
	w.head.Hashes.add(e)
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write manifest %s: %w", w.path, err)
	}
	return nil
}

// Close puts the file and its signature into place, and returns the header with counts and root.
func (w *Writer) Close(key *Key, made time.Time) (Header, error) {
	w.head.Made = made.UTC().Truncate(time.Second)
	root := w.tree.root()
	w.head.Root = hex.EncodeToString(root[:])
	err := w.out.Flush()
	if err == nil {
		_, err = w.body.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = w.put(key)
	}
	if err = errors.Join(err, w.Abort()); err != nil {
		return Header{}, fmt.Errorf("write manifest %s: %w", w.path, err)
	}
	return w.head, nil
}

// put writes the header, the lines and the signature. The signature comes into place last: without it the file proves nothing.
func (w *Writer) put(key *Key) error {
	head, err := json.Marshal(w.head)
	if err != nil {
		return err
	}
	sum := sha512.New()
	if err := replace(w.path, func(to io.Writer) error {
		to = io.MultiWriter(to, sum)
		if _, err := to.Write(append(head, '\n')); err != nil {
			return err
		}
		_, err := io.Copy(to, w.body)
		return err
	}); err != nil {
		return err
	}
	signature, err := key.sign(namespace, sum.Sum(nil))
	if err != nil {
		return err
	}
	return replace(w.path+sigSuffix, func(to io.Writer) error {
		_, err := to.Write(signature)
		return err
	})
}

// Abort ends a file that is not to be; what was at the path before stays.
func (w *Writer) Abort() error {
	return errors.Join(w.body.Close(), os.Remove(w.body.Name()))
}

// replace puts a file into place in one step.
func replace(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<16)
	err = write(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
