package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mth is the definition of RFC 6962, section 2.1, word for word.
func mth(lines [][]byte) Hash {
	switch n := len(lines); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, lines[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := mth(lines[:k]), mth(lines[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

func TestTheTreeIsThatOfRFC6962AndProvesEveryLeaf(t *testing.T) {
	var lines [][]byte
	for n := range 70 {
		want := mth(lines)
		var whole tree
		for _, line := range lines {
			whole.add(line)
		}
		if got := whole.root(); got != want {
			t.Fatalf("%d leaves: root %x, want %x", n, got, want)
		}
		for i := range lines {
			one := tree{wanted: uint64(i + 1)}
			for _, line := range lines {
				one.add(line)
			}
			root := one.root()
			p := Proof{Line: string(lines[i]), Index: uint64(i), Of: uint64(n), Root: root[:]}
			for _, h := range one.path {
				p.Path = append(p.Path, bytes.Clone(h[:]))
			}
			if !p.Holds() {
				t.Fatalf("leaf %d of %d: the proof does not hold", i, n)
			}
			other := p
			other.Line += "x"
			if other.Holds() {
				t.Fatalf("leaf %d of %d: the proof holds for another line", i, n)
			}
			other = p
			if other.Index = (p.Index + 1) % p.Of; n > 1 && other.Holds() {
				t.Fatalf("leaf %d of %d: the proof holds for another place", i, n)
			}
		}
		lines = append(lines, fmt.Appendf(nil, "line %d", n))
	}
	// The tree of no leaves, as published with the test vectors of Certificate Transparency.
	if got := hex.EncodeToString(func() []byte { h := mth(nil); return h[:] }()); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("got %s", got)
	}
}

func made(t testing.TB, entries ...Entry) (path string, key *Key) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "proven.jsonl")
	key, err := ReadOrMakeKey(filepath.Join(dir, "keys", "signing.key"))
	must(t, err)
	w, err := Create(path, Header{From: "s3://a", To: "gs://b", Mode: "proof"})
	must(t, err)
	for _, e := range entries {
		must(t, w.Add(e))
	}
	head, err := w.Close(key, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	must(t, err)
	if head.Objects != int64(len(entries)) || len(head.Root) != 64 {
		t.Fatalf("%+v", head)
	}
	return path, key
}

func some() []Entry {
	return []Entry{
		{Key: "a", Size: 3, SHA256: "aa", Properties: "p", Tag: "t"}, {Key: "a/b", Size: 4, BLAKE3: "cc", MD5: "bb", Evidence: "read"},
		{Key: "bad\xff", Size: 5}, {Key: "c \"quoted\" <&>\u2028", Size: 6, Version: "7", Modified: 8},
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	path, key := made(t, some()...)
	public, err := ReadPublic(key.Path + ".pub")
	must(t, err)
	var back []Entry
	c, proof, err := Read(path, ReadOptions{Key: public, Prove: "a/b", Each: func(e Entry) error { back = append(back, e); return nil }})
	must(t, err)
	if !c.OK() || !c.Trusted || c.SignedBy != key.Fingerprint() || c.Objects != 4 || c.Bytes != 18 || c.From != "s3://a" {
		t.Errorf("%+v", c)
	}
	if fmt.Sprint(back) != fmt.Sprint(some()) {
		t.Errorf("got %+v", back)
	}
	raw, err := json.Marshal(proof)
	must(t, err)
	if want := fmt.Sprintf(`"path":["%x","%x"],"root":"%s"}`, proof.Path[0], proof.Path[1], c.Root); !strings.HasSuffix(string(raw), want) || !strings.Contains(string(raw), `"index":1,"of":4`) {
		t.Errorf("as JSON it is %s, want %s", raw, want)
	}
	if proof == nil || !proof.Holds() || proof.Index != 1 || proof.Of != 4 || hex.EncodeToString(proof.Root) != c.Root || !strings.Contains(proof.Line, `"key":"a/b"`) {
		t.Errorf("%+v", proof)
	}
	if _, proof, err := Read(path, ReadOptions{Prove: "b"}); err != nil || proof != nil {
		t.Errorf("a key that is not there has the proof %+v, %v", proof, err)
	}
	left, err := filepath.Glob(path + ".*")
	must(t, err)
	if len(left) != 1 || left[0] != path+".sig" {
		t.Errorf("left over: %v", left)
	}
	// The same list gives the same file, whenever it is written.
	raw, err = os.ReadFile(path)
	must(t, err)
	path, _ = made(t, some()...)
	again, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(raw, again) {
		t.Error("the same list gave another file")
	}
}

func TestWhatWasChangedIsFound(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"a size":           func(s string) string { return strings.Replace(s, `"size":3`, `"size":4`, 1) },
		"a hash":           func(s string) string { return strings.Replace(s, `"sha256":"aa"`, `"sha256":"ab"`, 1) },
		"a line less":      func(s string) string { return s[:strings.LastIndex(strings.TrimSuffix(s, "\n"), "\n")+1] },
		"a line twice":     func(s string) string { return s + s[strings.LastIndex(strings.TrimSuffix(s, "\n"), "\n")+1:] },
		"a line cut off":   func(s string) string { return s[:len(s)-3] },
		"the time":         func(s string) string { return strings.Replace(s, "2026-11-21", "2026-11-22", 1) },
		"the source":       func(s string) string { return strings.Replace(s, "s3://a", "s3://b", 1) },
		"the header alone": func(s string) string { return s[:strings.IndexByte(s, '\n')+1] },
		"nothing":          func(string) string { return "" },
		"something else":   func(string) string { return "{}\n" },
		"the tree":         func(s string) string { return strings.Replace(s, treeName, "rfc6962-sha512", 1) },
		"a later format":   func(s string) string { return strings.Replace(s, `"crossfadeManifest":1`, `"crossfadeManifest":2`, 1) },
	} {
		path, _ := made(t, some()...)
		raw, err := os.ReadFile(path)
		must(t, err)
		changed := change(string(raw))
		if changed == string(raw) {
			t.Fatalf("%s: nothing was changed", name)
		}
		must(t, os.WriteFile(path, []byte(changed), 0o600))
		c, _, err := Read(path, ReadOptions{})
		if err == nil && c.OK() {
			t.Errorf("%s was changed, and nobody noticed", name)
		}
		if err != nil && name != "something else" {
			t.Errorf("%s was changed, and that is no finding but %v", name, err)
		}
	}
}

// What is left of a header that was cut or changed is no other kind of failure than anything else that was.
// What the entries have of their content is counted in the header, and held against them.
func TestWhatEntriesHaveOfTheirContentIsCounted(t *testing.T) {
	path, key := made(t, append(some(), Entry{Key: "md5 alone", MD5: "dd"})...)
	c, _, err := Read(path, ReadOptions{})
	must(t, err)
	if c.Hashes == nil || *c.Hashes != (Hashes{Content: 2, MD5: 1, None: 2}) || !c.OK() {
		t.Fatalf("%+v", c)
	}
	whole, err := os.ReadFile(path)
	must(t, err)
	rewrite := func(to string) Checked {
		raw := bytes.Replace(whole, []byte(`"hashes":{"content":2,"md5":1,"none":2},`), []byte(to), 1)
		must(t, os.WriteFile(path, raw, 0o600))
		sum := sha512.Sum512(raw)
		signature, err := key.sign(namespace, sum[:])
		must(t, err)
		must(t, os.WriteFile(path+sigSuffix, signature, 0o600))
		c, _, err := Read(path, ReadOptions{})
		must(t, err)
		return c
	}
	if c := rewrite(`"hashes":{"content":5,"md5":0,"none":0},`); len(c.Problems) != 1 || !strings.Contains(c.Problems[0], "2 of its entries have a hash of their content") {
		t.Errorf("a header that boasts: %q", c.Problems)
	}
	// One of an earlier version says nothing of it, and is counted.
	if c := rewrite(""); !c.OK() || c.Hashes == nil || c.Hashes.Content != 2 {
		t.Errorf("without counts: %+v", c)
	}
}

// What would be replaced has to be a manifest, or what is left of one.
func TestOnlyAManifestIsReplaced(t *testing.T) {
	path, _ := made(t, some()...)
	must(t, MayReplace(path))
	must(t, MayReplace(filepath.Join(t.TempDir(), "none")))
	for text, may := range map[string]bool{"": true, `{"crossfade`: true, `{"crossfadeManifest":1,`: true, "notes": false, `{"format":3}`: false, `{"crossFade`: false} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if err := MayReplace(path); (err == nil) != may || err != nil && !errors.Is(err, ErrNoManifest) {
			t.Errorf("%q: %v", text, err)
		}
	}
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.WriteFile(path+sigSuffix, []byte("mine"), 0o600))
	if err := MayReplace(path); !errors.Is(err, ErrNoManifest) {
		t.Errorf("a file that is no signature: %v", err)
	}
}

func TestAHeaderThatWasCutDoesNotHold(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"cut":     func(s string) string { return s[:30] },
		"nothing": func(string) string { return "" },
		"changed": func(s string) string { return strings.Replace(s, "}\n", "\n", 1) },
	} {
		path, _ := made(t, some()...)
		raw, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte(change(string(raw))), 0o600))
		if c, _, err := Read(path, ReadOptions{}); err != nil || c.OK() || !c.BadSignature || !strings.Contains(c.Problems[0], "the header was cut off or changed (take the file again") {
			t.Errorf("%s: %v, %+v", name, err, c)
		}
	}
}

func TestTheSignatureMustBeThereAndOfTheKey(t *testing.T) {
	path, _ := made(t, some()...)
	_, other := made(t, some()...)
	public, err := ReadPublic(other.Public())
	must(t, err)
	c, _, err := Read(path, ReadOptions{Key: public})
	must(t, err)
	if c.OK() || c.Trusted || !strings.Contains(c.Problems[0], "not by the key that was asked for, "+other.Fingerprint()) {
		t.Errorf("%+v", c)
	}
	// A signature for another purpose is none for this one.
	raw, err := os.ReadFile(path)
	must(t, err)
	sum := sha512.Sum512(raw)
	sig, err := other.sign(namespace, sum[:])
	must(t, err)
	block, _ := pem.Decode(sig)
	foreign := bytes.Replace(block.Bytes, []byte(namespace), []byte("crossfade-manifesT"), 1)
	must(t, os.WriteFile(path+".sig", armor(foreign), 0o600))
	if c, _, err = Read(path, ReadOptions{}); err != nil || c.OK() || !strings.Contains(c.Problems[0], "it signs for") {
		t.Errorf("%+v %v", c, err)
	}
	must(t, os.WriteFile(path+".sig", []byte("nonsense"), 0o600))
	if c, _, err = Read(path, ReadOptions{}); err != nil || c.OK() || !strings.Contains(c.Problems[0], "it is no SSH signature") {
		t.Errorf("%+v %v", c, err)
	}
	must(t, os.Remove(path+".sig"))
	if c, _, err = Read(path, ReadOptions{}); err != nil || c.OK() || !strings.Contains(c.Problems[0], "it is not signed") {
		t.Errorf("%+v %v", c, err)
	}
}

func TestKeysOfSSHKeygenAndPEM(t *testing.T) {
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	path := filepath.Join(dir, "pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	if _, err := ReadKey(path); err != nil {
		t.Error(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("sesame"))
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), "passphrase") || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadKey(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Errorf("got %v", err)
	}
	// What is there already is never proposed as the place of a new key: ssh-keygen would write over it.
	must(t, os.WriteFile(path, []byte("no key"), 0o600))
	must(t, os.WriteFile(path+".ed25519-1.pub", []byte("somebody's"), 0o600))
	if _, err := ReadKey(path); err == nil || !strings.HasSuffix(err.Error(), "-f "+path+".ed25519-2)") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadPublic("ssh-ed25519 nonsense"); err == nil {
		t.Error("nonsense is a public key")
	}
	if runtime.GOOS != "windows" {
		path, key := made(t, some()...)
		for _, f := range []string{key.Path, path} {
			info, err := os.Stat(f)
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %s", f, info.Mode())
			}
		}
	}
}

// Somebody else's program takes the signature, and ours takes somebody else's.
func TestSSHKeygenAgrees(t *testing.T) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	path, key := made(t, some()...)
	run := func(args ...string) string {
		t.Helper()
		in, err := os.Open(path)
		must(t, err)
		defer func() { _ = in.Close() }()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Stdin = in
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := run("-Y", "check-novalidate", "-n", namespace, "-s", path+".sig"); !strings.Contains(out, key.Fingerprint()) {
		t.Errorf("it says %s", out)
	}
	must(t, os.Remove(path+".sig"))
	run("-q", "-Y", "sign", "-n", namespace, "-f", key.Path, path)
	if c, _, err := Read(path, ReadOptions{}); err != nil || !c.OK() || c.SignedBy != key.Fingerprint() {
		t.Errorf("%+v %v", c, err)
	}
}

func TestKeysMustBeInOrder(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "m"), Header{})
	must(t, err)
	must(t, w.Add(Entry{Key: "b"}))
	for _, key := range []string{"a", "b", ""} {
		if err := w.Add(Entry{Key: key}); err == nil {
			t.Errorf("%q was taken after b", key)
		}
	}
	must(t, w.Abort())
}

// Whatever a file holds, reading it ends, needs no more memory than its longest line, and a file that is not the one that was
// signed never holds.
func FuzzRead(f *testing.F) {
	path, _ := made(f, some()...)
	raw, err := os.ReadFile(path)
	must(f, err)
	sig, err := os.ReadFile(path + ".sig")
	must(f, err)
	f.Add(raw, sig)
	f.Add([]byte("{\"crossfadeManifest\":1,\"tree\":\"rfc6962-sha256\"}\n{\"key\":\"\"}\n"), []byte("x"))
	f.Add(append(bytes.Clone(raw), raw...), sig)
	f.Fuzz(func(t *testing.T, file, signature []byte) {
		last, ordered, sum := "", true, sha512.New()
		c, _, err := readFrom(bytes.NewReader(file), sum, ReadOptions{Each: func(e Entry) error {
			ordered = ordered && e.Key > last
			last = e.Key
			return nil
		}}, 0, nil)
		if err != nil {
			return
		}
		c.signed(signature, sum.Sum(nil), nil)
		if c.OK() && (!ordered || !bytes.Equal(file, raw)) {
			t.Errorf("another file holds: %q", file)
		}
	})
}
