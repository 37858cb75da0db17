package bucketsync

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
)

func TestB14_ASlowStoreIsServedMoreSlowlyAndEverythingArrives(t *testing.T) {
	r := newRig(t)
	now := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r.opts.Clock = now
	for i := range 60 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "content")
	}
	puts := 0
	r.to.before = func(op, _ string) error {
		if op != "put" {
			return nil
		}
		r.to.mu.Lock()
		defer r.to.mu.Unlock()
		if puts++; puts%4 == 0 {
			return fmt.Errorf("busy: %w", bucket.ErrSlowDown)
		}
		return nil
	}
	fewest := 1000
	var last Progress
	r.opts.Progress = func(p Progress) { fewest, last = min(fewest, p.UnderWay), p }
	result := r.mustSync(t)
	r.wantEqual(t)
	if result.Retries == 0 || result.Throttles == 0 || last.Throttles == 0 || last.Retries == 0 {
		t.Errorf("the result tells of %d retries and %d throttles, the progress of %d and %d", result.Retries, result.Throttles, last.Retries, last.Throttles)
	}
	if fewest >= 8 {
		t.Errorf("never fewer than %d objects were under way", fewest)
	}
	for _, pause := range now.Slept() {
		if pause > maxPause+time.Second {
			t.Errorf("a pause of %s", pause)
		}
	}
}

func TestB14_WritesBeginAtTheRateOfTheStoreAndRepeatAfterItsInterval(t *testing.T) {
	r := newRig(t)
	now := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r.opts.Clock, r.opts.Concurrency = now, 1
	const objects, perSecond = 100, 10
	r.to.caps = func(c *bucket.Capabilities) { c.FirstWrites, c.WriteInterval = perSecond, time.Second }
	for i := range objects {
		r.from.write(t, fmt.Sprintf("k%02d", i), "content")
	}
	written := map[string][]time.Time{}
	r.to.before = func(op, key string) error {
		if op != "put" {
			return nil
		}
		r.to.mu.Lock()
		defer r.to.mu.Unlock()
		if written[key] = append(written[key], now.Now()); key == "k50" && len(written[key]) == 1 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	begin := now.Now()
	r.mustSync(t)
	if took := now.Now().Sub(begin); took < objects/perSecond*time.Second*9/10 {
		t.Errorf("%d writes took %s at %d a second", objects, took, perSecond)
	}
	if w := written["k50"]; len(w) != 2 || w[1].Sub(w[0]) < time.Second {
		t.Errorf("one object was written at %v", w)
	}
}

func TestBandwidthIsBounded(t *testing.T) {
	r := newRig(t)
	now := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r.opts.Clock, r.opts.Bandwidth = now, 100_000
	for i := range 20 {
		r.from.write(t, fmt.Sprintf("k%02d", i), strings.Repeat("x", 50_000))
	}
	begin := now.Now()
	r.mustSync(t)
	r.wantEqual(t)
	if took := now.Now().Sub(begin); took < 9*time.Second || took > 60*time.Second {
		t.Errorf("1 MB took %s at 100 kB a second", took)
	}
}

func TestB19_LargeObjectsShareTheMemory(t *testing.T) {
	r := newRig(t)
	r.opts.MaxBytes, r.opts.Concurrency = 2*streamBytes, 8
	for i := range 8 {
		r.from.write(t, fmt.Sprintf("k%d", i), strings.Repeat("x", smallObject+i+1))
	}
	open, most := 0, 0
	change := func(by int) {
		r.to.mu.Lock()
		defer r.to.mu.Unlock()
		open += by
		most = max(most, open)
	}
	r.to.before = func(op, _ string) error {
		if op == "put" {
			change(1)
		}
		return nil
	}
	r.to.stored = func(*bucket.PutOptions, *[]byte) { change(-1) }
	r.mustSync(t)
	r.wantEqual(t)
	if most > 2 {
		t.Errorf("%d large objects were under way, of 2 that there is memory for", most)
	}
}

// BenchmarkCopySmall copies objects of 4 KiB from memory to memory: what is left is the engine's own.
func BenchmarkCopySmall(b *testing.B) {
	r := newRig(b)
	content := strings.Repeat("x", 4<<10)
	for i := range b.N {
		r.from.write(b, fmt.Sprintf("k%08d", i), content)
	}
	b.ReportAllocs()
	b.ResetTimer()
	r.mustSync(b)
}

func BenchmarkHash(b *testing.B) {
	content := make([]byte, 1<<20)
	for name, wanted := range map[string][]bucket.Algorithm{"identity": nil, "small": {bucket.MD5}, "large": {bucket.CRC64NVME}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				s := newSums(wanted...)
				_, _ = s.Write(content)
			}
		})
	}
}
