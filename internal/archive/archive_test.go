package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/archive"
)

func object(kind, name string, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}, "data": data,
	}}
}

// pair is somebody who may read.
type pair struct{ public, secret string }

func newPair(t *testing.T) pair {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return pair{public: id.Recipient().String(), secret: id.String()}
}

func (p pair) both() archive.Options {
	return archive.Options{Recipients: []string{p.public}, Identities: []string{p.secret}}
}

func write(t *testing.T, store archive.Store, opts archive.Options, objects ...*unstructured.Unstructured) archive.Index {
	t.Helper()
	w, err := archive.OpenWriter(t.Context(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if _, err := w.Put(t.Context(), archive.Entry{App: "shop"}, o); err != nil {
			t.Fatal(err)
		}
	}
	i, err := w.Commit(t.Context(), archive.Index{Migration: "m", BlueUID: "u", Made: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func verify(t *testing.T, store archive.Store, opts archive.Options) (archive.VerifyReport, error) {
	t.Helper()
	r, err := archive.Open(t.Context(), store, opts)
	if err != nil {
		return archive.VerifyReport{}, err
	}
	return r.Verify(t.Context())
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+string(filepath.Separator))] = raw
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSameObjectsGiveTheSameBytes(t *testing.T) {
	one, two := &archive.Dir{Path: t.TempDir()}, &archive.Dir{Path: t.TempDir()}
	a, b := object("ConfigMap", "a", map[string]any{"x": "<&>", "n": "1"}), object("ConfigMap", "b", nil)
	write(t, one, archive.Options{}, a, b)
	write(t, two, archive.Options{}, b, a)
	if !maps.EqualFunc(files(t, one.Path), files(t, two.Path), bytes.Equal) {
		t.Error("two archives of the same objects differ")
	}

	var both [][]byte
	for range 2 {
		parent := &archive.Dir{Path: t.TempDir()}
		file, err := archive.OpenTar(t.Context(), parent, "a.tar.zst")
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, archive.Options{}, a, b)
		raw, err := parent.Get(t.Context(), "a.tar.zst")
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, raw)
	}
	if !bytes.Equal(both[0], both[1]) {
		t.Error("two single-file archives of the same objects differ")
	}
}

func TestEveryObjectReadsBackFromAFolderAndFromAFile(t *testing.T) {
	me := newPair(t)
	parent := &archive.Dir{Path: t.TempDir()}
	file, err := archive.OpenTar(t.Context(), parent, "a.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]archive.Store{"folder": &archive.Dir{Path: t.TempDir()}, "file": file} {
		want := object("Secret", "keys", map[string]any{"k": "djE="})
		want.Object["n"], want.Object["f"] = int64(7), 1.5
		write(t, store, me.both(), want, object("ConfigMap", "c", nil))
		if name == "file" {
			if store, err = archive.OpenTar(t.Context(), parent, "a.tar.zst"); err != nil {
				t.Fatal(err)
			}
		}
		r, err := archive.Open(t.Context(), store, me.both())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Index().Entries {
			got, err := r.Object(t.Context(), e)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e.Kind == "Secret" && (got.Object["n"] != int64(7) || got.Object["f"] != 1.5 || !e.Encrypted) {
				t.Errorf("%s: the Secret reads back as %v, entry %+v", name, got.Object, e)
			}
		}
		if report, err := r.Verify(t.Context()); err != nil || report.Opened != 1 || report.Objects != 2 {
			t.Errorf("%s: verified %+v, %v", name, report, err)
		}
	}
}

func TestARevisionWritesOnlyWhatChangedAndASecretKeepsItsBlob(t *testing.T) {
	me, dir := newPair(t), &archive.Dir{Path: t.TempDir()}
	keys, c := object("Secret", "keys", map[string]any{"k": "djE="}), object("ConfigMap", "c", map[string]any{"a": "1"})
	first := write(t, dir, me.both(), keys, c)
	before := files(t, dir.Path)
	second := write(t, dir, me.both(), keys, object("ConfigMap", "c", map[string]any{"a": "2"}))
	after := files(t, dir.Path)
	if len(after) != len(before)+2 {
		t.Errorf("the second revision wrote %d files, want a blob and an index", len(after)-len(before))
	}
	for name, raw := range before {
		if !bytes.Equal(after[name], raw) {
			t.Errorf("%s was written again", name)
		}
	}
	if first.Entries[1] != second.Entries[1] || second.Entries[1].Kind != "Secret" {
		t.Errorf("the Secret's entry is %+v, was %+v", second.Entries[1], first.Entries[1])
	}
	if second.Revision != 2 || second.Previous != first.Hash {
		t.Errorf("revision %d on %s, want 2 on %s", second.Revision, second.Previous, first.Hash)
	}
}

func TestANewReaderGetsANewKey(t *testing.T) {
	me, other, dir := newPair(t), newPair(t), &archive.Dir{Path: t.TempDir()}
	keys := object("Secret", "keys", map[string]any{"k": "djE="})
	first := write(t, dir, me.both(), keys)
	second := write(t, dir, archive.Options{Recipients: []string{me.public, other.public}, Identities: []string{me.secret}}, keys)
	if first.Entries[0].Key == second.Entries[0].Key {
		t.Error("a recipient was added and the key, which it cannot open, was kept")
	}
	if _, err := verify(t, dir, archive.Options{Identities: []string{other.secret}}); err != nil {
		t.Errorf("the new recipient cannot read the archive: %v", err)
	}
}

func TestK20_ASecretIsNeverWrittenWithoutARecipientNorByItsPlainHash(t *testing.T) {
	me, dir := newPair(t), &archive.Dir{Path: t.TempDir()}
	w, err := archive.OpenWriter(t.Context(), dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys := object("Secret", "keys", map[string]any{"k": "djE="})
	if _, err := w.Put(t.Context(), archive.Entry{}, keys); !errors.Is(err, archive.ErrNoRecipient) {
		t.Errorf("a Secret was put without a recipient: %v", err)
	}
	one := write(t, dir, me.both(), keys)
	two := write(t, &archive.Dir{Path: t.TempDir()}, me.both(), keys)
	if one.Entries[0].Hash == two.Entries[0].Hash {
		t.Error("two archives give a Secret the same hash: it has no key, and a weak password can be guessed by it")
	}
	for name, raw := range files(t, dir.Path) {
		if bytes.Contains(raw, []byte("djE=")) {
			t.Errorf("%s holds the Secret in clear", name)
		}
	}
}

func TestVerifyFindsWhatIsDamagedMissingOrForeign(t *testing.T) {
	me := newPair(t)
	for name, damage := range map[string]func(t *testing.T, dir, blob, sealed string){
		"changed blob":   func(t *testing.T, _, blob, _ string) { overwrite(t, blob, []byte("{}\n")) },
		"missing blob":   func(t *testing.T, _, blob, _ string) { remove(t, blob) },
		"changed secret": func(t *testing.T, _, _, sealed string) { flip(t, sealed) },
		"missing secret": func(t *testing.T, _, _, sealed string) { remove(t, sealed) },
		"foreign secret": func(t *testing.T, _, _, sealed string) { overwrite(t, sealed, sealFor(t, me, "{}")) },
		"missing key":    func(t *testing.T, dir, _, _ string) { remove(t, glob(t, dir, "keys/*")) },
		"edited index": func(t *testing.T, dir, _, _ string) {
			index := glob(t, dir, "index/*")
			raw, err := os.ReadFile(index)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, index, bytes.Replace(raw, []byte(`"m"`), []byte(`"n"`), 1))
		},
		"two writers": func(t *testing.T, dir, _, _ string) {
			overwrite(t, filepath.Join(dir, "index", "000001-"+strings.Repeat("f", 64)+".json"), []byte("{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := &archive.Dir{Path: t.TempDir()}
			i := write(t, dir, me.both(), object("Secret", "keys", map[string]any{"k": "djE="}), object("ConfigMap", "c", nil))
			if _, err := verify(t, dir, me.both()); err != nil {
				t.Fatal(err)
			}
			at := func(e archive.Entry) string { return filepath.Join(dir.Path, filepath.FromSlash(e.Blob)) }
			damage(t, dir.Path, at(i.Entries[0]), at(i.Entries[1]))
			if _, err := verify(t, dir, me.both()); err == nil {
				t.Error("the damage was not found")
			}
		})
	}
}

// What was damaged since an earlier revision is written anew by the next, or no export could ever mend an archive.
func TestTheNextRevisionMendsWhatWasDamaged(t *testing.T) {
	me := newPair(t)
	for name, damage := range map[string]func(t *testing.T, dir, blob, sealed string){
		"nothing":        func(*testing.T, string, string, string) {},
		"changed blob":   func(t *testing.T, _, blob, _ string) { overwrite(t, blob, []byte("{}\n")) },
		"missing blob":   func(t *testing.T, _, blob, _ string) { remove(t, blob) },
		"changed secret": func(t *testing.T, _, _, sealed string) { flip(t, sealed) },
		"foreign secret": func(t *testing.T, _, _, sealed string) { overwrite(t, sealed, sealFor(t, me, "{}")) },
		"missing key":    func(t *testing.T, dir, _, _ string) { remove(t, glob(t, dir, "keys/*")) },
		"changed key":    func(t *testing.T, dir, _, _ string) { flip(t, glob(t, dir, "keys/*")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := &archive.Dir{Path: t.TempDir()}
			objects := []*unstructured.Unstructured{object("Secret", "keys", map[string]any{"k": "djE="}), object("ConfigMap", "c", nil)}
			i := write(t, dir, me.both(), objects...)
			at := func(e archive.Entry) string { return filepath.Join(dir.Path, filepath.FromSlash(e.Blob)) }
			damage(t, dir.Path, at(i.Entries[0]), at(i.Entries[1]))
			before := files(t, dir.Path)
			write(t, dir, me.both(), objects...)
			if report, err := verify(t, dir, me.both()); err != nil || report.Revision != 2 || len(report.Chain) != 2 {
				t.Errorf("verified %+v, %v", report, err)
			}
			if added := len(files(t, dir.Path)) - len(before); name == "nothing" && added != 1 {
				t.Errorf("%d files were written for a revision without a change, want its index alone", added)
			}
		})
	}
}

// A revision is as good as what it builds on: its history is read to the first.
func TestVerifyReadsTheRevisionsBefore(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, index string){
		"missing": remove,
		"changed": flip,
	} {
		dir := &archive.Dir{Path: t.TempDir()}
		first := write(t, dir, archive.Options{}, object("ConfigMap", "c", map[string]any{"a": "1"}))
		second := write(t, dir, archive.Options{}, object("ConfigMap", "c", map[string]any{"a": "2"}))
		third := write(t, dir, archive.Options{}, object("ConfigMap", "c", map[string]any{"a": "3"}))
		report, err := verify(t, dir, archive.Options{})
		if want := []string{third.Hash, second.Hash, first.Hash}; err != nil || !slices.Equal(report.Chain, want) {
			t.Errorf("the chain is %v, %v, want %v", report.Chain, err, want)
		}
		damage(t, glob(t, dir.Path, "index/000001-*"))
		if _, err := verify(t, dir, archive.Options{}); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("a first revision that is %s is not found: %v", name, err)
		}
	}
}

// A folder that somebody else packed may hold links: none leads out, neither to read nor to write.
func TestLinksThatLeadOutAreRefused(t *testing.T) {
	outside := t.TempDir()
	overwrite(t, filepath.Join(outside, "secret"), []byte("not ours"))
	dir := &archive.Dir{Path: filepath.Join(t.TempDir(), "archive")}
	if err := os.MkdirAll(dir.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"blobs": outside, "link": filepath.Join(outside, "secret"), "up": "../../.."} {
		if err := os.Symlink(target, filepath.Join(dir.Path, name)); err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{"link", "blobs/secret", "up/etc/hostname"} {
		if raw, err := dir.Get(t.Context(), name); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s was read: %q, %v", name, raw, err)
		}
	}
	for _, name := range []string{"blobs/new", "up/new"} {
		if err := dir.Put(t.Context(), name, []byte("x")); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s was written: %v", name, err)
		}
	}
	if err := dir.Put(t.Context(), "link", []byte("x")); err != nil {
		t.Errorf("a link in a file's place is not replaced: %v", err)
	}
	got := files(t, outside)
	if len(got) != 1 || string(got["secret"]) != "not ours" {
		t.Errorf("outside there is now %v", got)
	}
	if err := os.Mkdir(filepath.Join(dir.Path, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Get(t.Context(), "folder"); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("a folder in a file's place: %v", err)
	}
}

func TestVerifyWithoutAnIdentitySaysWhatItDidNotProve(t *testing.T) {
	me, dir := newPair(t), &archive.Dir{Path: t.TempDir()}
	write(t, dir, me.both(), object("Secret", "keys", nil))
	report, err := verify(t, dir, archive.Options{})
	if err != nil || report.Sealed != 1 || report.Opened != 0 {
		t.Errorf("verified %+v, %v: want one sealed and none opened", report, err)
	}
	if _, err := verify(t, dir, archive.Options{Identities: []string{newPair(t).secret}}); !errors.Is(err, archive.ErrNoIdentity) {
		t.Errorf("a stranger verified the archive: %v", err)
	}
}

func TestAnIdentityIsNotRepeatedInAnError(t *testing.T) {
	_, err := archive.Open(t.Context(), &archive.Dir{Path: t.TempDir()}, archive.Options{Identities: []string{"AGE-SECRET-KEY-1WRONG"}})
	if err == nil || strings.Contains(err.Error(), "WRONG") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnUnfinishedRevisionIsNotSeen(t *testing.T) {
	dir := &archive.Dir{Path: t.TempDir()}
	write(t, dir, archive.Options{}, object("ConfigMap", "c", nil))
	w, err := archive.OpenWriter(t.Context(), dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Put(t.Context(), archive.Entry{}, object("ConfigMap", "new", nil)); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(t.Context(), dir, archive.Options{})
	if err != nil || r.Index().Revision != 1 || len(r.Index().Entries) != 1 {
		t.Errorf("the revision that was not committed is seen: %+v, %v", r.Index(), err)
	}
	// The power went before the blob reached the disk: its name is there, its content is not.
	blobs, err := filepath.Glob(filepath.Join(dir.Path, "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if !strings.HasSuffix(b, r.Index().Entries[0].Hash) {
			overwrite(t, b, nil)
		}
	}
	write(t, dir, archive.Options{}, object("ConfigMap", "c", nil), object("ConfigMap", "new", nil))
	if _, err := verify(t, dir, archive.Options{}); err != nil {
		t.Errorf("a blob that a power cut emptied was taken for written: %v", err)
	}
}

func TestPayloadsComeBackWhole(t *testing.T) {
	me, dir := newPair(t), &archive.Dir{Path: t.TempDir()}
	want := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) // more than two pieces
	w, err := archive.OpenWriter(t.Context(), dir, me.both())
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.PutPayload(t.Context(), "shop", bytes.NewReader(want))
	if err != nil || len(p.Pieces) != 3 || p.Size != int64(len(want)) {
		t.Fatalf("%d pieces of %d bytes, %v", len(p.Pieces), p.Size, err)
	}
	if _, err := w.Commit(t.Context(), archive.Index{}); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(t.Context(), dir, me.both())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if ok, err := r.Payload(t.Context(), "shop", &got); err != nil || !ok || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the payload came back as %d bytes (%v, %v)", got.Len(), ok, err)
	}
	if ok, err := r.Payload(t.Context(), "other", io.Discard); ok || err != nil {
		t.Errorf("an application without a payload has one (%v)", err)
	}
}

func TestNamesThatClimbOutAreRefused(t *testing.T) {
	outside := t.TempDir()
	dir := &archive.Dir{Path: filepath.Join(outside, "archive")}
	for _, name := range []string{"../x", "/etc/passwd", "a/../../x", ""} {
		if err := dir.Put(t.Context(), name, nil); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := dir.Get(t.Context(), name); err == nil {
			t.Errorf("%q was read", name)
		}
	}
	if len(files(t, outside)) != 0 {
		t.Errorf("there are files outside: %v", slices.Collect(maps.Keys(files(t, outside))))
	}
}

func overwrite(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	overwrite(t, path, raw)
}

func glob(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	return found[0]
}

func sealFor(t *testing.T, p pair, text string) []byte {
	t.Helper()
	r, err := age.ParseX25519Recipient(p.public)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// single is a Store of one file.
type single struct{ raw []byte }

func (s single) Put(context.Context, string, []byte) error      { return errors.New("read only") }
func (s single) Get(context.Context, string) ([]byte, error)    { return s.raw, nil }
func (s single) List(context.Context, string) ([]string, error) { return nil, nil }

// member is one file of a tar.
type member struct {
	tar.Header
	data string
}

func packed(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	zw, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(zw)
	for _, m := range members {
		m.Size = int64(len(m.data))
		if err := tw.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAHostileSingleFileIsRefused(t *testing.T) {
	good := member{Header: tar.Header{Name: "blobs/a", Typeflag: tar.TypeReg}, data: "x"}
	whole := packed(t, good)
	if _, err := archive.OpenTar(t.Context(), single{whole}, "a"); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"climbing name": packed(t, member{Header: tar.Header{Name: "../a", Typeflag: tar.TypeReg}}),
		"absolute name": packed(t, member{Header: tar.Header{Name: "/etc/a", Typeflag: tar.TypeReg}}),
		"link":          packed(t, member{Header: tar.Header{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}}),
		"twice":         packed(t, good, good),
		"cut":           whole[:len(whole)/2],
		"text":          []byte("no archive"),
	} {
		if _, err := archive.OpenTar(t.Context(), single{raw}, "a"); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseIdentityReadsWhatAgeKeygenWrites(t *testing.T) {
	me := newPair(t)
	secrets, public, err := archive.ParseIdentity("# created: today\n# public key: " + me.public + "\n" + me.secret + "\n")
	if err != nil || !slices.Equal(secrets, []string{me.secret}) || !slices.Equal(public, []string{me.public}) {
		t.Errorf("read %d secrets, public %v, %v", len(secrets), public, err)
	}
	if _, _, err := archive.ParseIdentity("AGE-SECRET-KEY-1WRONG"); err == nil || strings.Contains(err.Error(), "WRONG") {
		t.Errorf("the error is %v", err)
	}
}

// Whatever the bytes of a single-file archive are, opening and verifying it ends without a panic, and every name that it gives
// is a local path.
func FuzzOpenTar(f *testing.F) {
	f.Add([]byte("not zstd"))
	parent := &archive.Dir{Path: f.TempDir()}
	file, err := archive.OpenTar(f.Context(), parent, "a.tar.zst")
	if err != nil {
		f.Fatal(err)
	}
	w, err := archive.OpenWriter(f.Context(), file, archive.Options{})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Put(f.Context(), archive.Entry{}, object("ConfigMap", "c", nil)); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Commit(f.Context(), archive.Index{}); err != nil {
		f.Fatal(err)
	}
	good, err := parent.Get(f.Context(), "a.tar.zst")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := archive.OpenTar(t.Context(), single{raw}, "a.tar.zst")
		if err != nil {
			return
		}
		names, err := file.List(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if !filepath.IsLocal(filepath.FromSlash(n)) {
				t.Errorf("the archive has %q", n)
			}
		}
		if r, err := archive.Open(t.Context(), file, archive.Options{}); err == nil {
			_, _ = r.Verify(t.Context()) // any answer is fine, a panic is not
		}
	})
}
