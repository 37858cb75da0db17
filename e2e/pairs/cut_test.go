//go:build unix

package pairs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/network"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// cutsAtOnce are many: most of the time they wait.
const cutsAtOnce = 12

// silent is how long a server may say nothing here.
const silent = 3 * time.Second

// behind opens a bucket of a server by an address other than its own.
func behind(t *testing.T, kind store.Kind, address, name string) bucket.Bucket {
	t.Helper()
	server, limit := shared.get(t, kind), silence.Limit{For: silent}
	endpoint := "http://" + address
	if endpoint == server.Endpoint {
		limit = silence.Limit{} // nothing is cut there, and a busy machine is slow
	}
	var b bucket.Bucket
	var err error
	switch kind {
	case store.VersityGW:
		b, err = s3.Open(t.Context(), s3.Options{
			Bucket: name, Endpoint: endpoint, Region: server.Region, PartSize: partS3, Attempts: 1, Silence: limit,
			Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
		})
	case store.MinIO:
		b, err = minio.Open(t.Context(), minio.Options{
			Bucket: name, Endpoint: endpoint, Region: server.Region, PartSize: partS3, Attempts: 1, Silence: limit,
			Credentials: minio.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
		})
	case store.FakeGCS:
		// One request an object: the emulator adds a chunk that is sent again to what it has, whatever its place.
		b, err = gcs.Open(t.Context(), gcs.Options{
			Bucket: name, Endpoint: endpoint, Project: "test", PartSize: 8 << 20, Attempts: 1, Silence: limit, Credentials: gcs.Credentials{Anonymous: true},
		})
	case store.Azurite:
		b, err = azure.Open(t.Context(), azure.Options{
			Account: server.AccessKey, Container: name, Endpoint: endpoint, PartSize: partAzure, Attempts: 1, Silence: limit,
			Credentials: azure.Credentials{AccountKey: server.SecretKey},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cut is a sync through a proxy that cuts the connections to one end in the middle.
type cut struct {
	kind store.Kind
	end  string // that is cut off: "source" or "destination"
	mode network.Mode
	// forever leaves it cut.
	forever bool
}

func (c cut) String() string {
	text := fmt.Sprintf("%s as %s %s", c.kind, c.end, c.mode)
	if c.forever {
		text += " for ever"
	}
	return text
}

// TestB13_ACutConnectionLeavesNoSilentGap cuts real connections to real servers in the middle of a sync: resets them, stalls
// them, drops their packets. A cut that ends is got over; one that does not ends in an error, and the next run finishes.
func TestB13_ACutConnectionLeavesNoSilentGap(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
	var cuts []cut
	for _, kind := range []store.Kind{store.VersityGW, store.MinIO, store.FakeGCS, store.Azurite} {
		shared.get(t, kind)
		cuts = append(cuts,
			cut{kind: kind, end: "source", mode: network.Reset}, cut{kind: kind, end: "source", mode: network.Stalled},
			cut{kind: kind, end: "destination", mode: network.Reset}, cut{kind: kind, end: "destination", mode: network.Dropped},
			cut{kind: kind, end: "source", mode: network.Reset, forever: true}, cut{kind: kind, end: "destination", mode: network.Reset, forever: true},
		)
	}
	sideBySide(cutsAtOnce, len(cuts), func(i int) {
		t.Run(cuts[i].String(), func(t *testing.T) { cuts[i].run(t, fmt.Sprintf("cut-%02d", i)) })
	})
}

func (c cut) run(t *testing.T, name string) {
	address := strings.TrimPrefix(shared.get(t, c.kind).Endpoint, "http://")
	proxy, err := network.NewProxy(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Close() }() // what is left of its connections says nothing of the test
	direct, through := behind(t, c.kind, address, name), behind(t, c.kind, proxy.Addr(), name)
	other, err := memory.Open(t.Context(), memory.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := direct.(bucket.Maker).Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	opts := bucketsync.Options{
		Migration: "m", Stage: "sync", Name: name, From: other, To: through, Brief: true, Concurrency: 8,
		Manifest: filepath.Join(t.TempDir(), "manifest"), TempDir: t.TempDir(),
	}
	if c.forever {
		opts.Clock = clock.NewFake(time.Unix(1_700_000_000, 0)) // nothing is worth waiting for
	}
	source, destination := bucket.Bucket(other), direct
	if c.end == "source" {
		opts.From, opts.To, source, destination = through, other, direct, other
	}
	want := fill(t, source)
	var once sync.Once
	var healed sync.WaitGroup
	opts.Progress = func(p bucketsync.Progress) {
		if p.Objects < 10 {
			return
		}
		once.Do(func() {
			if err := proxy.Set(c.mode); err != nil {
				t.Error(err)
			}
			if !c.forever {
				healed.Go(func() { heal(t, proxy) })
			}
		})
	}
	err = apply(t.Context(), opts)
	healed.Wait()
	if proxy.Met() == 0 {
		t.Fatal("the cut met nothing: the test tests nothing")
	}
	switch got := contents(t, destination); {
	case c.forever && err == nil:
		t.Error("it ends well although one end is cut off")
	case !c.forever && err != nil:
		t.Errorf("a cut that ended is not got over: %v", err)
	case err == nil && !maps.Equal(got, want):
		t.Errorf("it ends well with %d objects of %d", len(got), len(want))
	}
	if err := proxy.Set(network.Passing); err != nil {
		t.Fatal(err)
	}
	opts.Final, opts.Progress, opts.Clock = true, nil, nil
	if err := apply(t.Context(), opts); err != nil {
		t.Fatalf("the next run: %v", err)
	}
	if got := contents(t, destination); !maps.Equal(got, want) {
		t.Errorf("after the next run there are %d objects of %d", len(got), len(want))
	}
}

// heal lets the proxy pass again once somebody has felt the cut.
func heal(t *testing.T, proxy *network.Proxy) {
	for end := time.Now().Add(time.Minute); proxy.Met() == 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(silent / 4)
	if err := proxy.Set(network.Passing); err != nil {
		t.Error(err)
	}
}

func apply(ctx context.Context, opts bucketsync.Options) error {
	p, err := bucketsync.Plan(ctx, opts)
	if err := errors.Join(err, refusalOf(p)); err != nil {
		return err
	}
	_, err = bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, opts)
	return err
}

func fill(t *testing.T, b bucket.Bucket) map[string]string {
	t.Helper()
	for i := range 50 {
		o := object{key: fmt.Sprintf("k/%03d", i), size: 100 * i}
		if i%20 == 19 {
			o.size = 6 << 20
		}
		body := o.content()
		if _, err := b.Put(t.Context(), o.key, bytes.NewReader(body), int64(len(body)), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return contents(t, b)
}

// contents are the hashes of all objects.
func contents(t *testing.T, b bucket.Bucket) map[string]string {
	t.Helper()
	out := map[string]string{}
	for o, err := range b.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := b.Open(t.Context(), o.Key, bucket.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		_, err = raw.ReadFrom(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		out[o.Key] = fmt.Sprintf("%x", see(raw.Bytes(), nil).sum)
	}
	return out
}
