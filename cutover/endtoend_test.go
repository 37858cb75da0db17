package cutover_test

import (
	"errors"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// leads answers as a resolver that leads clients to a target, or to nobody.
func leads(target, addr string) func(name, typ string) (dnsx.Answer, error) {
	return func(name, typ string) (dnsx.Answer, error) {
		a := dnsx.Answer{Rcode: "NOERROR"}
		if target == "" {
			a.Rcode = "NXDOMAIN"
			return a, nil
		}
		a.Answer = append(a.Answer, dnsx.Record{Name: name, Type: "CNAME", TTL: 10, Data: target})
		if typ == "A" {
			a.Answer = append(a.Answer, dnsx.Record{Name: target, Type: "A", TTL: 10, Data: addr})
		}
		return a, nil
	}
}

// Before the swap a check is sent to green's address whatever resolvers say; after it, one that says so goes where they lead.
func TestC20_WhenChoosesTimeAndWay(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		when          migration.When
		before, after int // gates
		endToEnd      bool
	}{
		{"", 1, 1, false},
		{migration.WhenBefore, 1, 0, false},
		{migration.WhenAfter, 0, 1, true},
		{migration.WhenBoth, 1, 1, true},
	} {
		asked := false
		w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
			asked = true
			return leads("green.lb.test.", w.green.addr.Addr().String())(name, typ)
		}
		check := migration.Check{When: tt.when, HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/"}}
		if gates := w.gatesOf(t, check, cutover.BeforeSwap, nil); len(gates) != tt.before || asked {
			t.Errorf("when %q: %d gates before the swap, want %d; the resolver was asked: %t", tt.when, len(gates), tt.before, asked)
		}
		gates := w.gatesOf(t, check, cutover.AfterSwap, nil)
		if len(gates) != tt.after || asked != tt.endToEnd {
			t.Errorf("when %q: %d gates after the swap, want %d; the resolver was asked: %t", tt.when, len(gates), tt.after, asked)
		}
		for _, g := range gates {
			if g.Outcome != cutover.Passed || g.Address != w.green.addr.String() {
				t.Errorf("when %q: %+v", tt.when, g)
			}
		}
	}
}

func TestC20_EndToEndWhatResolversSayIsJudged(t *testing.T) {
	w := newWorld(t)
	check := migration.Check{When: migration.WhenAfter, HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}
	for _, tt := range []struct {
		name    string
		resolve func(name, typ string) (dnsx.Answer, error)
		want    cutover.Outcome
		text    string
	}{
		{"to green", leads("green.lb.test.", w.green.addr.Addr().String()), cutover.Passed, "status 200"},
		{"still to blue", leads("blue.lb.test.", w.blue.addr.Addr().String()), cutover.Inconclusive, "still leads shop.apps.test to blue"},
		{"to blue's new address", leads("blue.lb.test.", w.green.addr.Addr().String()), cutover.Inconclusive, "to blue"},
		{"to nobody", leads("", ""), cutover.Failed, "clients reach nobody"},
		{"SERVFAIL", func(string, string) (dnsx.Answer, error) { return dnsx.Answer{Rcode: "SERVFAIL"}, nil }, cutover.Inconclusive, "SERVFAIL"},
		{"no answer", func(string, string) (dnsx.Answer, error) { return dnsx.Answer{}, errors.New("i/o timeout") }, cutover.Inconclusive, "i/o timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.names.resolve = tt.resolve
			gates := w.gatesOf(t, check, cutover.AfterSwap, nil)
			if cutover.Verdict(gates) != tt.want || !contains(gates[0].Text, tt.text) {
				t.Errorf("verdict = %s, want %s with %q: %+v", cutover.Verdict(gates), tt.want, tt.text, gates)
			}
		})
	}
	if w.blue.hits.Load() > 0 {
		t.Error("blue was judged in green's stead")
	}
}

// A resolver that leads nowhere after the swap is a breach, though green itself answers.
func TestC20_NoAnswerFromAResolverIsABreachOfTheSoak(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Checks = append(w.opts.Applications[0].Checks,
		migration.Check{Name: "as clients", When: migration.WhenAfter, HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/"}})
	_, swapped := w.swapped(t)
	w.names.resolve = leads("", "")
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySoak(t.Context(), p, w.rec, opts); !errors.Is(err, cutover.ErrBreach) {
		t.Errorf("err = %v, want a breach", err)
	}
}
