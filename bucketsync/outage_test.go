package bucketsync

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Where a store is gone for good, not every object waits for it through all its tries.
func TestOutage_EndsASyncSoon(t *testing.T) {
	r := newRig(t)
	for i := range 500 {
		r.from.write(t, fmt.Sprintf("k%03d", i), "x")
	}
	p := r.plan(t)
	r.to.before = func(op, _ string) error {
		if op == "put" {
			return syscall.ECONNREFUSED
		}
		return nil
	}
	r.opts.Concurrency = 8
	began := r.opts.Clock.Now()
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v", err)
	}
	if took := r.opts.Clock.Now().Sub(began); took > 5*outageTime {
		t.Errorf("it took %s to give up", took)
	}
	if tries := r.to.count("put"); tries > 300 {
		t.Errorf("a store that is gone was asked %d times", tries)
	}
}

func TestOutage_IsNoAnswerForLong(t *testing.T) {
	now := time.Unix(0, 0)
	var o outage
	for range 10 * outageRequests {
		o.saw(now, syscall.ECONNREFUSED)
	}
	if o.lasts(now.Add(outageTime - 1)) {
		t.Error("it lasts before its time")
	}
	if !o.lasts(now.Add(outageTime)) {
		t.Error("it does not last")
	}
	for _, answer := range []error{nil, bucket.ErrSlowDown, bucket.ErrDenied} {
		o.saw(now, syscall.ECONNREFUSED)
		if o.saw(now, answer); o.lasts(now.Add(time.Hour)) {
			t.Errorf("it lasts behind the answer %v", answer)
		}
	}
	for range outageRequests - 1 {
		o.saw(now, syscall.ECONNREFUSED)
	}
	if o.lasts(now.Add(time.Hour)) {
		t.Error("it lasts after too few requests")
	}
}
