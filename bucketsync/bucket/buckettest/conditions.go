package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// checkPins copies in two ranges and overwrites between them, and within a read.
func checkPins(t *testing.T, d Driver) {
	b := fresh(t, d)
	const size = 6 << 20 // more than what a connection holds on its way
	before, after := bytes.Repeat([]byte("a"), size), bytes.Repeat([]byte("b"), size)
	put(t, b, "key", before, bucket.PutOptions{})
	pin := head(t, b, "key")
	first, _, err := read(t.Context(), b, "key", bucket.ReadOptions{Pin: pin, Length: size / 2})
	if err != nil {
		t.Fatal(err)
	}
	body, seen, err := b.Open(t.Context(), "key", bucket.ReadOptions{Pin: pin})
	if err != nil || seen.ETag != pin.ETag {
		t.Fatalf("the pinned object is not what it was: %+v, %v", seen, err)
	}
	begun := make([]byte, 1000)
	if _, err := io.ReadFull(body, begun); err != nil {
		t.Fatal(err)
	}

	put(t, b, "key", after, bucket.PutOptions{})

	rest, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err == nil && !bytes.Equal(append(begun, rest...), before) {
		t.Error("a read that began before the overwrite ends without an error and is not the old object")
	}
	for name, opts := range map[string]bucket.ReadOptions{
		"second range": {Pin: pin, Offset: size / 2}, "bounded range": {Pin: pin, Offset: size / 2, Length: 10}, "whole": {Pin: pin},
	} {
		second, _, err := read(t.Context(), b, "key", opts)
		if err == nil {
			t.Errorf("%s: a pinned read of an overwritten object gives %q…%q", name, first[:1], second[:1])
			continue
		}
		if !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("%s: got %v, want %v", name, err, bucket.ErrPrecondition)
		}
	}
	wantContent(t, b, "key", after)
	if err := b.Delete(t.Context(), head(t, b, "key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t.Context(), b, "key", bucket.ReadOptions{Pin: pin}); !errors.Is(err, bucket.ErrNotExist) && !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a pinned read of a deleted object: %v", err)
	}
}

func checkConditions(t *testing.T, d Driver) {
	b := fresh(t, d)
	caps := b.Describe()
	for _, size := range d.sizes() {
		key := fmt.Sprint("key", size)
		one, two, three := data(1, size), data(2, size), data(3, size)
		try := func(content []byte, opts bucket.PutOptions) error {
			_, err := b.Put(t.Context(), key, bytes.NewReader(content), size, opts)
			return err
		}
		if caps.ConditionalWrite {
			gone := bucket.Object{Key: key, ETag: "0123456789abcdef0123456789abcdef", Version: "12345"}
			wantError(t, try(one, bucket.PutOptions{IfMatch: gone}), bucket.ErrPrecondition)
		}
		if caps.ConditionalPut {
			if err := try(one, bucket.PutOptions{IfAbsent: true}); err != nil {
				t.Fatal(err)
			}
			wantError(t, try(two, bucket.PutOptions{IfAbsent: true}), bucket.ErrPrecondition)
		} else {
			put(t, b, key, one, bucket.PutOptions{})
		}
		wantContent(t, b, key, one)
		old := head(t, b, key)
		put(t, b, key, two, bucket.PutOptions{IfMatch: old})
		if caps.ConditionalWrite {
			wantError(t, try(three, bucket.PutOptions{IfMatch: old}), bucket.ErrPrecondition)
			wantContent(t, b, key, two)
		}
		// What Put acknowledged serves as a condition too.
		acknowledged := put(t, b, key, one, bucket.PutOptions{})
		put(t, b, key, three, bucket.PutOptions{IfMatch: acknowledged})
		wantContent(t, b, key, three)
	}
}

// checkRace lets several writers create one key at once.
func checkRace(t *testing.T, d Driver) {
	b := fresh(t, d)
	if !b.Describe().ConditionalPut {
		t.Fatal("every store so far creates on condition; teach the suite what holds where one does not")
	}
	var won, lost atomic.Int32
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			_, err := b.Put(t.Context(), "key", bytes.NewReader(data(uint64(i), 5000)), 5000, bucket.PutOptions{IfAbsent: true})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, bucket.ErrPrecondition):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers created the key, %d were refused", won.Load(), lost.Load())
	}
}

func checkDelete(t *testing.T, d Driver) {
	b := fresh(t, d)
	put(t, b, "key", []byte("one"), bucket.PutOptions{})
	old := head(t, b, "key")
	put(t, b, "key", []byte("two"), bucket.PutOptions{})
	wantError(t, b.Delete(t.Context(), old), bucket.ErrPrecondition)
	wantContent(t, b, "key", []byte("two"))
	var listed bucket.Object
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = obj
	}
	for range 2 { // deleting what is not there is no error
		if err := b.Delete(t.Context(), listed); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), bucket.Object{Key: "never"}); err != nil {
		t.Error(err)
	}
	if _, err := b.Head(t.Context(), "key"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("head after delete: %v", err)
	}
	if found := keys(t, b, bucket.ListOptions{}); len(found) != 0 {
		t.Errorf("after delete the listing shows %q", found)
	}
}

func checkContext(t *testing.T, d Driver) {
	b := fresh(t, d)
	const size = 6 << 20
	put(t, b, "key", data(1, size), bucket.PutOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	body, _, err := b.Open(ctx, "key", bucket.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err == nil && len(got) < size {
		t.Errorf("a read whose context ended stops after %d bytes without an error", len(got))
	}
	if _, err := b.Put(ctx, "other", bytes.NewReader(data(1, size)), size, bucket.PutOptions{}); err == nil {
		t.Error("a put whose context ended is acknowledged")
	}
	failed := false
	for _, err := range b.List(ctx, bucket.ListOptions{}) {
		failed = failed || err != nil
	}
	if !failed {
		t.Error("a listing whose context ended ends without an error")
	}
	if found := keys(t, b, bucket.ListOptions{}); len(found) != 1 {
		t.Errorf("the listing shows %q", found)
	}
}
