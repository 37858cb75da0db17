package rfc2136

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// TestC01_UnsignedReplyIsAnError: neither a read nor an update believes a reply without a signature, whatever it says.
func TestC01_UnsignedReplyIsAnError(t *testing.T) {
	t.Run("reads", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onQuery = func(w dns.ResponseWriter, r *dns.Msg) bool {
			f.answer(w, r, false)
			return true
		}
		if _, err := f.driver(nil).Lookup(t.Context(), onBlue().Name, "CNAME"); !errors.Is(err, ErrUnsigned) {
			t.Errorf("Lookup returned %v, want ErrUnsigned", err)
		}
		if _, err := f.driver(nil).Swap(t.Context(), toGreen()); !errors.Is(err, ErrUnsigned) || len(f.updates) > 0 {
			t.Errorf("Swap returned %v and sent %d updates", err, len(f.updates))
		}
	})
	t.Run("updates", func(t *testing.T) {
		for _, rcode := range []int{dns.RcodeSuccess, dns.RcodeRefused} {
			f := startFake(t, onBlue())
			f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
				m := new(dns.Msg)
				m.SetRcode(r, rcode)
				f.send(w, r, m, false)
			}
			_, err := f.driver(nil).Swap(t.Context(), toGreen())
			if !errors.Is(err, ErrUnsigned) || !errors.Is(err, zone.ErrUncertain) {
				t.Errorf("Swap returned %v, want ErrUnsigned and ErrUncertain", err)
			}
		}
	})
	t.Run("probe", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
			m := new(dns.Msg)
			m.SetRcode(r, dns.RcodeNXRrset)
			f.send(w, r, m, false)
		}
		if err := f.driver(nil).Probe(t.Context(), onBlue().Name); !errors.Is(err, ErrUnsigned) {
			t.Errorf("Probe returned %v, want ErrUnsigned", err)
		}
	})
	t.Run("signed by a stranger", func(t *testing.T) {
		f := startFake(t, onBlue())
		d := f.driver(nil)
		f.onQuery = func(w dns.ResponseWriter, r *dns.Msg) bool {
			m := new(dns.Msg)
			m.SetReply(r)
			m.Authoritative = true
			m.SetTsig("crossfade.", dns.HmacSHA256, 300, time.Now().Unix())
			raw, _, err := dns.TsigGenerate(m, "YW5vdGhlciBzZWNyZXQ=", r.IsTsig().MAC, false)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(raw)
			return true
		}
		if _, err := d.Lookup(t.Context(), onBlue().Name, "CNAME"); !errors.Is(err, ErrSignature) {
			t.Errorf("Lookup returned %v, want ErrSignature", err)
		}
	})
}

// TestC02_RecordsAreNeverShared: the library writes class and TTL into the records of a message. A change of TTL has
// the same record as condition, as deletion and as addition: all three must come out right, and again in every retry,
// and the caller's change must stay as it was.
func TestC02_RecordsAreNeverShared(t *testing.T) {
	high := zone.RRset{Name: "shop.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
	f := startFake(t, high)
	f.onUpdate = func(n int, w dns.ResponseWriter, r *dns.Msg) {
		if n == 3 {
			f.reply(w, r, f.apply(r))
		}
	}
	low := zone.RRset{Name: high.Name, Type: "A", TTL: 5, Data: []string{"192.0.2.1"}}
	change := zone.Change{Name: high.Name, Old: []zone.RRset{high}, New: []zone.RRset{low}}
	before := zone.Change{Name: high.Name, Old: []zone.RRset{high}, New: []zone.RRset{low}}
	if r, err := f.driver(nil).Swap(t.Context(), change); err != nil || r.Attempts != 3 || !r.Applied {
		t.Fatalf("Swap: %+v, %v", r, err)
	}
	if !reflect.DeepEqual(change, before) {
		t.Errorf("the caller's change was written into: %+v", change)
	}
	for i, m := range f.updates {
		condition, remove, add := m.Answer[0].Header(), m.Ns[0].Header(), m.Ns[1].Header()
		if condition.Class != dns.ClassINET || condition.Ttl != 0 {
			t.Errorf("attempt %d: the condition is %v", i+1, m.Answer[0])
		}
		if remove.Class != dns.ClassNONE || remove.Ttl != 0 {
			t.Errorf("attempt %d: the deletion is %v", i+1, m.Ns[0])
		}
		if add.Class != dns.ClassINET || add.Ttl != 5 || len(m.Ns) != 2 {
			t.Errorf("attempt %d: the addition is %v", i+1, m.Ns[1])
		}
	}
}

// TestC03_EachAttemptIsAFreshMessage: an ID and exactly one TSIG of its own each.
func TestC03_EachAttemptIsAFreshMessage(t *testing.T) {
	f := startFake(t, onBlue())
	f.onUpdate = func(int, dns.ResponseWriter, *dns.Msg) {}
	_, err := f.driver(nil).Swap(t.Context(), toGreen())
	if !errors.Is(err, zone.ErrUncertain) || len(f.updates) != 3 {
		t.Fatalf("Swap returned %v after %d messages", err, len(f.updates))
	}
	ids := map[uint16]bool{}
	for i, m := range f.updates {
		ids[m.Id] = true
		signatures := 0
		for _, rr := range m.Extra {
			if rr.Header().Rrtype == dns.TypeTSIG {
				signatures++
			}
		}
		if signatures != 1 {
			t.Errorf("attempt %d has %d signatures", i+1, signatures)
		}
	}
	if len(ids) != 3 {
		t.Errorf("three attempts had %d IDs", len(ids))
	}
}

// TestC04_LostReplies: what became of a change is read at the primary, and a condition that is false after an earlier
// attempt may be that attempt's own doing.
func TestC04_LostReplies(t *testing.T) {
	t.Run("applied, reply lost", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onUpdate = func(_ int, _ dns.ResponseWriter, r *dns.Msg) { f.apply(r) }
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		if err != nil || !r.Applied || !r.Recovered || r.Attempts != 1 {
			t.Errorf("Swap: %+v, %v", r, err)
		}
	})
	t.Run("request lost, the second one arrives", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onUpdate = func(n int, w dns.ResponseWriter, r *dns.Msg) {
			if n == 2 {
				f.reply(w, r, f.apply(r))
			}
		}
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		if err != nil || !r.Applied || r.Recovered || r.Attempts != 2 {
			t.Errorf("Swap: %+v, %v", r, err)
		}
	})
	t.Run("applied late, the second one finds a false condition", func(t *testing.T) {
		f := startFake(t, onBlue())
		var first *dns.Msg
		f.onUpdate = func(n int, w dns.ResponseWriter, r *dns.Msg) {
			if n == 1 {
				first = r.Copy()
				return
			}
			f.apply(first)
			f.reply(w, r, f.apply(r))
		}
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		if err != nil || !r.Applied || !r.Recovered || r.Attempts != 2 {
			t.Errorf("Swap: %+v, %v", r, err)
		}
	})
	t.Run("nothing ever comes back", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onUpdate = func(int, dns.ResponseWriter, *dns.Msg) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.onQuery = func(dns.ResponseWriter, *dns.Msg) bool { return true }
		}
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		if !errors.Is(err, zone.ErrUncertain) || r.Attempts != 1 {
			t.Errorf("Swap: %+v, %v: it tried again without knowing what the first message did", r, err)
		}
	})
	t.Run("somebody else moved it meanwhile", func(t *testing.T) {
		f := startFake(t, onBlue())
		other := zone.RRset{Name: onBlue().Name, Type: "CNAME", TTL: 60, Data: []string{"other.lb.test."}}
		f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
			f.put(other)
			f.reply(w, r, f.apply(r))
		}
		if _, err := f.driver(nil).Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrMoved) {
			t.Errorf("Swap returned %v, want ErrMoved", err)
		}
	})
	t.Run("cancelled while it waits", func(t *testing.T) {
		f := startFake(t, onBlue())
		ctx, cancel := context.WithCancel(t.Context())
		f.onUpdate = func(_ int, _ dns.ResponseWriter, r *dns.Msg) {
			f.apply(r)
			cancel()
		}
		r, err := f.driver(nil).Swap(ctx, toGreen())
		if err != nil || !r.Recovered {
			t.Errorf("Swap: %+v, %v: the caller does not learn that the record has moved", r, err)
		}
		f = startFake(t, onBlue())
		ctx, cancel = context.WithCancel(t.Context())
		f.onUpdate = func(int, dns.ResponseWriter, *dns.Msg) { cancel() }
		if r, err := f.driver(nil).Swap(ctx, toGreen()); !errors.Is(err, zone.ErrUncertain) || !errors.Is(err, context.Canceled) || r.Attempts != 1 {
			t.Errorf("Swap: %+v, %v", r, err)
		}
	})
	t.Run("a doubled reply and one to another message", func(t *testing.T) {
		f := startFake(t, onBlue())
		f.onUpdate = func(n int, w dns.ResponseWriter, r *dns.Msg) {
			rcode := f.apply(r)
			if n == 1 {
				m := new(dns.Msg)
				m.SetRcode(r, dns.RcodeRefused)
				m.Id++
				f.send(w, r, m, true)
			}
			f.reply(w, r, rcode)
			f.reply(w, r, rcode)
		}
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		if err != nil || !r.Applied || r.Attempts != 1 {
			t.Errorf("Swap: %+v, %v", r, err)
		}
	})
}

// TestC05_YesAloneIsNoSuccess: a server that acknowledges and does nothing is found out.
func TestC05_YesAloneIsNoSuccess(t *testing.T) {
	f := startFake(t, onBlue())
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) { f.reply(w, r, dns.RcodeSuccess) }
	if r, err := f.driver(nil).Swap(t.Context(), toGreen()); !errors.Is(err, zone.ErrNotApplied) || r.Applied {
		t.Errorf("Swap: %+v, %v, want ErrNotApplied", r, err)
	}
}

// TestC05_ASlowPrimaryIsWaitedFor: one that signs a copy of its zone shows the change a little after its yes.
func TestC05_ASlowPrimaryIsWaitedFor(t *testing.T) {
	f := startFake(t, onBlue())
	var late *dns.Msg
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
		f.mu.Lock()
		late, f.queries = r.Copy(), 0
		f.mu.Unlock()
		f.reply(w, r, dns.RcodeSuccess)
	}
	f.onQuery = func(dns.ResponseWriter, *dns.Msg) bool {
		f.mu.Lock()
		now := late != nil && f.queries == 4
		f.mu.Unlock()
		if now {
			f.apply(late)
		}
		return false
	}
	r, err := f.driver(func(o *Options) { o.Settle = 10 * time.Second }).Swap(t.Context(), toGreen())
	if err != nil || !r.Applied || r.Recovered || r.Attempts != 1 || r.After[0].Data[0] != "green.lb.test." {
		t.Errorf("Swap: %+v, %v", r, err)
	}
}

// TestC05_OneMessageDeletesThenAdds: every type that cannot stand beside a CNAME is a condition, and deletions precede
// additions.
func TestC05_OneMessageDeletesThenAdds(t *testing.T) {
	address := zone.RRset{Name: onBlue().Name, Type: "A", TTL: 60, Data: []string{"192.0.2.1", "192.0.2.2"}}
	f := startFake(t, address)
	change := zone.Change{Name: onBlue().Name, Old: []zone.RRset{address}, New: []zone.RRset{onGreen()}}
	if _, err := f.driver(nil).Swap(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	// The rehearsal of a change to a CNAME comes first, at a name of its own.
	var at []*dns.Msg
	for _, m := range f.updates {
		if m.Ns[0].Header().Name == onBlue().Name {
			at = append(at, m)
		}
	}
	if len(at) != 1 {
		t.Fatalf("%d messages changed the name", len(at))
	}
	m := at[0]
	absent := map[uint16]bool{}
	for _, p := range m.Answer {
		if p.Header().Class == dns.ClassNONE {
			absent[p.Header().Rrtype] = true
		}
	}
	for _, typ := range []uint16{dns.TypeCNAME, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeCAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeNS} {
		if !absent[typ] {
			t.Errorf("that there is no %s is not a condition", dns.Type(typ))
		}
	}
	if len(m.Ns) != 3 || m.Ns[0].Header().Class != dns.ClassNONE || m.Ns[1].Header().Class != dns.ClassNONE || m.Ns[2].Header().Rrtype != dns.TypeCNAME {
		t.Errorf("the updates are %v", m.Ns)
	}
}

// lossy is a server that deletes what a message wants deleted and drops what it adds.
func (f *fake) lossy(r *dns.Msg) int {
	f.mu.Lock()
	for _, u := range r.Ns {
		if h := u.Header(); h.Class == dns.ClassNONE {
			delete(f.sets, h.Name+" "+dns.Type(h.Rrtype).String())
		}
	}
	f.mu.Unlock()
	return dns.RcodeSuccess
}

// TestC05_AliasIsRehearsed: a server that loses a name whose addresses a CNAME replaces is found out at a name of our
// own; the real one keeps its answer, and nothing is left behind.
func TestC05_AliasIsRehearsed(t *testing.T) {
	address := zone.RRset{Name: onBlue().Name, Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
	f := startFake(t, address)
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
		if len(r.Ns) > 1 && r.Ns[1].Header().Rrtype == dns.TypeCNAME && r.Ns[1].Header().Class == dns.ClassINET {
			f.reply(w, r, f.lossy(r))
			return
		}
		f.reply(w, r, f.apply(r))
	}
	d := f.driver(nil)
	_, err := d.Swap(t.Context(), zone.Change{Name: address.Name, Old: []zone.RRset{address}, New: []zone.RRset{onGreen()}})
	if !errors.Is(err, zone.ErrInvalid) {
		t.Errorf("Swap returned %v, want ErrInvalid", err)
	}
	if got, err := d.Lookup(t.Context(), address.Name, "A"); err != nil || got.TTL != 60 {
		t.Errorf("the name holds %+v, %v", got, err)
	}
	for key, rrs := range f.sets {
		if strings.HasPrefix(key, "crossfade-rehearsal") && len(rrs) > 0 {
			t.Errorf("the rehearsal left %v", rrs)
		}
	}
}

// TestC05_EmptiedNameIsFilledAtOnce: where a server carries out half of a message all the same, the name gets its new
// records before anything else is done, and the result does not call that atomic.
func TestC05_EmptiedNameIsFilledAtOnce(t *testing.T) {
	from := zone.RRset{Name: onBlue().Name, Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
	to := zone.RRset{Name: onBlue().Name, Type: "A", TTL: 60, Data: []string{"192.0.2.2"}}
	change := zone.Change{Name: from.Name, Old: []zone.RRset{from}, New: []zone.RRset{to}}
	f := startFake(t, from)
	f.onUpdate = func(n int, w dns.ResponseWriter, r *dns.Msg) {
		if n == 1 {
			f.reply(w, r, f.lossy(r))
			return
		}
		f.reply(w, r, f.apply(r))
	}
	r, err := f.driver(nil).Swap(t.Context(), change)
	if err != nil || !r.Applied || r.Strength != zone.Weak || r.Attempts != 2 || len(r.After) != 1 {
		t.Errorf("Swap: %+v, %v", r, err)
	}
	// A name that somebody else emptied is not filled: the server did not say yes to us.
	f = startFake(t, from)
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
		f.lossy(r)
		f.reply(w, r, dns.RcodeNXRrset)
	}
	if r, err := f.driver(nil).Swap(t.Context(), change); !errors.Is(err, zone.ErrMoved) || r.Attempts != 1 || len(f.updates) != 1 {
		t.Errorf("Swap: %+v, %v", r, err)
	}
}

// TestC06_NeverAWholeName: deletions name their data; class ANY, which deletes sets and names, is never used.
func TestC06_NeverAWholeName(t *testing.T) {
	f := startFake(t, onBlue())
	d := f.driver(nil)
	fence := zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "one"}
	change := toGreen()
	change.Fence = fence
	if err := d.Claim(t.Context(), onBlue().Name, fence, ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []zone.Change{change, change.Reverse(), {Name: onBlue().Name, Old: []zone.RRset{onBlue()}, Remove: true}} {
		if _, err := d.Swap(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Release(t.Context(), fence); err != nil {
		t.Fatal(err)
	}
	changing := 0
	for _, m := range f.updates {
		if len(m.Ns) > 0 {
			changing++ // others only ask
		}
		for _, u := range m.Ns {
			if u.Header().Class == dns.ClassANY {
				t.Errorf("an update deletes more than one record: %v", u)
			}
		}
	}
	if changing != 5 {
		t.Errorf("%d messages for five changes", changing)
	}
}

// TestC07_ProbeFindsAServerWithoutConditions: also one that ignores only one of the two kinds.
func TestC07_ProbeFindsAServerWithoutConditions(t *testing.T) {
	for what, ignored := range map[string]func(*dns.Msg) bool{
		"all":     func(*dns.Msg) bool { return true },
		"present": func(m *dns.Msg) bool { return m.Answer[0].Header().Class == dns.ClassINET },
		"absent":  func(m *dns.Msg) bool { return m.Answer[0].Header().Class == dns.ClassNONE },
	} {
		f := startFake(t, onBlue())
		f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
			switch {
			case ignored(r), r.Answer[0].Header().Class == dns.ClassANY:
				f.reply(w, r, dns.RcodeSuccess)
			case r.Answer[0].Header().Class == dns.ClassNONE:
				f.reply(w, r, dns.RcodeYXRrset)
			default:
				f.reply(w, r, dns.RcodeNXRrset)
			}
		}
		if err := f.driver(nil).Probe(t.Context(), onBlue().Name); !errors.Is(err, zone.ErrConditionsIgnored) {
			t.Errorf("%s: Probe returned %v, want ErrConditionsIgnored", what, err)
		}
	}
}

// TestC07_FenceIsAConditionOfTheMessage: the token is in the same message as the change, so that a take-over between
// reading and writing is noticed by the server.
func TestC07_FenceIsAConditionOfTheMessage(t *testing.T) {
	f := startFake(t, onBlue())
	d := f.driver(nil)
	fence := zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "mine"}
	f.put(fenceSet(fence.Name, "mine"))
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
		f.put(fenceSet(fence.Name, "theirs")) // just now
		f.reply(w, r, f.apply(r))
	}
	low := zone.RRset{Name: onBlue().Name, Type: "CNAME", TTL: 5, Data: onBlue().Data}
	_, err := d.Swap(t.Context(), zone.Change{Name: onBlue().Name, Old: []zone.RRset{onBlue()}, New: []zone.RRset{low}, Fence: fence})
	var fenced *zone.FencedError
	if !errors.As(err, &fenced) || fenced.Found != "theirs" {
		t.Errorf("Swap returned %v, want a FencedError", err)
	}
	if got, err := d.Lookup(t.Context(), onBlue().Name, "CNAME"); err != nil || got.TTL != 60 {
		t.Errorf("the stale writer changed the record: %+v, %v", got, err)
	}
}
