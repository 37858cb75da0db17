package racing

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// A share of what `make racing` holds in full: 16 writers, real servers, questions all the while.
func TestC07_OfRacingWritersNoUpdateIsLost(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) { hold(t, Options{Software: software}) })
	}
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot} {
		t.Run(string(software)+", signed", func(t *testing.T) { hold(t, Options{Software: software, Sign: true}) })
	}
}

func hold(t *testing.T, opts Options) {
	t.Helper()
	opts.Writers, opts.Names, opts.Swaps, opts.Questions = 16, 4, 200, 10_000
	if err := raced(t, opts).Err(); err != nil {
		t.Error(err)
	}
}

func raced(t *testing.T, opts Options) Report {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), opts.Software.Packages()...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Dir, opts.Say = t.TempDir(), t.Logf
	report, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	return report
}

// A share of the million questions: while names move, every question gets one target, by UDP and with authority.
func TestC22_NoQuestionDuringSwapsIsWithoutItsAnswer(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) {
			report := raced(t, Options{Software: software, Writers: 4, Names: 4, Swaps: 50, Questions: 5_000})
			for kind, n := range report.Answers {
				if kind != answered {
					t.Errorf("%d of %d questions got %s", n, report.Asked, kind)
				}
			}
		})
	}
}

// What a client would remember as "there is no such name" is told from an answer.
func TestC22_WhatIsNoAnswerIsSeen(t *testing.T) {
	const name = "app0.apps.test."
	rr := func(text string) dns.RR {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two, other := rr(name+" 2 CNAME n1-w1.lb.test."), rr(name+" 2 CNAME n2-w1.lb.test."), rr(name+" 2 CNAME elsewhere.test.")
	for want, reply := range map[string]dns.Msg{
		answered:                      {MsgHdr: dns.MsgHdr{Authoritative: true}, Answer: []dns.RR{one}},
		"NODATA":                      {MsgHdr: dns.MsgHdr{Authoritative: true}},
		"NXDOMAIN":                    {MsgHdr: dns.MsgHdr{Authoritative: true, Rcode: dns.RcodeNameError}},
		"SERVFAIL":                    {MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}},
		"2 targets":                   {MsgHdr: dns.MsgHdr{Authoritative: true}, Answer: []dns.RR{one, two}},
		"another target":              {MsgHdr: dns.MsgHdr{Authoritative: true}, Answer: []dns.RR{other}},
		"an answer without authority": {Answer: []dns.RR{one}},
	} {
		if got := kindOf(&reply, name); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
