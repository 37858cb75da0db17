package crossfade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// Behind an older copy of the state directory, blue would be thawed beside a green that serves: what the names show counts.
func TestI07_AnOlderCopyOfTheStateDirectoryThawsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		leads   string
		silent  bool
		refused bool
	}{
		"the name leads to green":  {"g.test.", false, true},
		"the name leads to blue":   {"b.test.", false, false},
		"the name leads elsewhere": {"else.test.", false, false},
		"the server is silent":     {"g.test.", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := load(t, strings.Replace(named, "blue: {target: b.test}, green: {target: g.test}",
				"blue: {target: b.test, address: 192.0.2.1}, green: {target: g.test, address: 192.0.2.2}", 1))
			withoutClusters(t, file)
			m := openedWith(t, file, Options{
				Getenv: func(string) string { return "c2VjcmV0" },
				OpenZone: func(context.Context, ZoneConfig) (zone.Zone, error) {
					if c.silent {
						return nil, fmt.Errorf("look: %w", zone.ErrUncertain)
					}
					return memory.New("apps.test.", zone.RRset{Name: "one.apps.test.", Type: "CNAME", TTL: 1, Data: []string{c.leads}})
				},
			})
			finishes(t, m, "preflight", "export")
			plans(t, m, "freeze/one")
			before := records(m)
			says := func(what string, err error) {
				t.Helper()
				refused := errors.As(err, new(*RefusedError)) && strings.Contains(err.Error(), "one.apps.test.: it leads to green (") && strings.Contains(err.Error(), "put the newest state directory")
				if refused != c.refused {
					t.Errorf("%s: refused %v: %v", what, refused, err)
				}
			}
			p, err := m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"one"}})
			must(t, err)
			says("rollback", p.Err())
			says("run", m.mustBeTheNewest(t.Context(), "run", m.file.Applications, lookTime))
			if records(m) != before {
				t.Error("a look was written down")
			}
			says("an automatic return", m.goBack(t.Context(), stage{name: "start/one", turn: m.turns()[0].name}, errors.New("it rained")))
			m.journal.View(func(log *journal.Log) {
				if returns := len(log.Noted(noteReturning)) > 0; returns == c.refused {
					t.Errorf("a return was begun: %v", returns)
				}
			})
			// What another turn's name shows keeps nobody's way back up.
			if p, err = m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"two"}}); err != nil || p.Err() != nil {
				t.Errorf("rollback of two: %v, %v", p.Err(), err)
			}
			// A way back of the first that was broken off is ended by any rollback.
			must(t, m.journal.Note(noteReturning, returning{Turn: m.turns()[0].name, Cause: "it rained"}))
			p, err = m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"two"}})
			must(t, err)
			says("rollback of two, which ends the return of one", p.Err())
			// The newest journal knows who led it there.
			plans(t, m, "swap/one")
			must(t, m.mustBeTheNewest(t.Context(), "run", m.file.Applications, lookTime))
		})
	}
}

// Where the state directory is lost, nothing else tells that blue's names were fenced, and may be frozen.
func TestI08_AFenceThatTheJournalDoesNotKnowShowsThatTheMigrationBegan(t *testing.T) {
	for token, ours := range map[string]bool{"crossfade/MOVE/0f1e/CNAME=300": true, "crossfade/other/0f1e/CNAME=300": false} {
		file := load(t, strings.Replace(named, "blue: {target: b.test}, green: {target: g.test}",
			"blue: {target: b.test, address: 192.0.2.1}, green: {target: g.test, address: 192.0.2.2}", 1))
		withoutClusters(t, file)
		m := openedWith(t, file, Options{
			Getenv: func(string) string { return "c2VjcmV0" },
			OpenZone: func(context.Context, ZoneConfig) (zone.Zone, error) {
				return memory.New("apps.test.", zone.RRset{Name: "one.apps.test.", Type: "CNAME", TTL: 1, Data: []string{"b.test."}},
					zone.RRset{Name: "_crossfade-one.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"` + strings.Replace(token, "MOVE", file.Name, 1) + `"`}})
			},
		})
		says := func(when string, want bool, texts ...string) {
			t.Helper()
			p, err := m.PlanRollback(t.Context(), RollbackOptions{})
			must(t, err)
			refused := p.Err() != nil
			for _, text := range append(texts, "one.apps.test.: ", "the TXT record _crossfade-one.apps.test. holds crossfade/"+file.Name+"/0f1e/CNAME=300", "it may have frozen blue: start there by hand",
				"the fence keeps it (CNAME=300)") {
				refused = refused && strings.Contains(p.Err().Error(), text)
			}
			if refused != want || !want && p.Err() != nil {
				t.Errorf("%s: %v", when, p.Err())
			}
		}
		says("an empty journal", ours, "the migration was begun and is not in the journal of this state directory")
		// A run whose ttl stage was refused by that fence has changed nothing, and knows as little.
		finishes(t, m, "preflight", "export")
		says("after a refused run", ours, "of no fence: it is an older copy, or that run's is lost")
		if err := m.mustBeTheNewest(t.Context(), "run", m.file.Applications, lookTime); (err != nil) != ours {
			t.Errorf("run: %v", err)
		}
		plans(t, m, "ttl")
		says("a journal that has taken fences", false)
	}
}

func records(m *Migration) (n int) {
	m.journal.View(func(l *journal.Log) { n = len(l.Records) })
	return n
}

// withoutClusters gives a file kubeconfigs of clusters that nobody answers for.
func withoutClusters(t *testing.T, file *File) {
	t.Helper()
	for _, side := range []string{Blue, Green} {
		config := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
			"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}]}`
		must(t, os.WriteFile(filepath.Join(file.Dir, side), []byte(config), 0o600))
	}
}
