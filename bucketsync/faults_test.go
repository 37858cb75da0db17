package bucketsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// faulty is a fault at one end of a sync, and how the sync must end.
type faulty struct {
	name  string
	at    string // "source" or "destination"
	fault s3fake.Fault
	// want is in the error; "" demands success.
	want string
	// late says that success may leave out what the store did not show; the next run brings it.
	late bool
}

const largeKey = "large/one"

func faults() []faulty {
	slow := func(op s3fake.Op, times int) s3fake.Fault {
		return s3fake.Fault{Op: op, Times: times, Status: http.StatusServiceUnavailable, Code: "SlowDown", RetryAfter: "1"}
	}
	expired := func(op s3fake.Op, after int) s3fake.Fault {
		return s3fake.Fault{Op: op, Skip: after, Status: http.StatusBadRequest, Code: "ExpiredToken"}
	}
	all := []faulty{
		{name: "torn read", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Torn: []byte("of another version")}, want: `"k/07"`},
		{name: "torn read of a large object", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: largeKey, Torn: bytes.Repeat([]byte("x"), 6<<20)}, want: `"large/one"`},
		{name: "overwritten while it is read", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Times: 2, Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"}},
		{name: "read that is never the version that was seen", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"}, want: `"k/07"`},
		{name: "write whose condition does not hold", at: "destination", fault: s3fake.Fault{Op: s3fake.Put, Key: "k/07", Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"}, want: `"k/07"`},
		{name: "SlowDown for ever", at: "destination", fault: s3fake.Fault{Op: s3fake.Put, Key: "k/07", Status: http.StatusServiceUnavailable, Code: "SlowDown"}, want: "slow down"},
		{name: "body that is cut, again and again", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Cut: 3}, want: `"k/07"`},
		{name: "body that is short, and says so", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Short: 3}, want: `"k/07"`},
		{name: "large body that is short", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: largeKey, Short: 6 << 20}, want: `"large/one"`},
		{name: "body that is cut once", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: "k/07", Cut: 3, Times: 1}},
		{name: "large body that is cut twice", at: "source", fault: s3fake.Fault{Op: s3fake.Get, Key: largeKey, Cut: 7 << 20, Times: 2}},
		{name: "write that happens and is not acknowledged", at: "destination", fault: s3fake.Fault{Op: s3fake.Put, Lost: true, Times: 5}},
		{name: "upload that is completed and not acknowledged", at: "destination", fault: s3fake.Fault{Op: s3fake.CompleteUpload, Lost: true, Times: 1}},
		{name: "parts whose connections break", at: "destination", fault: s3fake.Fault{Op: s3fake.UploadPart, Reset: true, Times: 2}},
		{name: "parts that no connection survives", at: "destination", fault: s3fake.Fault{Op: s3fake.UploadPart, Reset: true}, want: `"large/one"`},
		{name: "entry of a listing that is late", at: "source", fault: s3fake.Fault{Op: s3fake.List, Hide: "k/07"}, late: true},
		{name: "copy that the listing does not show yet", at: "destination", fault: s3fake.Fault{Op: s3fake.List, Hide: "k/07"}},
		{name: "old copy that the listing does not show yet", at: "destination", fault: s3fake.Fault{Op: s3fake.List, Hide: "old/kept"}},
		{name: "credentials that expire while reading", at: "source", fault: expired(s3fake.Get, 20), want: "ExpiredToken"},
		{name: "credentials that expire while writing", at: "destination", fault: expired(s3fake.Put, 20), want: "ExpiredToken"},
		{name: "credentials that expire while listing", at: "source", fault: expired(s3fake.List, 4), want: "ExpiredToken"},
	}
	for _, at := range []string{"source", "destination"} {
		add := func(name string, f s3fake.Fault, want string) {
			all = append(all, faulty{name: name, at: at, fault: f, want: want})
		}
		for name, order := range map[string]s3fake.Order{"UTF-16": s3fake.UTF16, "folders last": s3fake.FoldersLast, "shuffled": s3fake.Shuffled} {
			add("listing in order "+name, s3fake.Fault{Op: s3fake.List, Order: order}, "")
		}
		add("listing that shows everything twice", s3fake.Fault{Op: s3fake.List, Twice: true}, "")
		skip, wrong := 5, "a size of 25 bytes in one answer"
		if at == "destination" {
			skip, wrong = 2, "its size or digest differs" // it holds less than a page
		}
		add("listing whose sizes are wrong", s3fake.Fault{Op: s3fake.List, Lie: 5}, wrong)
		add("page that is cut once", s3fake.Fault{Op: s3fake.List, Skip: skip, Cut: 300, Times: 1}, "")
		add("pages that are always cut", s3fake.Fault{Op: s3fake.List, Skip: skip, Cut: 300}, "in s3://data")
		add("page that is refused", s3fake.Fault{Op: s3fake.List, Skip: skip, Status: http.StatusForbidden, Code: "AccessDenied"}, "access denied")
		add("SlowDown for listings", slow(s3fake.List, 3), "")
		add("SlowDown for heads", slow(s3fake.Head, 3), "")
	}
	add := func(f faulty) { all = append(all, f) }
	add(faulty{name: "SlowDown for reads", at: "source", fault: slow(s3fake.Get, 6)})
	add(faulty{name: "SlowDown for writes", at: "destination", fault: slow(s3fake.Put, 6)})
	add(faulty{name: "SlowDown for parts", at: "destination", fault: slow(s3fake.UploadPart, 3)})
	add(faulty{name: "SlowDown for tags", at: "source", fault: slow(s3fake.GetTags, 3)})
	return all
}

// ends are two fakes with a bucket each.
type ends struct {
	from, to *s3fake.Server
	opts     bucketsync.Options
}

func newEnds(t *testing.T) *ends {
	t.Helper()
	e := &ends{from: s3fake.Start(s3fake.Options{}), to: s3fake.Start(s3fake.Options{})}
	t.Cleanup(e.from.Close)
	t.Cleanup(e.to.Close)
	open := func(server *s3fake.Server) bucket.Bucket {
		b, err := s3.Open(t.Context(), s3.Options{
			Bucket: "data", Endpoint: server.URL(), Complete: true, Region: "us-east-1", PartSize: 5 << 20, PageSize: 10, Attempts: 1,
			Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"},
		})
		must(t, err)
		must(t, b.Make(t.Context()))
		return b
	}
	e.opts = bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "data", From: open(e.from), To: open(e.to), Delete: true, MaxDelete: new(1.0),
		Manifest: filepath.Join(t.TempDir(), "manifest"), TempDir: t.TempDir(), Clock: clock.NewFake(time.Unix(1_700_000_000, 0)),
	}
	return e
}

func write(t *testing.T, b bucket.Bucket, key, text string) {
	t.Helper()
	_, err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{
		Properties: bucket.Properties{ContentType: "text/plain", Metadata: map[string]string{"owner": "shop"}, Tags: map[string]string{"k": "v"}},
	})
	must(t, err)
}

// fill brings about a sync that has something to copy, to replace, to delete and to leave.
func (e *ends) fill(t *testing.T) {
	t.Helper()
	for _, key := range []string{"old/kept", "old/replaced", "old/gone-1", "old/gone-2"} {
		write(t, e.opts.From, key, "old")
	}
	must(t, e.sync(t.Context(), false))
	must(t, e.opts.From.Delete(t.Context(), bucket.Object{Key: "old/gone-1"}))
	must(t, e.opts.From.Delete(t.Context(), bucket.Object{Key: "old/gone-2"}))
	write(t, e.opts.From, "old/replaced", "new")
	for i := range 50 {
		write(t, e.opts.From, fmt.Sprintf("k/%02d", i), strings.Repeat(fmt.Sprint(i), 20))
	}
	for _, key := range []string{"a", "a/b", "a-b", "o/\uffee", "o/😀", "A/dat1", "A-B", "empty"} {
		write(t, e.opts.From, key, strings.Repeat(key, 20))
	}
	write(t, e.opts.From, largeKey, strings.Repeat("0123456789abcdef", 11<<16))
}

func (e *ends) sync(ctx context.Context, final bool) error {
	opts := e.opts
	opts.Final, opts.Brief = final, true
	p, err := bucketsync.Plan(ctx, opts)
	if err != nil {
		return err
	}
	if err := p.Err(); err != nil {
		return err
	}
	_, err = bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, opts)
	return err
}

// has reads everything that a bucket holds.
func has(t *testing.T, b bucket.Bucket) map[string]string {
	t.Helper()
	out := map[string]string{}
	for o, err := range b.List(t.Context(), bucket.ListOptions{}) {
		must(t, err)
		body, _, err := b.Open(t.Context(), o.Key, bucket.ReadOptions{})
		must(t, err)
		raw, err := io.ReadAll(body)
		must(t, errors.Join(err, body.Close()))
		out[o.Key] = string(raw)
	}
	return out
}

// Each fault of the fake ends in a clear error or in success; what is at the destination is never torn, nothing is deleted by a
// run that failed, and the next run finishes.
func TestB04_B13_NoFaultLeavesASilentGap(t *testing.T) {
	for _, c := range faults() {
		t.Run(c.name+" at the "+c.at, func(t *testing.T) {
			t.Parallel()
			e := newEnds(t)
			e.fill(t)
			before := has(t, e.opts.To)
			server := map[string]*s3fake.Server{"source": e.from, "destination": e.to}[c.at]
			server.Inject(c.fault)
			err := e.sync(t.Context(), false)
			server.Heal()
			source, copied := has(t, e.opts.From), has(t, e.opts.To)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("it ends with %v, want %q", err, c.want)
			}
			for key, text := range copied {
				if text != source[key] && text != before[key] {
					t.Errorf("%q is neither the source's nor as it was", key)
				}
			}
			for key := range before {
				if _, ok := copied[key]; !ok && (err != nil || source[key] != "") {
					t.Errorf("%q was deleted by a run that ended with %v", key, err)
				}
			}
			if err == nil && !c.late && !equal(source, copied) {
				t.Errorf("it ends well, and the destination has %d objects of %d", len(copied), len(source))
			}
			must(t, e.sync(t.Context(), true))
			if copied = has(t, e.opts.To); !equal(source, copied) {
				t.Errorf("after the next run the destination has %d objects of %d", len(copied), len(source))
			}
			if n := e.to.Unfinished(); n != 0 {
				t.Errorf("%d uploads were left unfinished", n)
			}
		})
	}
}

func equal(a, b map[string]string) bool {
	for key, text := range a {
		if b[key] != text {
			return false
		}
	}
	return len(a) == len(b)
}

// A bucket that is deleted in the middle is neither an empty one nor one to make again in silence.
func TestB13_ABucketThatIsDeletedInTheMiddleIsAnError(t *testing.T) {
	for name, final := range map[string]bool{"source": false, "destination": false, "source of a final sync": true, "destination of a final sync": true} {
		t.Run(name, func(t *testing.T) {
			at, _, _ := strings.Cut(name, " ")
			e := newEnds(t)
			e.fill(t)
			before := has(t, e.opts.To)
			server, op := e.from, s3fake.Get
			if at == "destination" {
				server, op = e.to, s3fake.Put
			}
			var gone atomic.Bool
			server.Inject(s3fake.Fault{Op: op, Skip: 10, Times: 1, Wait: func(context.Context, string) error {
				server.Drop("data")
				gone.Store(true)
				return nil
			}})
			err := e.sync(t.Context(), final)
			if !gone.Load() {
				t.Fatal("the bucket was not deleted: the test tests nothing")
			}
			if !errors.Is(err, bucket.ErrNotExist) {
				t.Fatalf("it ends with %v", err)
			}
			if at == "destination" {
				return
			}
			after := has(t, e.opts.To)
			for key := range before {
				if _, ok := after[key]; !ok {
					t.Errorf("%q was deleted at the destination because the source's bucket is gone", key)
				}
			}
		})
	}
}

// When the source's bucket goes after all of it was listed, its objects only seem to be gone one by one: that is no reason to delete their copies.
func TestB13_ASourceThatGoesAfterItsListingDeletesNothing(t *testing.T) {
	e := newEnds(t)
	for _, key := range []string{"a", "gone", "z"} {
		write(t, e.opts.From, key, "old")
	}
	must(t, e.sync(t.Context(), false))
	must(t, e.opts.From.Delete(t.Context(), bucket.Object{Key: "gone"}))
	write(t, e.opts.From, "new", "new")
	e.from.Inject(s3fake.Fault{Op: s3fake.Get, Times: 1, Wait: func(context.Context, string) error {
		e.from.Drop("data")
		return nil
	}})
	err := e.sync(t.Context(), false)
	if !errors.Is(err, bucket.ErrNotExist) || !strings.Contains(err.Error(), "check the source, whose objects vanish") {
		t.Errorf("it ends with %v", err)
	}
	if left := has(t, e.opts.To); len(left) != 3 {
		t.Errorf("the destination has %d objects of 3", len(left))
	}
}

// Whichever page of the source's listing is the first that has no bucket any more, the sync fails and deletes nothing.
func TestB13_ASourceThatGoesWhileItIsListedDeletesNothing(t *testing.T) {
	for skip := 0; ; skip++ {
		e := newEnds(t)
		for i := range 25 {
			write(t, e.opts.From, fmt.Sprintf("k%02d", i), "old")
		}
		must(t, e.sync(t.Context(), false))
		must(t, e.opts.From.Delete(t.Context(), bucket.Object{Key: "k01"}))
		var gone atomic.Bool
		e.from.Inject(s3fake.Fault{Op: s3fake.List, Skip: skip, Times: 1, Wait: func(context.Context, string) error {
			e.from.Drop("data")
			gone.Store(true)
			return nil
		}})
		err := e.sync(t.Context(), false)
		if !gone.Load() {
			if must(t, err); skip < 6 {
				t.Errorf("only %d pages were asked for: the test tests little", skip)
			}
			return
		}
		if err == nil {
			t.Errorf("page %d had no bucket, and the sync ends well", skip)
		}
		if left := has(t, e.opts.To); len(left) != 25 {
			t.Errorf("page %d: the destination has %d objects of 25", skip, len(left))
		}
	}
}
