package crossfade

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/provision"
)

// blueAPI plays as much of blue as retire asks before it deletes anything: who it is, and one pod that counts requests.
type blueAPI struct {
	uid, pod string
	gone     string // how far the deletion of the namespace is: "", "going", "gone"
	count    int    // of the pod; -1 where it gives no answer
	changed  int    // requests that were no questions
}

func (b *blueAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	meta := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }
	switch {
	case r.Method != http.MethodGet:
		b.changed++
		http.Error(w, "nothing may be changed", http.StatusForbidden)
	case r.URL.Path == "/version":
		answer(map[string]string{"gitVersion": "v1.36.3"})
	case r.URL.Path == "/api/v1/namespaces/kube-system":
		answer(corev1.Namespace{TypeMeta: meta("Namespace"), ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(b.uid)}})
	case r.URL.Path == "/api/v1/namespaces/n" && b.gone != "gone":
		ns := corev1.Namespace{TypeMeta: meta("Namespace"), ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n1"}}
		if b.gone == "going" {
			ns.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
		answer(ns)
	case r.URL.Path == "/api/v1/namespaces/n/pods":
		answer(corev1.PodList{TypeMeta: meta("PodList"), Items: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web", UID: types.UID(b.pod)}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}}})
	case strings.Contains(r.URL.Path, "/proxy/") && b.count >= 0:
		_, _ = fmt.Fprintf(w, `{"requests":%d}`, b.count)
	default:
		http.NotFound(w, r)
	}
}

// retirable is a migration with its certificate, in front of a blue that has counted five requests until then.
func retirable(t *testing.T) (*Migration, *blueAPI) {
	t.Helper()
	m := certifies(t)
	api := &blueAPI{uid: "b", pod: "u1", count: 5}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	client, err := kube.ForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	must(t, err)
	m.sides[Blue] = client
	return m, api
}

func refusals(err error) string {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	var lines []string
	for _, r := range refused.Refusals {
		lines = append(lines, r.What+": "+r.Why)
	}
	return strings.Join(lines, "\n")
}

// TestI10_BlueIsNotRetiredWithoutACertificateThatHolds: each refusal of docs/retirement.md, by its words.
func TestI10_BlueIsNotRetiredWithoutACertificateThatHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Migration, *blueAPI, **journal.Log)
		want   string
	}{
		"as it is":          {func(*Migration, *blueAPI, **journal.Log) {}, "<nil>"},
		"nothing to delete": {func(m *Migration, _ *blueAPI, _ **journal.Log) { m.file.Retirement.Delete.Namespaces = nil }, "blue: the file names nothing of blue to delete"},
		"no retirement":     {func(m *Migration, _ *blueAPI, _ **journal.Log) { m.file.Retirement = nil }, "blue: the file names nothing of blue to delete"},
		"not begun":         {func(_ *Migration, _ *blueAPI, log **journal.Log) { *log = nil }, "blue: the migration has not begun"},
		"no certificate":    {func(_ *Migration, _ *blueAPI, log **journal.Log) { *log = &journal.Log{} }, "blue: there is no retirement certificate yet"},
		"older than a day": {func(m *Migration, _ *blueAPI, _ **journal.Log) {
			m.opts.Clock = clock.NewFake(time.Now().Add(25 * time.Hour))
		}, "the proof is too old"},
		"of another cluster":   {func(_ *Migration, api *blueAPI, _ **journal.Log) { api.uid = "other" }, "it certifies the cluster b, and blue is other"},
		"of another migration": {func(m *Migration, _ *blueAPI, _ **journal.Log) { m.file.Name = "other" }, `it is a certificate of the migration "move"`},
		"no brown-out, and the file demands one": {func(m *Migration, _ *blueAPI, _ **journal.Log) {
			m.file.Retirement.BrownOut = &migration.BrownOut{For: migration.Duration(time.Minute)}
		}, "the certificate was made without a brown-out"},
		"not for all that would go": {func(m *Migration, _ *blueAPI, _ **journal.Log) {
			m.file.Retirement.Delete.Namespaces = append(m.file.Retirement.Delete.Namespaces, "more")
		}, "namespace more: the certificate is not for deleting it"},
	} {
		t.Run(name, func(t *testing.T) {
			m, api := retirable(t)
			var log *journal.Log
			m.journal.View(func(l *journal.Log) { log = l })
			tt.change(m, api, &log)
			_, err := m.certificateThatHolds(t.Context(), log, restOfBlue{})
			if got := refusals(err); !strings.Contains(got, tt.want) {
				t.Errorf("refused: %s, want %q", got, tt.want)
			}
		})
	}
	m, api := retirable(t)
	if _, err := m.Retire(t.Context(), RetireOptions{Confirm: "Move"}); !strings.Contains(refusals(err), "confirmation: blue is destroyed only when the migration's name is typed out") || api.changed > 0 {
		t.Errorf("another name: %v after %d changes", err, api.changed)
	}
}

// TestC24_ARetirementThatWasTriedLooksAgain: only a blue of which this migration has deleted something is ended without a look, and never another cluster.
func TestC24_ARetirementThatWasTriedLooksAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		intended, accepted, failed bool

		gone string
		half bool
	}{
		"planned":                             {false, false, false, "", false},
		"planned, and deleted by another":     {false, false, false, "gone", false},
		"killed before it":                    {true, false, false, "", false},
		"killed, and going":                   {true, false, false, "going", true},
		"killed, and gone":                    {true, false, false, "gone", true},
		"refused":                             {true, false, true, "", false},
		"refused, and deleted by another":     {true, false, true, "gone", false},
		"refused, and another is deleting it": {true, false, true, "going", false},
		"it hung":                             {true, true, true, "going", true},
		"it hung, and went":                   {true, true, true, "gone", true},
	} {
		t.Run(name, func(t *testing.T) {
			m, api := retirable(t)
			p := plan.New(m.file.Name, "retire")
			c := plan.Change{ID: "retire/Namespace/n", Action: provision.ActionDelete, Target: "blue: Namespace n", Why: "w", Data: json.RawMessage(`{"name":"n","uid":"n1"}`), Reverse: &plan.Reverse{Action: "restore", How: "h"}}
			p.Add(c)
			must(t, m.journal.SavePlan(p))
			if tt.intended {
				must(t, m.journal.Intend("retire", c))
			}
			if tt.accepted {
				note(t, m, noteDeleting, deleting{Change: c.ID})
			}
			if tt.failed {
				must(t, m.journal.Fail("retire", c.ID, errors.New("it did")))
			}
			api.gone = tt.gone
			var log *journal.Log
			m.journal.View(func(l *journal.Log) { log = l })
			rest, err := m.halfGone(t.Context(), log)
			if rest.half != tt.half || err != nil {
				t.Fatalf("half gone: %v, %v", rest, err)
			}
			holds := func() string {
				_, err := m.certificateThatHolds(t.Context(), log, rest)
				return refusals(err)
			}
			m.opts.Clock = clock.NewFake(time.Now().Add(25 * time.Hour))
			if got := holds(); strings.Contains(got, "the proof is too old") == rest.half {
				t.Errorf("a day later: %s", got)
			}
			if api.uid = "other"; !strings.Contains(holds(), "it certifies the cluster b, and blue is other") {
				t.Errorf("of another cluster: %s", holds())
			}
		})
	}
}

// TestC24_WhatARetirementHasLeftIsLookedAt: what is gone cannot be asked; what is still there is judged like all of blue, and never sent to a
// watch of what is gone.
func TestC24_WhatARetirementHasLeftIsLookedAt(t *testing.T) {
	m, api := retirable(t)
	m.file.Applications = append(m.file.Applications, migration.Application{Name: "old", Namespace: "o", Requests: m.file.Applications[0].Requests})
	p := plan.New(m.file.Name, "retire")
	change := func(ns string) plan.Change {
		return plan.Change{
			ID: "retire/Namespace/" + ns, Action: provision.ActionDelete, Target: "blue: Namespace " + ns, Why: "w",
			Data: plan.JSON(map[string]string{"name": ns, "uid": ns + "1"}), Reverse: &plan.Reverse{Action: "restore", How: "h"},
		}
	}
	p.Add(change("o")) // blueAPI knows nothing of it
	p.Add(change("n"))
	must(t, m.journal.SavePlan(p))
	must(t, m.journal.Intend("retire", change("o")))
	must(t, m.journal.Succeed("retire", change("o").ID, json.RawMessage(`{}`)))
	look := cutover.Observation{Evidence: "requests that shop counts on blue", Use: cutover.Quiet, At: time.Now().Add(-time.Minute), State: json.RawMessage(`{"pods":{"u1":5}}`)}
	note(t, m, noteSample, cutover.Sample{At: look.At, Observations: []cutover.Observation{look}})
	var log *journal.Log
	m.journal.View(func(l *journal.Log) { log = l })
	rest, err := m.halfGone(t.Context(), log)
	must(t, err)
	if got := fmt.Sprint(rest); got != "{true [o] [n]}" {
		t.Fatalf("left of blue: %s", got)
	}
	const mend = "see yourself that nobody uses n any more, delete it by hand"
	says := func(err error, want string) {
		t.Helper()
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refusals(err), want) || !strings.Contains(refused.Refusals[0].Mend, mend) {
			t.Errorf("refused: %v, want %q and a mend", err, want)
		}
	}
	must(t, m.lookAgain(t.Context(), rest))
	api.count = 6
	says(m.lookAgain(t.Context(), rest), "blue was used since it was certified")
	now := m.opts.Clock
	m.opts.Clock = clock.NewFake(time.Now().Add(25 * time.Hour))
	_, err = m.certificateThatHolds(t.Context(), log, rest)
	says(err, "the proof is too old")
	m.opts.Clock = now
	m.file.SHA256 = "changed"
	_, err = m.certificateThatHolds(t.Context(), log, rest)
	says(err, "it says something else than when it was certified")

	// Nor is it concluded anew: what is gone would be missing for ever.
	for _, name := range []string{"idle", stageBrownOut, "certificate"} {
		says := refusals(m.stillToConclude(t.Context(), name, []stage{m.idleStage(), m.brownOutStage(), m.certificateStage()}))
		if says != "--redo "+name+": `crossfade retire` has deleted o of blue, which would be missing for ever" {
			t.Errorf("--redo %s: %s", name, says)
		}
	}
	must(t, m.stillToConclude(t.Context(), "preflight", m.pipeline()))

	// Deleted by hand, as the mend says, nothing is left that could be asked.
	api.gone = "gone"
	rest, err = m.halfGone(t.Context(), log)
	must(t, err)
	if rest.canBeAsked() {
		t.Errorf("left of blue: %v", rest)
	}
	if _, err := m.certificateThatHolds(t.Context(), log, rest); err != nil {
		t.Error(err)
	}
}

// TestC24_ARestThatNothingShowsIsRefused: a query of an application that is gone and of one that is there has lost a part.
func TestC24_ARestThatNothingShowsIsRefused(t *testing.T) {
	app := func(name string) migration.Application { return migration.Application{Name: name, Namespace: name} }
	of := cutover.BlueEvidenceOptions{
		Options: cutover.Options{Applications: []migration.Application{app("one"), app("two")}},
		Held:    []cutover.Held{{App: "one"}, {App: "two"}},
		Retirement: migration.Retirement{Prometheus: []migration.IdleQuery{
			{Name: "all"}, {Name: "both", Watches: []string{"one", "two"}}, {Name: "two", Watches: []string{"two"}},
		}},
	}
	left := of
	must(t, onlyWhatIsThere(&left, []string{"one"}))
	if len(left.Applications) != 1 || len(left.Held) != 1 || len(left.Retirement.Prometheus) != 1 || left.Retirement.Prometheus[0].Name != "two" {
		t.Errorf("left: %+v", left)
	}
	if err := onlyWhatIsThere(&of, []string{"two"}); !strings.Contains(refusals(err), "application one: a part of blue is gone, and what would show a use of this one is of both") {
		t.Errorf("refused: %v", err)
	}
}

// TestC24_TheLastLookRefusesWhatItDoesNotKnow: what counts by itself is asked from the look before the certificate on.
func TestC24_TheLastLookRefusesWhatItDoesNotKnow(t *testing.T) {
	const source = "requests that shop counts on blue"
	for name, tt := range map[string]struct {
		change func(*blueAPI)
		want   string
	}{
		"nobody came":       {func(*blueAPI) {}, "<nil>"},
		"somebody came":     {func(api *blueAPI) { api.count = 6 }, source + ": blue was used since it was certified: 1 pods count 6 requests, 1 of them since the last look; pod web: 1 requests more"},
		"it was not seen":   {func(api *blueAPI) { api.count = -1 }, source + ": whether blue was used since it was certified is not known: pod web answers 404"},
		"a pod went":        {func(api *blueAPI) { api.pod, api.count = "u2", 0 }, source + ": whether blue was used since it was certified is not known: the pod with uid u1 is gone"},
		"a pod began again": {func(api *blueAPI) { api.count = 0 }, source + ": whether blue was used since it was certified is not known: pod web began to count again"},
	} {
		t.Run(name, func(t *testing.T) {
			m, api := retirable(t)
			looked := cutover.Observation{Evidence: source, Use: cutover.Quiet, At: time.Now().Add(-time.Minute), State: json.RawMessage(`{"pods":{"u1":5}}`)}
			note(t, m, noteSample, cutover.Sample{At: looked.At, Observations: []cutover.Observation{looked}})
			tt.change(api)
			if got := refusals(m.lookAgain(t.Context(), restOfBlue{})); !strings.HasPrefix(got, tt.want) {
				t.Errorf("refused: %s, want %q", got, tt.want)
			}
			if api.changed > 0 {
				t.Errorf("%d changes of blue", api.changed)
			}
		})
	}
}

// TestC24_AUseAfterTheCertificateVoidsItForGood: the next look counts from the one that saw the use, and is quiet. What is on record counts all the same.
func TestC24_AUseAfterTheCertificateVoidsItForGood(t *testing.T) {
	const source = "requests that shop counts on blue"
	retires := func(t *testing.T, m *Migration) string {
		t.Helper()
		var log *journal.Log
		m.journal.View(func(l *journal.Log) { log = l })
		if _, err := m.certificateThatHolds(t.Context(), log, restOfBlue{}); err != nil {
			return refusals(err)
		}
		return refusals(m.lookAgain(t.Context(), restOfBlue{}))
	}
	for name, tt := range map[string]struct {
		change, later func(*blueAPI)
		want          string
		holds         bool // once it is asked again
	}{
		"used":       {func(api *blueAPI) { api.count = 6 }, nil, "blue was used since it was certified: 1 pods count 6 requests, 1 of them since the last look; pod web: 1 requests more", false},
		"lost":       {func(api *blueAPI) { api.pod, api.count = "u2", 0 }, nil, "whether blue was used since it was certified is not known: the pod with uid u1 is gone", false},
		"not seen":   {func(api *blueAPI) { api.count = -1 }, func(api *blueAPI) { api.count = 5 }, "whether blue was used since it was certified is not known: pod web answers 404", true},
		"used since": {func(api *blueAPI) { api.count = -1 }, func(api *blueAPI) { api.count = 6 }, "whether blue was used since it was certified is not known: pod web answers 404", false},
	} {
		t.Run(name, func(t *testing.T) {
			m, api := retirable(t)
			looked := cutover.Observation{Evidence: source, Use: cutover.Quiet, At: time.Now().Add(-time.Minute), State: json.RawMessage(`{"pods":{"u1":5}}`)}
			note(t, m, noteSample, cutover.Sample{At: looked.At, Observations: []cutover.Observation{looked}})
			tt.change(api)
			if got := retires(t, m); !strings.Contains(got, tt.want) {
				t.Errorf("refused: %s, want %q", got, tt.want)
			}
			if tt.later != nil {
				tt.later(api)
			}
			again := retires(t, m)
			if tt.holds {
				if again != "<nil>" {
					t.Errorf("asked again: %s", again)
				}
				return
			}
			if again = retires(t, m); !strings.Contains(again, "certificate since it was made: "+source+": at ") {
				t.Errorf("asked again: %s", again)
			}
			st, err := m.Status()
			must(t, err)
			var out strings.Builder
			must(t, st.Print(&out))
			report, err := m.Report()
			must(t, err)
			must(t, report.Print(&out))
			if n := strings.Count(out.String(), "the retirement certificate does not hold any more: "+source); n != 2 || !strings.Contains(out.String(), "`crossfade run --redo idle`") {
				t.Errorf("status and report print %s", out.String())
			}
			// A certificate alone is not made anew; a watch from there on, and one after it, are good.
			must(t, m.resetAll([]string{"certificate"}, "asked for by --redo"))
			var refused *RefusedError
			if err := m.take(t.Context(), m.certificateStage()); !errors.As(err, &refused) || !strings.Contains(refusals(err), source) {
				t.Errorf("certified: %v", err)
			}
			must(t, m.resetAll(append(restOn("idle"), "idle"), "asked for by --redo"))
			watched(t, m)
			must(t, m.take(t.Context(), m.certificateStage()))
			if got := retires(t, m); got != "<nil>" {
				t.Errorf("after a new watch: %s", got)
			}
		})
	}
	m, _ := retirable(t)
	if got := retires(t, m); !strings.Contains(got, source+": whether blue was used since it was certified is not known: it was never looked at before") {
		t.Errorf("a source that nobody has looked at: %s", got)
	}
}

// TestC24_ALossInABrownOutIsWatchedOver: its watch began again there, so that the certificate that follows is not void by it. A use is never.
func TestC24_ALossInABrownOutIsWatchedOver(t *testing.T) {
	m := certifies(t)
	look := func(o cutover.Observation) {
		o.Evidence, o.At = "ledger", time.Now()
		note(t, m, noteSample, cutover.Sample{At: o.At, Observations: []cutover.Observation{o}})
	}
	void := func() (n int) {
		m.journal.View(func(log *journal.Log) { n = len(voidedBy(log, len(log.Records))) })
		return n
	}
	plans(t, m, stageBrownOut)
	look(cutover.Observation{Use: cutover.Quiet, Lost: "a pod went"})
	if n := void(); n != 0 {
		t.Errorf("a loss in a brown-out: %d", n)
	}
	look(cutover.Observation{Use: cutover.Used})
	if n := void(); n != 1 {
		t.Errorf("a use in a brown-out: %d", n)
	}
	must(t, m.journal.Finish(stageBrownOut, struct{}{}))
	look(cutover.Observation{Use: cutover.Quiet, Lost: "a pod went"})
	if n := void(); n != 2 {
		t.Errorf("a loss after it: %d", n)
	}
	finishes(t, m, "idle")
	if n := void(); n != 0 {
		t.Errorf("after a new watch: %d", n)
	}
}

// TestC24_StatusSaysWhatTheWatchWaitsFor: since when, until when, and who began the time again.
func TestC24_StatusSaysWhatTheWatchWaitsFor(t *testing.T) {
	m := opened(t, load(t, certified))
	finishes(t, m, "ttl")
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	says := func(want string) {
		t.Helper()
		st, err := m.Status()
		must(t, err)
		var out strings.Builder
		must(t, st.Print(&out))
		if want == "" && len(st.Waiting) > 0 || !strings.Contains(out.String(), want) {
			t.Errorf("status prints %s, want %q", out.String(), want)
		}
	}
	look := func(minute int, obs ...cutover.Observation) {
		t.Helper()
		s := cutover.Sample{At: start.Add(time.Duration(minute) * time.Minute)}
		for _, o := range obs {
			o.At, o.From = s.At, s.At.Add(-time.Minute)
			s.Observations = append(s.Observations, o)
		}
		note(t, m, noteSample, s)
	}
	const needed = "72h0m0s needed: at least max(72h0m0s, 2 x old TTL 0s) = 72h0m0s); leave `crossfade run` running, which watches"
	requests, log := cutover.Observation{Evidence: "requests", Use: cutover.Quiet}, cutover.Observation{Evidence: "log", Use: cutover.Quiet}
	came, unseen := log, log
	came.Use, came.Text, came.Details = cutover.Used, "1 request", []string{"from 192.0.2.7"}
	unseen.Use, unseen.Text = cutover.Unseen, "no answer"
	says("")
	plans(t, m, "idle")
	says("waits for blue to be idle (nobody has looked yet; " + needed)
	look(0, requests, unseen)
	says("waits for blue to be idle (not every source has been seen yet; the last look, at 2026-11-24 10:00:00 UTC, taught nothing: log: unseen: no answer; " + needed)
	look(1, requests, log)
	says("waits for blue to be idle until 2026-11-27 10:01:00 UTC (quiet since 2026-11-24 10:01:00 UTC; " + needed)
	look(2, requests, came)
	says("waits for blue to be idle until 2026-11-27 10:02:00 UTC (in use: log: used: 1 request: from 192.0.2.7 at 2026-11-24 10:02:00 UTC; the time began again; " + needed)
	look(3, requests, log)
	says("waits for blue to be idle until 2026-11-27 10:02:00 UTC (quiet since 2026-11-24 10:02:00 UTC, when the time began again: log: used: 1 request: from 192.0.2.7; " + needed)
	look(4, requests, unseen)
	says("from 192.0.2.7; the last look, at 2026-11-24 10:04:00 UTC, taught nothing: log: unseen: no answer; " + needed)
	reaches := requests
	reaches.At, reaches.From = start.Add(72*time.Hour+3*time.Minute), start.Add(4*time.Minute)
	unseen.At = reaches.At
	note(t, m, noteSample, cutover.Sample{At: reaches.At, Observations: []cutover.Observation{reaches, unseen}})
	says("waits for blue to be idle (quiet since 2026-11-24 10:02:00 UTC, when the time began again: log: used: 1 request: from 192.0.2.7; the last look, at 2026-11-27 10:03:00 UTC, taught nothing: log: unseen: no answer; nothing but that is missing: see that it can be asked; " + needed)
	finishes(t, m, "idle")
	says("")
}

// TestI08_BlueIsNotRetiredWithoutAWholeArchive: it is what is left of blue's objects. What mends it hangs on whether blue still has all of them.
func TestI08_BlueIsNotRetiredWithoutAWholeArchive(t *testing.T) {
	m, api := retirable(t)
	exports(t, m, "export", "a")
	blob := first(t, filepath.Join(m.file.Dir, "archive"), "blobs", "")
	must(t, os.Remove(blob))
	for _, mend := range []string{exportAgain, exportKept} {
		var log *journal.Log
		m.journal.View(func(l *journal.Log) { log = l })
		o := &Overview{}
		must(t, m.planRetirement(t.Context(), o, log))
		r := o.Plans[0].Refusals
		if len(r) != 1 || !strings.Contains(r[0].Why, "does not exist in the archive") || r[0].Mend != mend {
			t.Errorf("refused: %+v, want the mend %q", r, mend)
		}
		must(t, m.journal.Intend("retire", plan.Change{ID: "retire/Namespace/n"}))
	}
	if api.changed > 0 {
		t.Errorf("%d changes of blue", api.changed)
	}
}

// TestC24_ARetireThatIsRefusedEndsNoForwarding: what stands against the deletion is found before blue's Services are changed.
func TestC24_ARetireThatIsRefusedEndsNoForwarding(t *testing.T) {
	m, api := retirable(t)
	m.begun = true
	exports(t, m, "export", "a")
	plans(t, m, "forward/shop")
	looked := cutover.Observation{Evidence: "requests that shop counts on blue", Use: cutover.Quiet, At: time.Now().Add(-time.Minute), State: json.RawMessage(`{"pods":{"u1":5}}`)}
	note(t, m, noteSample, cutover.Sample{At: looked.At, Observations: []cutover.Observation{looked}})
	_, err := m.Retire(t.Context(), RetireOptions{Confirm: m.file.Name})
	if err == nil || !strings.Contains(err.Error(), "plan retire: ") {
		t.Errorf("retired where green gives no answer: %v", err)
	}
	if s := m.journal.Stage("unforward/shop"); s.Plan != "" || api.changed > 0 {
		t.Errorf("the forwarding was ended: %+v, %d changes of blue", s, api.changed)
	}
}
