package crossfade

import (
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// What nothing watches is said before the first change.
func TestC24_APlanWarnsOfWhatNothingWatches(t *testing.T) {
	text := strings.NewReplacer("\nretirement: {", "\n  - {name: late, namespace: n, wave: 2, writes: none}\nretirement: {unwatched: {late: it takes from a queue}, ").Replace(certified)
	m := opened(t, load(t, text))
	p := plan.New("m", "preflight")
	m.lookAtRetirement(t.Context(), p, false)
	if len(p.Notes) != 1 || p.Notes[0].Level != plan.Warning || p.Notes[0].What != "late" || !strings.Contains(p.Notes[0].Text, "it takes from a queue") {
		t.Errorf("notes %+v", p.Notes)
	}
}

// TestC24_ACounterInPodsThatTheFreezeStopsIsRefused: blue would never be idle, and that was found when everything was on green.
func TestC24_ACounterInPodsThatTheFreezeStopsIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*migration.Application)
		want   bool
	}{
		"writes: none": {func(*migration.Application) {}, false},
		"quiesce":      {func(a *migration.Application) { a.Writes = migration.WritesQuiesce }, true},
		"the same pods": {func(a *migration.Application) {
			a.Writes, a.Selector, a.Requests.Pods.Selector = migration.WritesQuiesce, "app=web", "app=web"
		}, true},
		"some of the namespace": {func(a *migration.Application) {
			a.Writes, a.Requests.Pods.Selector = migration.WritesQuiesce, "app=web"
		}, true},
		"pods of somebody else": {func(a *migration.Application) {
			a.Writes, a.Selector, a.Requests.Pods.Selector = migration.WritesQuiesce, "app=web", "app=proxy"
		}, false},
		"nothing that is counted": {func(a *migration.Application) { a.Writes, a.Requests = migration.WritesQuiesce, nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := opened(t, load(t, certified))
			tt.change(&m.file.Applications[0])
			p := plan.New("m", "preflight")
			m.lookAtRetirement(t.Context(), p, false)
			if refused := len(p.Refusals) == 1 && strings.Contains(p.Refusals[0].Why, "blue would never be idle"); refused != tt.want {
				t.Errorf("refusals %+v, want one: %t", p.Refusals, tt.want)
			}
		})
	}
}

// C24: that nobody could see who comes to blue is refused before the first change, and not found when all is on green.
func TestC24_ARetirementOfHostnamesNeedsTheHelperImage(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"none":                 {named, true},
		"named":                {strings.Replace(named, "blue: {", "blue: {helper: \"registry.test/crossfade:1\", ", 1) + "rehearsal: {idle: 1s}\n", false},
		"no hostname":          {certified + "rehearsal: {idle: 1s}\n", false},
		"nothing is retired":   {named[:strings.Index(named, "retirement:")], false},
		"brown-out left out":   {strings.Replace(named, "{delete:", "{brownOut: {skip: a test}, delete:", 1), true},
		"name stays at blue's": {strings.NewReplacer("blue: {target: b.test}, green: {target: g.test}", "ingress: web, switch: backend", "{delete: {namespaces: [n]}}", "{delete: {}}").Replace(named) + "rehearsal: {idle: 1s}\nmaps: {namespaces: {n: green}}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := opened(t, load(t, tt.text))
			for i := range m.file.Applications {
				m.file.Applications[i].Requests = nil // which a freeze by quiesce would stop
			}
			p := plan.New("m", "preflight")
			m.lookAtRetirement(t.Context(), p, false)
			refused := len(p.Refusals) == 1 && p.Refusals[0].What == "blue.helper" && strings.Contains(p.Refusals[0].Why, "blue would never be idle")
			if refused != tt.want || !tt.want && len(p.Refusals) > 0 {
				t.Errorf("refusals %+v, want one: %t", p.Refusals, tt.want)
			}
		})
	}
}

// What refused in a brown-out that was broken off is asked for by the next ones, until one has come to its end.
func TestC24_WhatRefusedIsRememberedUntilABrownOutEnds(t *testing.T) {
	of := func(kind journal.Kind, stage, change string) journal.Record {
		return journal.Record{Kind: kind, Stage: stage, Change: change}
	}
	killed := []journal.Record{
		of(journal.KindIntent, "brown-out", "brown-out/pods/n"), of(journal.KindIntent, "brown-out", "brown-out/service/n/web"),
		of(journal.KindDone, "brown-out", "brown-out/service/n/web"), of(journal.KindIntent, "brown-out", "brown-out/watch"),
		of(journal.KindReset, "brown-out", ""), of(journal.KindFinished, "idle", ""), of(journal.KindIntent, "retire", "brown-out/service/n/other"),
	}
	if got := refusedSince(killed); !slices.Equal(got, []string{"n/web"}) {
		t.Errorf("remembered %v", got)
	}
	if got := refusedSince(append(killed, of(journal.KindFinished, "brown-out", ""))); len(got) > 0 {
		t.Errorf("after one that ended: %v", got)
	}
}
