package cutover_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

func TestC20_ChecksAreAwaitedAndNeverAssumed(t *testing.T) {
	w := newWorld(t)
	w.opts.Times.Ready = migration.Duration(time.Minute)
	k := &ticker{world: w, at: w.clock.Now().Add(20 * time.Second), then: func() { w.green.status.Store(http.StatusOK) }}
	w.opts.Clock = k
	w.green.status.Store(http.StatusServiceUnavailable)
	began := w.clock.Now()
	gates, err := cutover.WaitForChecks(t.Context(), cutover.CheckOptions{Options: w.opts, App: "shop", Side: "green"})
	if err != nil || cutover.Verdict(gates) != cutover.Passed {
		t.Fatalf("gates = %+v, %v", gates, err)
	}
	if took := w.clock.Now().Sub(began); took != 20*time.Second {
		t.Errorf("passed after %s, green was ready after 20s", took)
	}
	w.green.status.Store(http.StatusServiceUnavailable)
	if _, err := cutover.WaitForChecks(t.Context(), cutover.CheckOptions{Options: w.opts, App: "shop", Side: "green"}); !errors.Is(err, cutover.ErrGate) {
		t.Errorf("err = %v, want ErrGate at the limit", err)
	}
}
