package synckill

import (
	"context"
	"errors"
	"fmt"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// Options of a Killer. Dir is needed; it holds the trials that fail.
type Options struct {
	Dir string
	// Program is the command; empty builds it.
	Program string
	// Seed of what is in the source.
	Seed uint64
	// To are the destinations.
	To []Destination
	// Parallel is how many trials run at once; 0 is 4.
	Parallel int
	// Say gets a line for what takes long, and for each trial that fails.
	Say func(format string, args ...any)
}

// Killer has the servers, and the unbroken runs to compare with.
type Killer struct {
	opts   Options
	source *front
	at     map[Destination]*storeAt
	want   map[string]thing
	whole  map[Destination]measure
	stops  []func(context.Context) error
}

// Start starts the servers, fills the source, and makes an unbroken run to each destination.
func Start(ctx context.Context, opts Options) (_ *Killer, err error) {
	if opts.Parallel == 0 {
		opts.Parallel = 4
	}
	k := &Killer{opts: opts, at: map[Destination]*storeAt{}, whole: map[Destination]measure{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, err
	}
	if k.opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if opts.Program == "" {
		k.opts.Program = filepath.Join(k.opts.Dir, "crossfade")
		build := exec.CommandContext(ctx, "go", "build", "-o", k.opts.Program, "github.com/crossfade-project/crossfade/cmd/crossfade")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the command: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	if err := k.startSource(ctx); err != nil {
		return nil, err
	}
	for _, to := range opts.To {
		if err := k.startStore(ctx, to); err != nil {
			return nil, fmt.Errorf("start %s: %w", to, err)
		}
		if err := k.unbroken(ctx, to); err != nil {
			return nil, fmt.Errorf("an unbroken run to %s: %w", to, err)
		}
	}
	return k, nil
}

// Stop ends the servers.
func (k *Killer) Stop(ctx context.Context) error {
	var failed []error
	for i := len(k.stops) - 1; i >= 0; i-- {
		failed = append(failed, k.stops[i](ctx))
	}
	return errors.Join(failed...)
}

func (k *Killer) startSource(ctx context.Context) error {
	fake := s3fake.Start(s3fake.Options{})
	k.source = newFront(fake)
	k.stops = append(k.stops, func(context.Context) error { k.source.server.Close(); fake.Close(); return nil })
	client, err := connect(fake.URL(), "key", "secret")
	if err != nil {
		return err
	}
	if err := client.MakeBucket(ctx, "source", minio.MakeBucketOptions{}); err != nil {
		return fmt.Errorf("make the source: %w", err)
	}
	k.want, err = corpus(ctx, fake.URL(), k.opts.Seed)
	return err
}

func connect(endpoint, key, secret string) (*minio.Core, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return minio.NewCore(u.Host, &minio.Options{Creds: credentials.NewStaticV4(key, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
}

func (k *Killer) startStore(ctx context.Context, to Destination) (err error) {
	at := &storeAt{key: "key", secret: "secret"}
	switch to {
	case Directory:
		return nil
	case Fake:
		fake := s3fake.Start(s3fake.Options{})
		at.front = newFront(fake)
		k.stops = append(k.stops, func(context.Context) error { at.front.server.Close(); fake.Close(); return nil })
		at.client, err = connect(fake.URL(), at.key, at.secret)
	case MinIO:
		var server *store.Server
		if server, err = store.Start(ctx, store.MinIO, store.Options{Dir: filepath.Join(k.opts.Dir, "minio")}); err != nil {
			return err
		}
		target, perr := url.Parse(server.Endpoint)
		if perr != nil {
			return perr
		}
		at.key, at.secret = server.AccessKey, server.SecretKey
		at.front = newFront(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // which is signed
		}})
		k.stops = append(k.stops, func(ctx context.Context) error { at.front.server.Close(); return server.Stop(ctx) })
		at.client, err = connect(server.Endpoint, at.key, at.secret)
	}
	k.at[to] = at
	return err
}

// unbroken counts the requests of a run that nobody kills, and takes its time.
func (k *Killer) unbroken(ctx context.Context, to Destination) error {
	t, err := k.newTrial(ctx, "unbroken-"+string(to), to)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := t.run(ctx, 0, "", 0); err != nil {
		return err
	}
	k.whole[to] = measure{requests: t.watch.requests, time: time.Since(began)}
	k.opts.Say("an unbroken run to %s: %d requests, %s", to, k.whole[to].requests, k.whole[to].time.Round(time.Millisecond))
	return t.look(ctx)
}

// Outcome is what became of a trial.
type Outcome struct {
	Point Point
	Kills int
	Err   error // nil where it converged
}

// Kill runs a trial for each point, several at once.
func (k *Killer) Kill(ctx context.Context, points []Point, tell func(Outcome)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(k.opts.Parallel)
	var mu sync.Mutex
	for _, p := range points {
		group.Go(func() error {
			t, err := k.newTrial(ctx, fmt.Sprintf("trial-%03d", p.Number), p.To)
			if err == nil {
				err = t.kill(ctx, p, k.whole[p.To])
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				err = k.remove(ctx, t)
			}
			mu.Lock()
			defer mu.Unlock()
			tell(Outcome{Point: p, Kills: t.kills, Err: err})
			return nil
		})
	}
	return group.Wait()
}

// remove takes away what a trial that converged has left, so that memory and disk stay bounded.
func (k *Killer) remove(ctx context.Context, t *trial) error {
	if t.to != Directory {
		client := k.at[t.to].client
		for key := range k.want {
			if err := client.RemoveObject(ctx, t.name, key, minio.RemoveObjectOptions{}); err != nil {
				return fmt.Errorf("clear %s: %w", t.name, err)
			}
		}
	}
	return os.RemoveAll(t.dir)
}
