package crossfade

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/notify"
)

// hooked receives what is told.
type hooked struct {
	mu     sync.Mutex
	status int
	got    []notify.Message
	signed []bool
}

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var m notify.Message
	_ = json.Unmarshal(body, &m)
	if h.status != 0 {
		w.WriteHeader(h.status)
		return
	}
	h.got = append(h.got, m)
	h.signed = append(h.signed, r.Header.Get(notify.HeaderSignature) == notify.Sign("signing key", body))
}

func (h *hooked) events() []string {
	var list []string
	for _, m := range h.got {
		list = append(list, m.Event)
	}
	slices.Sort(list)
	return list
}

func telling(t *testing.T, dir string) (*hooked, string) {
	t.Helper()
	h := &hooked{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	text := strings.Replace(named, "directory: state", "directory: "+dir, 1)
	return h, text + `notifications: [{name: ops, webhook: {url: "` + server.URL + `/hidden-path", secret: {env: HOOK}}}]` + "\n"
}

func hookOptions(t *testing.T) Options {
	t.Helper()
	return Options{Actor: "ann@desk", Tool: "test", Clock: at(t, "2026-11-24T10:00:00Z"), Getenv: func(name string) string {
		return map[string]string{"HOOK": "signing key"}[name]
	}}
}

// Everything that has happened is told once, signed, and with the same ID again where nobody took it: also by another process,
// after a kill.
func TestEventsAreToldUntilTheyAreTaken(t *testing.T) {
	dir := t.TempDir()
	h, text := telling(t, dir)
	open := func() *Migration {
		t.Helper()
		m, err := Open(load(t, text), hookOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		m.begun = true
		return m
	}
	m := open()
	h.status = http.StatusInternalServerError
	note(t, m, noteBreach, breach{Apps: []string{"one"}, Stage: "soak/one", Wave: 1, Cause: "p95 with token=signing key"})
	note(t, m, noteReturned, returned{App: "one", Why: "green fails its checks"})
	for _, s := range m.pipeline() {
		if s.wave == 1 {
			finishes(t, m, s.name)
		}
	}
	var first []notify.Message
	stages := m.pipeline()
	m.journal.View(func(log *journal.Log) { first = m.eventsOf(log, stages) })
	m.notify(t.Context())
	m.told(t.Context())
	if len(m.warnings) != 3 || !strings.Contains(m.warnings[0].Text, "the next run tries again") || strings.Contains(m.warnings[0].Text, "hidden-path") {
		t.Errorf("warnings = %+v", m.warnings)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	h.status = 0
	m = open()
	for range 3 { // stage by stage
		m.notify(t.Context())
	}
	m.told(t.Context())
	if got := h.events(); !slices.Equal(got, []string{"breach", "returned", "wave-done"}) {
		t.Fatalf("told were %v", got)
	}
	for i, got := range h.got {
		j := slices.IndexFunc(first, func(m notify.Message) bool { return m.ID == got.ID && m.Event == got.Event })
		if j < 0 || len(got.ID) != 32 || !h.signed[i] || got.Wave != 1 || !slices.Equal(got.Applications, []string{"one"}) || strings.Contains(got.Text, "signing key") {
			t.Errorf("%+v is none of the events of before (signed: %t)", got, h.signed[i])
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	m = open()
	t.Cleanup(func() { _ = m.Close() })
	m.notify(t.Context())
	m.told(t.Context())
	if len(h.got) != 3 {
		t.Errorf("told again: %v", h.events())
	}
}

func TestEveryEventFollowsFromTheJournal(t *testing.T) {
	h, text := telling(t, t.TempDir())
	m := openedWith(t, load(t, text+`cutover: {waves: [{wave: 2, approval: required}], windows: {timezone: UTC, open: [{from: "12:00", to: "14:00"}]}}`+"\n"), hookOptions(t))
	m.begun = true
	finishes(t, m, "ttl")
	if pausedFor(t, m, "freeze/one") == nil || pausedFor(t, m, "freeze/two") == nil {
		t.Fatal("nothing is waited for")
	}
	m.notify(t.Context()) // as a run does when it ends: later these waits are over
	for _, s := range m.pipeline() {
		finishes(t, m, s.name)
	}
	m.notify(t.Context())
	m.told(t.Context())
	if got := h.events(); !slices.Equal(got, []string{"approval-needed", "migration-done", "wave-done", "wave-done", "window-waited"}) {
		t.Errorf("told were %v", got)
	}
	for _, got := range h.got {
		if got.Event == "window-waited" && (got.Until == nil || got.Until.Format("15:04") != "12:00") || got.Event == "approval-needed" && (got.Plan == "" || got.Wave != 2) {
			t.Errorf("%+v", got)
		}
	}
}

func TestOnlyWhatIsAskedForIsTold(t *testing.T) {
	h, text := telling(t, t.TempDir())
	m := openedWith(t, load(t, strings.Replace(text, "{name: ops,", "{name: ops, events: [returned],", 1)), hookOptions(t))
	m.begun = true
	note(t, m, noteBreach, breach{Apps: []string{"one"}, Cause: "x"})
	note(t, m, noteReturned, returned{App: "one", Why: "x"})
	m.notify(t.Context())
	m.told(t.Context())
	if got := h.events(); !slices.Equal(got, []string{"returned"}) {
		t.Errorf("told were %v", got)
	}
}

// A receiver that comes to the file later, or did not answer, is not told what is not true any more, and gets the rest in its order.
func TestWhatIsOverIsNotToldAndTheRestInOrder(t *testing.T) {
	h, text := telling(t, t.TempDir())
	m := openedWith(t, load(t, text+`cutover: {waves: [{wave: 2, approval: required}]}`+"\n"), hookOptions(t))
	m.begun = true
	finishes(t, m, "ttl")
	if pausedFor(t, m, "freeze/two") == nil {
		t.Fatal("nothing is waited for")
	}
	if err := m.approveWaves([]int{2}); err != nil {
		t.Fatal(err)
	}
	note(t, m, noteBreach, breach{Apps: []string{"one"}, Cause: "x"})
	for _, s := range m.pipeline() {
		finishes(t, m, s.name)
	}
	if err := m.journal.Reset("freeze/one", "it goes back"); err != nil {
		t.Fatal(err)
	}
	note(t, m, noteReturned, returned{App: "one", Why: "rollback"})
	m.notify(t.Context())
	m.told(t.Context())
	var got []string
	for _, told := range h.got {
		got = append(got, told.Event)
	}
	if !slices.Equal(got, []string{"breach", "wave-done", "returned"}) || h.got[1].Wave != 2 {
		t.Errorf("told were %v", got)
	}
}
