package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/notify"
	"github.com/crossfade-project/crossfade/internal/program/programtest"
)

func message() notify.Message {
	return notify.Message{
		Version: notify.Version, ID: "abc", Event: "returned", Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Migration: "move", Wave: 2, Applications: []string{"shop"}, Text: "shop went back",
	}
}

// receiver answers with the statuses in their order, and then with 204.
type receiver struct {
	statuses []int
	bodies   []string
	last     http.Header
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.bodies, r.last = append(r.bodies, string(body)), req.Header
	status := http.StatusNoContent
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

func TestAWebhookIsSignedAndTriedAgainWithTheSameBody(t *testing.T) {
	r := &receiver{statuses: []int{503, 429}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	waits := clock.NewFake(time.Now())
	target := notify.Target{Name: "ops", URL: server.URL + "/hook", Secret: "key", Tool: "test", Clock: waits}
	if err := target.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if len(r.bodies) != 3 || r.bodies[0] != r.bodies[2] {
		t.Errorf("it got %q", r.bodies)
	}
	if !slices.Equal(waits.Slept(), []time.Duration{time.Second, 2 * time.Second}) {
		t.Errorf("it waited %v", waits.Slept())
	}
	if got := r.last.Get(notify.HeaderSignature); got != notify.Sign("key", []byte(r.bodies[2])) || !strings.HasPrefix(got, "sha256=") {
		t.Errorf("signature %q", got)
	}
	if r.last.Get(notify.HeaderEvent) != "returned" || r.last.Get(notify.HeaderID) != "abc" || r.last.Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v", r.last)
	}
	var got notify.Message
	if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil || got.ID != "abc" || got.Wave != 2 || got.Text != "shop went back" {
		t.Errorf("it reads %+v, %v", got, err)
	}
}

// HMAC-SHA256 of "The quick brown fox jumps over the lazy dog" under "key": a value that other implementations give, too.
func TestTheSignatureIsThatOfOthers(t *testing.T) {
	if got := notify.Sign("key", []byte("The quick brown fox jumps over the lazy dog")); got != "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8" {
		t.Error(got)
	}
}

func TestI09_AFailureEndsAfterAFewTriesAndKeepsTheURLToItself(t *testing.T) {
	for _, tt := range []struct {
		name     string
		statuses []int
		want     string
		tries    int
	}{
		{"a server that fails", []int{500, 502, 503, 504, 500}, "504 Gateway Timeout", 4},
		{"a hook that is gone", []int{404}, "404 Not Found", 1},
		{"a redirect", []int{302}, "302 Found", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &receiver{statuses: tt.statuses}
			server := httptest.NewServer(r)
			t.Cleanup(server.Close)
			target := notify.Target{Name: "ops", URL: server.URL + "/hidden-token", Clock: clock.NewFake(time.Now())}
			err := target.Send(t.Context(), message())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hidden") || len(r.bodies) != tt.tries {
				t.Errorf("after %d tries: %v", len(r.bodies), err)
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	err := notify.Target{Name: "ops", URL: server.URL + "/hidden-token", Clock: clock.NewFake(time.Now())}.Send(t.Context(), message())
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a server that is gone: %v", err)
	}
}

func TestACommandReadsTheMessage(t *testing.T) {
	dir := t.TempDir()
	target := notify.Target{Name: "own", Dir: dir, Command: []string{"sh", "-c", `cat > got; echo "$CROSSFADE_EVENT $CROSSFADE_ID" >> got`}}
	if err := target.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil || !strings.Contains(string(raw), `"event":"returned"`) || !strings.HasSuffix(string(raw), "\nreturned abc\n") {
		t.Errorf("it read %q, %v", raw, err)
	}
	for _, tt := range []struct {
		command []string
		want    string
		tries   int
	}{
		{[]string{"sh", "-c", "echo x >> tries; exit 3"}, "exit status 3", 4},
		{[]string{"/nowhere/to/be/found"}, "could not be run", 0},
	} {
		err := notify.Target{Name: "own", Dir: dir, Command: tt.command, Clock: clock.NewFake(time.Now())}.Send(t.Context(), message())
		raw, _ := os.ReadFile(filepath.Join(dir, "tries"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || tt.tries > 0 && strings.Count(string(raw), "x") != tt.tries {
			t.Errorf("%v: %v, after %q", tt.command, err, raw)
		}
	}
}

func TestACommandThatDoesNotEndLeavesNothingBehind(t *testing.T) {
	family := programtest.New(t)
	target := notify.Target{Name: "own", Command: family.Argv, Timeout: 300 * time.Millisecond, Clock: clock.NewFake(time.Now())}
	if err := target.Send(t.Context(), message()); err == nil {
		t.Error("a program that does not end was told")
	}
	family.Gone(t)
}

func TestNothingWaitsForAReceiverThatIsSilent(t *testing.T) {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (notify.Target{Name: "ops", URL: server.URL}).Send(ctx, message()); err == nil {
		t.Error("a cancelled message was sent")
	}
	target := notify.Target{Name: "ops", URL: server.URL, Timeout: 50 * time.Millisecond, Clock: clock.NewFake(time.Now())}
	if err := target.Send(t.Context(), message()); err == nil {
		t.Error("a receiver that says nothing was told")
	}
}
