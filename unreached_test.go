package crossfade

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Nothing stops a green whose cluster is silent, so nobody may reach it by an old answer once blue writes; what answers is not
// left out.
func TestI07_WithoutGreensClusterEveryNameIsWaitedOutBeforeBlueIsThawed(t *testing.T) {
	m := opened(t, load(t, kinds))
	turn := m.turns()[0]
	begun := []string{"freeze/reader", "freeze/writer", "start/reader", "start/writer", "swap/reader", "swap/writer"}
	for _, c := range []struct {
		what string
		how  returning
		done []string
		want string
		owes string
	}{
		{
			"a silent cluster", returning{Calm: true, Without: unreached{Cluster: "silent"}}, nil,
			"return/writer return/reader return-settle/writer return-settle/reader back-sync/data thaw/writer thaw/reader", "reader writer",
		},
		{
			"one of two is held", returning{Calm: true, Without: unreached{Cluster: "silent"}}, []string{"hold/writer"},
			"return/writer return/reader return-settle/writer return-settle/reader back-sync/data thaw/writer thaw/reader", "reader writer",
		},
		{
			"both are held", returning{Calm: true, Without: unreached{Cluster: "silent"}}, []string{"hold/reader", "hold/writer"},
			"hold/writer hold/reader back-sync/data return/writer return/reader thaw/writer thaw/reader return-settle/writer", "writer",
		},
		{
			"stopped before it went silent", returning{Without: unreached{Cluster: "silent"}}, []string{"stop/reader", "stop/writer"},
			"return/writer return/reader return-settle/writer return-settle/reader stop/writer stop/reader back-sync/data thaw/writer thaw/reader", "",
		},
		{
			"a silent store alone", returning{Calm: true, Without: unreached{Buckets: map[string]string{"data": "silent"}}}, nil,
			"hold/writer hold/reader back-sync/data return/writer return/reader thaw/writer thaw/reader return-settle/writer stop/writer", "",
		},
	} {
		if err := m.resetAll(turn.returnStages(), "test"); err != nil {
			t.Fatal(err)
		}
		plans(t, m, begun...)
		finishes(t, m, c.done...)
		got := names(m.wayBack(turn, c.how, m.journal.Stage))
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: the way back is\n%v\nwant\n%v", c.what, got, want)
		}
		var owes []string
		for _, l := range leftRunning(turn, c.how.Without, m.journal.Stage) {
			owes = append(owes, l.App)
		}
		if !slices.Equal(owes, strings.Fields(c.owes)) {
			t.Errorf("%s: left running: %v, want %s", c.what, owes, c.owes)
		}
	}
}

// deadBucket fails as a store does that nobody answers for, or answers with an error of its own.
type deadBucket struct {
	bucket.Bucket
	err error
}

func (b deadBucket) Check(context.Context) error { return b.err }

// What gives no answer is found out within the limit, whatever kind of silence it is; a refusal is an answer.
func TestWhatOfGreenAnswersIsFoundOut(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	greets := func(rest int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/version" {
				http.Error(w, http.StatusText(rest), rest)
				return
			}
			_, _ = w.Write([]byte(`{"gitVersion":"v1.30.0"}`))
		}))
	}
	hollow, guarded := greets(http.StatusInternalServerError), greets(http.StatusForbidden)
	defer hollow.Close()
	defer guarded.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		what, url string
		store     error
		cluster   string
		bucket    bool
	}{
		{"silence", "http://" + silent.Addr().String(), nil, "nothing answered in time", false},
		{"a refused connection", gone.URL, nil, "the connection is refused", false},
		{"an API server without its store", hollow.URL, nil, "namespace kube-system", false},
		{"one that forbids", guarded.URL, bucket.ErrDenied, "", false},
		{"a bucket that is gone", guarded.URL, bucket.ErrNotExist, "", false},
		{"a dead store", guarded.URL, errors.New("connection refused"), "", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			file := load(t, kinds)
			if err := standin.WriteKubeconfig(filepath.Join(filepath.Dir(file.Path), "green"), "green", c.url); err != nil {
				t.Fatal(err)
			}
			m := openedWith(t, file, Options{
				Silence:    50 * time.Millisecond,
				OpenBucket: func(context.Context, Store) (bucket.Bucket, error) { return deadBucket{err: c.store}, nil },
			})
			got, err := m.answersOf(t.Context(), true, m.file.Buckets)
			if err != nil || (c.cluster == "") != (got.Cluster == "") || !strings.Contains(got.Cluster, c.cluster) || (got.Buckets["data"] != "") != c.bucket {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// An API server that only began anew is not left out: its green can be stopped.
func TestI07_AGreenThatAnswersAMomentLaterIsNotLeftOut(t *testing.T) {
	for _, c := range []struct {
		patient bool
		errors  int32
		left    bool
	}{{true, 4, false}, {true, 1000, true}, {false, 4, true}} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) <= c.errors {
				http.Error(w, "it begins", http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/version" {
				_, _ = w.Write([]byte(`{"gitVersion":"v1.30.0"}`))
				return
			}
			_, _ = w.Write([]byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"u"}}`))
		}))
		defer server.Close()
		file := load(t, named)
		if err := standin.WriteKubeconfig(filepath.Join(filepath.Dir(file.Path), "green"), "green", server.URL); err != nil {
			t.Fatal(err)
		}
		m := openedWith(t, file, Options{Clock: clock.NewFake(time.Now())})
		plans(t, m, "freeze/one", "start/one")
		log, err := m.log()
		if err != nil {
			t.Fatal(err)
		}
		p := &RollbackPlan{Discard: true}
		if err := m.reachForRollback(t.Context(), p, m.turns()[:1], log, c.patient); err != nil || (p.without.Cluster != "") != c.left || len(p.Refusals) > 0 {
			t.Errorf("%+v: without %+v, %v, %v", c, p.without, p.Refusals, err)
		}
	}
}

// A cluster in green's place says nothing about green: nothing of it would be found there, and its stop would do nothing.
func TestI08_AnotherClusterInGreensPlaceIsNotGreen(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"gitVersion":"v1.30.0"}`))
			return
		}
		_, _ = w.Write([]byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"now"}}`))
	}))
	defer server.Close()
	for _, c := range []struct{ was, want string }{{"now", ""}, {"before", "another cluster answers"}} {
		file := load(t, kinds)
		if err := standin.WriteKubeconfig(filepath.Join(filepath.Dir(file.Path), "green"), "green", server.URL); err != nil {
			t.Fatal(err)
		}
		m := opened(t, file)
		plans(t, m, "preflight")
		if err := m.journal.Finish("preflight", preflightResult{Green: kube.Identity{UID: c.was}}); err != nil {
			t.Fatal(err)
		}
		got, err := m.answersOf(t.Context(), true, nil)
		if err != nil || (c.want == "") != (got.Cluster == "") || !strings.Contains(got.Cluster, c.want) {
			t.Errorf("preflight saw %s: %+v, %v", c.was, got, err)
		}
	}
}

// What is owed on green survives the way back, and a record at which it is killed, until it is done.
func TestWhatIsOwedOnGreenOutlivesItsWayBack(t *testing.T) {
	m := opened(t, load(t, named))
	m.begun = true
	finishes(t, m, "freeze/one", "start/one", "swap/one", "return/one", "return-settle/one", "thaw/one")
	open := rollback{Turns: []string{"wave 1: one"}, Discard: true, Actor: "ann@desk", Without: unreached{Cluster: "silent"}}
	note(t, m, noteRollback, open)
	owes := func(want string) {
		t.Helper()
		owed, err := m.owed()
		var got []string
		for _, l := range owed {
			got = append(got, l.Stage)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("owed: %v, %v, want %q", got, err, want)
		}
	}
	for range 2 { // killed after the note, it is not owed twice
		if err := m.owe(m.turns()[0], returning{Turn: "wave 1: one", Without: open.Without}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.notes(t, noteGreenLeft)); n != 1 {
		t.Errorf("it is noted %d times", n)
	}
	report, err := m.finishRollback(t.Context(), open)
	if err != nil || len(report.Undone) != 1 || report.Applications[0].Side != Blue {
		t.Fatalf("%+v, %v", report, err)
	}
	owes("stop/one")
	s, err := Inspect(m.file, Options{}).Status()
	if err != nil || len(s.Undone) != 1 {
		t.Errorf("status: %+v, %v", s, err)
	}
	// Green is silent still, so nothing that writes is begun.
	var refused *RefusedError
	if _, err := m.Run(t.Context(), RunOptions{Verb: "sync"}); !errors.As(err, &refused) || refused.Refusals[0].What != "stop/one" {
		t.Errorf("a run gives %v", err)
	}
	// A stop that was finished, and killed before its note, is not mistaken for that of the next way back.
	finishes(t, m, "stop/one")
	if err := m.stopped(m.turns()[0]); err != nil {
		t.Fatal(err)
	}
	owes("")
}

func (m *Migration) notes(t *testing.T, name string) []journal.Record {
	t.Helper()
	log, err := m.log()
	if err != nil {
		t.Fatal(err)
	}
	var list []journal.Record
	for _, r := range log.Records {
		if r.Kind == journal.KindNoted && r.Stage == name {
			list = append(list, r)
		}
	}
	return list
}

// A bucket that was left, or brought back under a green that nobody had stopped, is brought back again where green answers
// before blue writes, and not after.
func TestI07_WhatGreenWroteMeanwhileIsBroughtBackWhereItAnswersAgain(t *testing.T) {
	for _, c := range []struct {
		before, now unreached
		thawed      bool
		again       bool
	}{
		{unreached{Cluster: "silent"}, unreached{}, false, true},
		{unreached{Cluster: "silent"}, unreached{}, true, false},
		{unreached{Cluster: "silent"}, unreached{Cluster: "silent"}, false, false},
		{unreached{Buckets: map[string]string{"data": "silent"}}, unreached{}, false, true},
		{unreached{}, unreached{Cluster: "silent"}, false, false},
	} {
		m := opened(t, load(t, kinds))
		finishes(t, m, "back-sync/data")
		if c.thawed {
			plans(t, m, "thaw/reader")
		}
		if err := m.bringAgain(m.turns()[0], c.before, c.now); err != nil {
			t.Fatal(err)
		}
		if again := !m.journal.Stage("back-sync/data").Finished; again != c.again {
			t.Errorf("%+v: brought again: %v", c, again)
		}
	}
}

// The share that may be deleted is the file's, in both directions.
func TestB13_TheShareThatMayBeDeletedIsTheFiles(t *testing.T) {
	m := openedWith(t, load(t, strings.Replace(kinds, "bucket: b}}", "bucket: b}, maxDelete: 0.75}", 1)), Options{OpenBucket: inMemory(t)})
	b := m.file.Buckets[0]
	forward, err := m.syncOptions(t.Context(), "sync/data", b)
	if err != nil || *forward.MaxDelete != 0.75 {
		t.Errorf("forward: %v, %v", *forward.MaxDelete, err)
	}
	back, err := m.backOptions(t.Context(), b, false)
	if err != nil || *back.MaxDelete != 0.75 {
		t.Errorf("back: %v, %v", *back.MaxDelete, err)
	}
	for text, want := range map[string]float64{", maxDelete: 0": 0, "": -1} {
		m := openedWith(t, load(t, strings.Replace(kinds, "bucket: b}}", "bucket: b}"+text+"}", 1)), Options{OpenBucket: inMemory(t)})
		opts, err := m.syncOptions(t.Context(), "sync/data", m.file.Buckets[0])
		if err != nil || (opts.MaxDelete == nil) != (want < 0) || want == 0 && *opts.MaxDelete != 0 {
			t.Errorf("%q gives %v, %v", text, opts.MaxDelete, err)
		}
	}
	for _, wrong := range []string{"-0.1", "1.5"} {
		path := filepath.Join(t.TempDir(), "migration.yaml")
		if err := os.WriteFile(path, []byte(strings.Replace(kinds, "bucket: b}}", "bucket: b}, maxDelete: "+wrong+"}", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var invalid *migration.InvalidError
		if _, err := Load(path); !errors.As(err, &invalid) {
			t.Errorf("a share of %s gives %v", wrong, err)
		}
	}
}
