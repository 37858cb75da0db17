package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/e2e/score"
)

// A work is what is measured: an operation on a set of objects, done by each contender in turn.
type work struct {
	name, title string
	peers       []string
	operation   operation
	// again measures the second run on the same destination; the first is not counted.
	again bool
	// source and destination are made by these; a destination is fresh for each contender and round.
	source      func(ctx context.Context, w *world) (place, error)
	destination func(ctx context.Context, w *world) (place, error)
	rounds      int
	targets     []target
}

// Options choose what is measured. Tools is needed.
type Options struct {
	Tools Tools
	// Keys is the command that compares synthetic keys: see CompareKeys.
	Keys []string
	// Dir gets the servers' data; it is removed at the end.
	Dir string
	// Only chooses works by name; nil chooses all.
	Only *regexp.Regexp
	// Rounds replaces each work's own number where it is not 0.
	Rounds int
	Log    *slog.Logger
	// Say hears of each figure.
	Say func(format string, args ...any)
}

// from is a bucket of a MinIO server, which all contenders read from.
func from(n int, size int64) func(context.Context, *world) (place, error) {
	return func(ctx context.Context, w *world) (place, error) {
		s, err := w.server(ctx, "from", store.MinIO)
		if err != nil {
			return place{}, err
		}
		p, err := w.makeBucket(ctx, s)
		if err != nil {
			return p, err
		}
		return p, w.fill(ctx, p, n, size)
	}
}

func to(kind store.Kind) func(context.Context, *world) (place, error) {
	return func(ctx context.Context, w *world) (place, error) {
		s, err := w.server(ctx, "to-"+string(kind), kind)
		if err != nil {
			return place{}, err
		}
		return w.makeBucket(ctx, s)
	}
}

// padded is a number with zeros before it: Sprintf would make the fake server the bottleneck.
func padded(n, width int) string {
	const zeros = "00000000000000000000000000000000"
	digits := strconv.Itoa(n)
	return zeros[:max(0, width-len(digits))] + digits
}

// synthetic is a bucket of a fake S3 server with keys that take no memory: a listing of a real server would be the bottleneck.
func synthetic(n int) func(context.Context, *world) (place, error) {
	return func(_ context.Context, w *world) (place, error) {
		fake := s3fake.Start(s3fake.Options{})
		fake.Fill("bench", s3fake.Synthetic{
			N:    n,
			Key:  func(i int) string { return "dir-" + padded(i/1000, 4) + "/object-" + padded(i, 8) },
			Size: func(i int) int64 { return int64(i % 10_000) },
			ETag: func(i int) string { return padded(i, 32) },
		})
		w.fakes = append(w.fakes, fake)
		return place{server: &store.Server{Kind: store.VersityGW, Endpoint: fake.URL(), AccessKey: "key", SecretKey: "secret-key", Region: "us-east-1"}, bucket: "bench"}, nil
	}
}

func works() []work {
	const manyObjects, small, medium = 20_000, 4 << 10, 64 << 10
	wall := func(most float64, against string) target {
		return target{figure: wallTime, most: most, against: against}
	}
	cpu := func(most float64, against string) target {
		return target{figure: clientCPU, most: most, against: against}
	}
	memory := func(mib int64) target { return target{figure: peakMemory, most: float64(mib << 20)} }
	return []work{
		{
			name: "small", title: "20,000 objects of 4 KiB, first copy, MinIO to MinIO", peers: []string{rclone, mc}, operation: copyAll, rounds: 3,
			source: from(manyObjects, small), destination: to(store.MinIO),
			targets: []target{wall(0.9, bestPeer), cpu(0.5, mc)},
		},
		{
			name: "large", title: "4 objects of 512 MiB, MinIO to MinIO", peers: []string{rclone, mc}, operation: copyAll, rounds: 5,
			source: from(4, 512<<20), destination: to(store.MinIO),
			targets: []target{wall(1.0, bestPeer), cpu(0.8, mc), memory(128)},
		},
		{
			name: "again", title: "the 20,000 objects again, nothing to do, content-certain", peers: []string{rclone, mc}, operation: copyAll, again: true, rounds: 3,
			source: from(manyObjects, small), destination: to(store.MinIO),
			targets: []target{wall(0.6, mc)},
		},
		{
			name: "list", title: "2 million keys, list and compare, both sides a fake S3 server", peers: []string{rclone}, operation: compareSizes, rounds: 2,
			source: synthetic(2_000_000), destination: synthetic(2_000_000),
			targets: []target{wall(1.0/3, rclone)},
		},
		{
			name: "keys", title: "100 million synthetic keys through the compare engine", operation: compareKeys, rounds: 1,
			targets: []target{{figure: pairRate, most: 1e6}, memory(256), {figure: growth, most: 0.1}},
		},
		{
			name: "azure", title: "5,000 objects of 64 KiB, MinIO to Azurite", peers: []string{rclone}, operation: copyAll, rounds: 3,
			source: from(5000, medium), destination: to(store.Azurite),
			targets: []target{wall(1.05, rclone), cpu(0.5, rclone), memory(128)},
		},
		{
			name: "gcs", title: "5,000 objects of 64 KiB, MinIO to fake-gcs-server", peers: []string{rclone}, operation: copyAll, rounds: 3,
			source: from(5000, medium), destination: to(store.FakeGCS),
			targets: []target{wall(1.05, rclone), cpu(0.5, rclone), memory(128)},
		},
	}
}

// Run measures the chosen works and returns a verdict on each target.
func Run(ctx context.Context, o Options) (verdicts []score.Verdict, err error) {
	w := &world{dir: o.Dir, log: o.Log, servers: map[string]*store.Server{}}
	defer func() { err = errors.Join(err, w.stop(context.WithoutCancel(ctx))) }()
	for _, work := range works() {
		if o.Only != nil && !o.Only.MatchString(work.name) {
			continue
		}
		figures, err := o.measure(ctx, w, work)
		if err != nil {
			return verdicts, fmt.Errorf("measure %s: %w", work.name, err)
		}
		for _, t := range work.targets {
			v := t.judge(work, figures)
			o.Say("%s", v)
			verdicts = append(verdicts, v)
		}
	}
	return verdicts, nil
}

// measure lets the contenders take turns, and another one begin in each round.
func (o Options) measure(ctx context.Context, w *world, work work) (map[string]Measure, error) {
	o.Say("%s: %s", work.name, work.title)
	if work.operation == compareKeys {
		m, err := runKeys(ctx, o.Keys)
		if err == nil {
			o.Say("  %-9s  %s", ours, m)
		}
		return map[string]Measure{ours: m}, err
	}
	source, err := work.source(ctx, w)
	if err != nil {
		return nil, err
	}
	rounds := work.rounds
	if o.Rounds > 0 {
		rounds = o.Rounds
	}
	all := map[string][]Measure{}
	contenders := append([]string{ours}, work.peers...)
	for round := range rounds {
		for turn := range contenders {
			name := contenders[(round+turn)%len(contenders)]
			m, err := o.once(ctx, w, work, name, source)
			if err != nil {
				return nil, err
			}
			o.Say("  round %d  %-9s  %s", round+1, name, m)
			all[name] = append(all[name], m)
		}
	}
	if err := w.drop(ctx, source); err != nil {
		return nil, err
	}
	medians := map[string]Measure{}
	for name, measures := range all {
		medians[name] = median(measures)
	}
	return medians, nil
}

// once measures one contender on a fresh destination.
func (o Options) once(ctx context.Context, w *world, work work, name string, source place) (Measure, error) {
	destination, err := work.destination(ctx, w)
	if err != nil {
		return Measure{}, err
	}
	state := filepath.Join(o.Dir, "state")
	if err := os.RemoveAll(state); err != nil {
		return Measure{}, err
	}
	env, argv := o.Tools.command(name, work.operation, source, destination, state)
	if work.again {
		if _, err := run(ctx, env, argv); err != nil {
			return Measure{}, err
		}
	}
	syscall.Sync() // what the one before, or the filling of the source, has left to be written is not on this one's time
	m, err := run(ctx, env, argv)
	return m, errors.Join(err, w.drop(ctx, destination))
}
