package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// files is a Store in memory that takes no name that climbs out.
type files map[string][]byte

func (s files) Put(_ context.Context, name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("written outside: %s", name)
	}
	s[name] = data
	return nil
}

func (s files) Get(_ context.Context, name string) ([]byte, error) {
	data, ok := s[name]
	if !ok {
		return nil, ErrNotExist
	}
	return data, nil
}

func (s files) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for n := range s {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// FuzzBlob: whatever the bytes of an object are, reading the archive does not panic, and what verifies reads back as the same
// object after it was written to another archive, which has no name outside of itself.
func FuzzBlob(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"n"},"data":{"a":"<&>"}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"n"},"a":1e3,"b":9223372036854775807,"c":-0.0,"d":[null,{}]}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[]}`))
	f.Add([]byte(`{"kind":"ConfigMap","metadata":{"name":"../../c"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sum := sha256.Sum256(raw)
		hash := hex.EncodeToString(sum[:])
		entry := Entry{Version: "v1", Kind: "ConfigMap", Namespace: "n", Name: "c", Hash: hash, Blob: blobName(hash), Size: int64(len(raw))}
		index, name, _, err := encodeIndex(Index{Format: Format, Revision: 1, Entries: []Entry{entry}})
		if err != nil {
			t.Fatal(err)
		}
		from := files{name: index, entry.Blob: raw}
		r, err := Open(t.Context(), from, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context()); err != nil {
			return
		}
		obj, err := r.Object(t.Context(), entry)
		if err != nil {
			t.Fatalf("it verifies and cannot be read: %v", err)
		}
		to := files{}
		w, err := OpenWriter(t.Context(), to, Options{})
		if err != nil {
			t.Fatal(err)
		}
		written, err := w.Put(t.Context(), Entry{}, obj)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(t.Context(), Index{}); err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), to, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Verify(t.Context()); err != nil {
			t.Fatalf("what was read does not verify after it was written: %v", err)
		}
		back, err := again.Object(t.Context(), written)
		if err != nil || !same(back.Object, obj.Object) {
			t.Fatalf("%v becomes %v, %v", obj.Object, back, err)
		}
	})
}

// same compares JSON: a number is itself, whether it was written as 1000 or 1e3, 0 or -0.
func same(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		for k := range x {
			other, there := y[k]
			ok = ok && there && same(x[k], other)
		}
		return ok && len(x) == len(y)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	return a == b || number(a) && number(b) && float(a) == float(b)
}

func number(v any) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}

func float(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	f, _ := v.(float64)
	return f
}
