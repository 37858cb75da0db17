package buckettest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

func filled(t *testing.T, keys ...string) *memory.Bucket {
	t.Helper()
	b, err := memory.Open(t.Context(), memory.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if _, err := b.Put(t.Context(), key, strings.NewReader("of "+key), int64(len("of "+key)), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// A wrapper without faults passes the whole suite.
func TestFaultyWithoutFaults(t *testing.T) {
	buckettest.Run(t, buckettest.Driver{NoCredentials: true, Unlimited: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		below, err := memory.Open(t.Context(), memory.Options{Name: at.Bucket, Absent: true})
		return struct {
			*buckettest.Faulty
			bucket.Maker
		}{buckettest.NewFaulty(below), below}, err
	}})
}

func TestFaultyListing(t *testing.T) {
	broken := errors.New("broken")
	b := buckettest.NewFaulty(filled(t, "a", "b", "c"),
		buckettest.Fault{Op: buckettest.List, Times: 1, After: 2, Err: broken}, buckettest.Fault{Op: buckettest.List, Times: 1, Reverse: true})
	if got := b.Describe().Provider; got != "faulty memory" {
		t.Errorf("the wrapper calls itself %q", got)
	}
	for _, want := range []string{"ab!", "cba", "abc"} {
		var got string
		for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
			got += obj.Key
			if err != nil {
				got += "!"
				if !errors.Is(err, broken) {
					t.Error(err)
				}
			}
		}
		if got != want {
			t.Errorf("the listing is %s, want %s", got, want)
		}
	}
	if n := b.Calls(buckettest.List); n != 3 {
		t.Errorf("%d listings were counted", n)
	}
}

func TestFaultyBodies(t *testing.T) {
	b := buckettest.NewFaulty(filled(t, "a", "b"),
		buckettest.Fault{Op: buckettest.Open, Key: "a", Times: 1, After: 2, Err: io.ErrUnexpectedEOF},
		buckettest.Fault{Op: buckettest.Open, Key: "a", Times: 1, Err: bucket.ErrSlowDown},
		buckettest.Fault{Op: buckettest.Open, Key: "b", After: 3, Flip: true})
	for i, want := range []struct {
		key, text string
		err       error
	}{{"a", "of", io.ErrUnexpectedEOF}, {"a", "", bucket.ErrSlowDown}, {"a", "of a", nil}, {"b", "of c", nil}} {
		body, _, err := b.Open(t.Context(), want.key, bucket.ReadOptions{})
		var text []byte
		if err == nil {
			text, err = io.ReadAll(body)
			err = errors.Join(err, body.Close())
		}
		if string(text) != want.text || !errors.Is(err, want.err) {
			t.Errorf("read %d is %q, %v, want %q, %v", i, text, err, want.text, want.err)
		}
	}
}

func TestFaultyWrites(t *testing.T) {
	below := filled(t)
	waited := 0
	b := buckettest.NewFaulty(below,
		buckettest.Fault{Op: buckettest.Put, Times: 1, Err: bucket.ErrPrecondition},
		buckettest.Fault{Op: buckettest.Put, Times: 1, Err: bucket.ErrSlowDown, Lost: true},
		buckettest.Fault{Op: buckettest.Head, Wait: func(context.Context, string) error { waited++; return nil }},
		buckettest.Fault{Op: buckettest.Delete, Skip: 1, Err: bucket.ErrDenied})
	put := func() error {
		_, err := b.Put(t.Context(), "a", strings.NewReader("x"), 1, bucket.PutOptions{})
		return err
	}
	if err := put(); !errors.Is(err, bucket.ErrPrecondition) {
		t.Error(err)
	}
	if _, err := b.Head(t.Context(), "a"); !errors.Is(err, bucket.ErrNotExist) || waited != 1 {
		t.Errorf("after a refused put: %v, waited %d times", err, waited)
	}
	if err := put(); !errors.Is(err, bucket.ErrSlowDown) {
		t.Error(err)
	}
	if _, err := below.Head(t.Context(), "a"); err != nil {
		t.Errorf("a put whose answer is lost has not happened: %v", err)
	}
	if err := b.Delete(t.Context(), bucket.Object{Key: "a"}); err != nil {
		t.Error(err)
	}
	if err := b.Delete(t.Context(), bucket.Object{Key: "a"}); !errors.Is(err, bucket.ErrDenied) {
		t.Error(err)
	}
}
