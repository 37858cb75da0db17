package attest

import (
	"bufio"
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"
)

// maxLine bounds a line, in bytes: the longest key that any store has is far below.
const maxLine = 1 << 20

// Checked is what a file says, and what of that does not hold.
type Checked struct {
	Header
	// SignedBy is the fingerprint of the key, as ssh-keygen -l prints it; empty where no signature holds.
	SignedBy string `json:"signedBy,omitempty"`
	// Trusted says that it is the key that the caller asked for.
	Trusted bool `json:"trusted"`
	// BadSignature says that there is a signature, which does not hold.
	BadSignature bool `json:"badSignature,omitempty"`
	// Problems lists what does not hold.
	Problems []string `json:"problems,omitempty"`
}

// OK says that all of it holds.
func (c Checked) OK() bool { return len(c.Problems) == 0 }

// ReadOptions say what is wanted of a file. The zero value only checks it.
type ReadOptions struct {
	// Key must have signed; nil takes any.
	Key ssh.PublicKey
	// Each is called for every entry, in order, before it is known whether the file as a whole holds.
	Each func(Entry) error
	// Prove is a key whose proof is wanted.
	Prove string
}

// Read reads a file from its beginning to its end, and checks its order, counts, root and signature. What does not hold is in
// Checked; the error is for a file that cannot be read, or is no such file. The proof is nil where none was asked for, or the
// key is not there.
func Read(path string, opts ReadOptions) (Checked, *Proof, error) {
	proof := &Proof{}
	var index uint64
	if opts.Prove != "" {
		// The place of the line must be known before the tree is built.
		n := uint64(0)
		_, _, err := read(path, ReadOptions{Each: func(e Entry) error {
			n++
			if e.Key == opts.Prove {
				index = n
			}
			return nil
		}}, 0, nil)
		if err != nil {
			return Checked{}, nil, err
		}
	}
	checked, n, err := read(path, opts, index, proof)
	if err != nil || index == 0 {
		return checked, nil, err
	}
	proof.Index, proof.Of = index-1, n
	return checked, proof, nil
}

func read(path string, opts ReadOptions, index uint64, proof *Proof) (Checked, uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return Checked{}, 0, fmt.Errorf("read manifest: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha512.New()
	checked, n, err := readFrom(f, sum, opts, index, proof)
	if err != nil {
		return Checked{}, 0, fmt.Errorf("read manifest %s: %w", path, err)
	}
	checked.signature(path, sum.Sum(nil), opts.Key)
	return checked, n, nil
}

// readFrom checks everything but the signature. It needs no more memory than one line.
func readFrom(from io.Reader, sum hash.Hash, opts ReadOptions, index uint64, proof *Proof) (Checked, uint64, error) {
	in := bufio.NewReaderSize(io.TeeReader(from, sum), 1<<16)
	var c Checked
	line, err := readLine(in)
	if errors.Is(err, errCut) || errors.Is(err, io.EOF) || err == nil && bytes.HasPrefix(line, headerBegin) && !json.Valid(line) {
		// What is left of a header says nothing that could be held against the rest.
		c.problem("line 1: the header was cut off or changed (%s)", takeAgain)
		if _, err := io.Copy(io.Discard, in); err != nil { // so that the signature is held against the whole file
			return c, 0, err
		}
		return c, 0, nil
	}
	if err != nil {
		return c, 0, fmt.Errorf("line 1: %w", err)
	}
	if err := json.Unmarshal(line, &c.Header); err != nil || c.Format == 0 {
		return c, 0, errors.New("line 1: it is no manifest")
	}
	if c.Format != format || c.Tree != treeName {
		c.problem("line 1: format %d with tree %q, and this program reads format %d with %s: it was changed, or a later program wrote it", c.Format, c.Tree, format, treeName)
		if _, err := io.Copy(io.Discard, in); err != nil { // so that the signature is held against the whole file
			return c, 0, err
		}
		return c, 0, nil
	}
	t := tree{wanted: index}
	var objects, size int64
	var hashes Hashes
	last := ""
	for at := 2; ; at++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		var e Entry
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		var unreadable *fs.PathError
		if errors.As(err, &unreadable) {
			return c, 0, fmt.Errorf("line %d: %w", at, err)
		}
		if err != nil {
			c.problem("line %d: %v (%s)", at, err, takeAgain)
			if _, err := io.Copy(io.Discard, in); err != nil { // so that the signature is held against the whole file
				return c, 0, err
			}
			break
		}
		if e.Key <= last {
			c.problem("line %d: %q comes after %q, out of order", at, e.Key, last)
		}
		last = e.Key
		t.add(line)
		objects++
		size += e.Size
		hashes.add(e)
		if index > 0 && t.n == index {
			proof.Line = string(line)
		}
		if opts.Each != nil {
			if err := opts.Each(e); err != nil {
				return c, 0, err
			}
		}
	}
	root := t.root()
	if objects != c.Objects || size != c.Bytes {
		c.problem("it has %d objects of %d bytes, and its header says %d of %d", objects, size, c.Objects, c.Bytes)
	}
	c.count(hashes)
	if hex.EncodeToString(root[:]) != c.Root {
		c.problem("the root of its entries is %x, and its header says %s: entries were changed, added or taken away", root, c.Root)
	}
	if index > 0 {
		proof.Root = root[:]
		for _, h := range t.path {
			proof.Path = append(proof.Path, bytes.Clone(h[:]))
		}
	}
	return c, t.n, nil
}

// count holds the header against what the entries have of their content.
func (c *Checked) count(hashes Hashes) {
	if c.Hashes == nil {
		c.Hashes = &hashes
	}
	if *c.Hashes != hashes {
		c.problem("%d of its entries have a hash of their content, %d an MD5 alone and %d no digest, and its header says %d, %d and %d", hashes.Content, hashes.MD5, hashes.None, c.Hashes.Content, c.Hashes.MD5, c.Hashes.None)
	}
}

const takeAgain = "take the file again from where it was made, or prove both places anew"

// headerBegin is how the first line of every manifest begins.
var headerBegin = []byte(`{"crossfadeManifest":`) //nolint:gochecknoglobals // a constant in all but type

// errCut says that a line has no end.
var errCut = errors.New("it was cut off")

// maxProblems bounds what a file that is thoroughly wrong says.
const maxProblems = 20

func (c *Checked) problem(form string, args ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(form, args...))
	}
}

// readLine returns a line without its end. io.EOF says that there is none more; a last line without its end was cut off.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("it has more than %d bytes", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, errCut
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}

// signature finds out who signed the file.
func (c *Checked) signature(path string, hashed []byte, want ssh.PublicKey) {
	f, err := os.Open(path + sigSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		c.problem("it is not signed: there is no %s", path+sigSuffix)
		return
	}
	var armored []byte
	if err == nil {
		armored, err = io.ReadAll(io.LimitReader(f, maxSignature))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		c.problem("its signature cannot be read: %v", err)
		return
	}
	c.signed(armored, hashed, want)
}

func (c *Checked) signed(armored, hashed []byte, want ssh.PublicKey) {
	public, err := checkSignature(namespace, armored, hashed)
	if err != nil {
		c.BadSignature = true
		c.problem("its signature does not hold: %v", err)
		return
	}
	c.SignedBy = ssh.FingerprintSHA256(public)
	if want == nil {
		return
	}
	c.Trusted = bytes.Equal(public.Marshal(), want.Marshal())
	if !c.Trusted {
		c.problem("it was signed by %s, and not by the key that was asked for, %s", c.SignedBy, ssh.FingerprintSHA256(want))
	}
}
