package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/internal/budget"
	"github.com/crossfade-project/crossfade/bucketsync/internal/pace"
)

// engine is one call of Plan, Apply, Verify or Delta on one range of one pair of buckets.
type engine struct {
	opts             Options
	from, to         bucket.Bucket // with retries
	fromCaps, toCaps bucket.Capabilities
	patience         patience
	manifest         *manifest
	uploads          *uploads
	ledger           *ledger
	shapes           *shapes
	memory           *budget.Budget
	streams          chan struct{} // one for each object that passes through in parts
	progress         *progress
	comparison       *comparison // nil but for a Verify, or a proof, that somebody listens to
	gate             *pace.Gate
	ramp             *pace.Ramp
	strain           *strain
	declined         atomic.Bool   // no copies within the server of both sides, after one was refused
	limiter          *rate.Limiter // of bandwidth; nil is no bound
	// destinationMissing: planning on a destination that is yet to be made.
	destinationMissing bool
	// kinship is what the names of both ends tell.
	kinship kinship
	kin     *kin  // nil but for a plan
	echo    *echo // nil where the destination is known to lie beside the source
	// expected is how many keys a proof is going to compare, as planned; 0 is not known.
	expected int64
	// leftOut counts the keys of the source that the choice of keys has left out, since a survey began.
	leftOut atomic.Int64
	// done is what a plan leaves out, as the run will that it is of.
	done []stretch

	mu     sync.Mutex
	result Result

	hashes *sync.Pool  // of BLAKE3
	guards *guardsOnce // of the destination

	versions *versions // nil where current objects alone are copied
	// version is the source's version that this engine sees (see at), and entered what it remembered last.
	version string
	entered Record
	// afterMarker says that the destination's last version is a delete marker. Not every server takes that for absence when a write
	// is to happen only where nothing is; it is looked at instead (see stillAt), and no write of somebody else's is lost, since all are kept.
	afterMarker bool
}

// begin is newEngine, once both stores were asked what their capabilities rest on.
func begin(ctx context.Context, opts Options) (*engine, error) {
	for _, b := range []bucket.Bucket{opts.From, opts.To} {
		if b == nil {
			continue
		}
		if err := bucket.Probe(ctx, b); err != nil {
			return nil, err
		}
	}
	return newEngine(opts)
}

// newEngine needs options with their defaults.
func newEngine(opts Options) (*engine, error) {
	if opts.From == nil || opts.To == nil {
		return nil, errors.New("both buckets must be given")
	}
	if !isIdentity(opts.Hash) {
		return nil, fmt.Errorf("no hash of content is known as %q: choose %s or %s", opts.Hash, bucket.BLAKE3, bucket.SHA256)
	}
	borne := &strain{}
	p := patience{clock: opts.Clock, log: opts.Log, strain: borne, asked: opts.Asked}
	source, destination := p, p
	source.of, destination.of = &borne.source, &borne.destination
	limiter := newLimiter(opts.Bandwidth)
	e := &engine{
		limiter: limiter,
		opts:    opts, from: retrying{through(opts.From, limiter, opts.Clock), source}, to: retrying{through(opts.To, limiter, opts.Clock), destination},
		fromCaps: opts.From.Describe(), toCaps: opts.To.Describe(), patience: p,
		ledger: &ledger{}, shapes: &shapes{}, memory: opts.memory(), progress: &progress{tell: opts.Progress},
		result: Result{Evidence: map[Evidence]int64{}}, guards: &guardsOnce{}, hashes: &sync.Pool{},
	}
	e.strain = borne
	e.strain.begun, e.strain.before = e.told(), e.madeAgain()
	e.gate = pace.NewGate(pace.Options{Fixed: opts.Concurrency}, opts.Clock, e.throttles)
	e.ramp = pace.NewRamp(e.toCaps.FirstWrites, opts.Clock)
	e.streams = make(chan struct{}, max(1, e.memory.Total()/streamBytes))
	var err error
	if e.manifest, err = openManifest(opts.Manifest, opts.TempDir, e.fromCaps, e.toCaps); err != nil {
		return e, err
	}
	if opts.Versions {
		if e.versions, err = e.openVersions(); err != nil {
			return e, err
		}
	}
	e.uploads, err = loadUploads(opts.Manifest, e.manifest.header)
	return e, err
}

// strain is how the stores bore what was asked of them.
type strain struct {
	retries atomic.Int64
	slow    atomic.Int64 // of those, after a request to slow down
	begun   int64        // what the stores had told of throttles before
	before  int64        // and of requests that SDKs made again

	source, destination outage
}

// told is how many throttles the drivers tell of since they were opened.
func (e *engine) told() (n int64) {
	for _, b := range []bucket.Bucket{e.opts.From, e.opts.To} {
		if t, ok := b.(bucket.Throttled); ok {
			n += t.Throttles()
		}
	}
	return n
}

// madeAgain is how many requests the SDKs of both stores have made again by themselves.
func (e *engine) madeAgain() (n int64) {
	for _, b := range []bucket.Bucket{e.opts.From, e.opts.To} {
		if r, ok := b.(bucket.Retried); ok {
			n += r.Retries()
		}
	}
	return n
}

// retries is how many requests were made again, by the engine or by an SDK.
func (e *engine) retries() int64 { return e.strain.retries.Load() + e.madeAgain() - e.strain.before }

// throttles is how many answers have asked to slow down: as the drivers tell, and where they tell of none, as was seen here.
func (e *engine) throttles() int64 { return max(e.told()-e.strain.begun, e.strain.slow.Load()) }

// moved tells of an object that was copied.
func (e *engine) moved(size int64) {
	e.progress.change(func(p *Progress) {
		p.Objects++
		p.Bytes += size
		e.borne(p)
	})
}

// failed tells of an object that could not be copied.
func (e *engine) failed() {
	e.progress.change(func(p *Progress) {
		p.Failures++
		e.borne(p)
	})
}

// borne says how the stores bear what is asked of them.
func (e *engine) borne(p *Progress) {
	p.Retries, p.Throttles, p.UnderWay = e.retries(), e.throttles(), e.gate.Limit()
}

// tally changes the result under its lock.
func (e *engine) tally(change func(*Result)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.result)
}

func (e *engine) conflictError(key, what string) error {
	return &ConflictError{Op: "copy", Key: key, What: what, Writer: e.opts.writer(), Hint: e.conflictMend()}
}

// conflictMend says what helps against an object that somebody else wrote.
func (e *engine) conflictMend() string {
	if e.opts.back {
		return "it changed on both sides since they were equal: take away the version that is not wanted, or leave the destination's as it is" + e.opts.said("", ": --conflict skip")
	}
	return "move it away, or say that it is to be overwritten or skipped" + e.opts.said("", ": --conflict overwrite, or --conflict skip")
}

// orphaned reports whether the destination's object changed since both sides were equal and the source's was deleted: where
// changes are brought back, both sides have then changed it.
func (e *engine) orphaned(p pair, v verdict) bool {
	return e.opts.back && v == extraForeign && p.rec != nil && p.rec.State == StateCopied
}

// unfit says why a store cannot hold an object under its key, or "".
func unfit(obj bucket.Object, caps bucket.Capabilities) string {
	if caps.MaxObjectSize > 0 && obj.Size > caps.MaxObjectSize {
		return fmt.Sprintf("it has %d bytes and an object at the destination has at most %d", obj.Size, caps.MaxObjectSize)
	}
	if caps.MaxKeyLength > 0 && len(obj.Key) > caps.MaxKeyLength {
		return fmt.Sprintf("its key has %d bytes and a key at the destination has at most %d", len(obj.Key), caps.MaxKeyLength)
	}
	if caps.FoldersEmpty && obj.Size > 0 && strings.HasSuffix(obj.Key, "/") {
		return "it has content, and its key ends with a slash: the destination takes it for a folder"
	}
	if caps.KeyProblem != nil {
		return caps.KeyProblem(obj.Key)
	}
	return ""
}
