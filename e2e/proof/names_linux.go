package proof

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// lookEvery is how often each server is asked for each name.
const lookEvery = 100 * time.Millisecond

// A watch asks every server for every name of a scene until it is stopped.
type watch struct {
	stop func()
	all  sync.WaitGroup

	mu      sync.Mutex
	asked   int
	moves   []move
	denied  []string // answers that say that there is nothing
	silent  int      // questions without an answer, in all
	current map[string]string
}

// A move is the first answer of a server that leads to another side.
type move struct {
	at           time.Time
	server, host string
	to           string // blue or green
}

// lookout is one server that is asked.
type lookout struct {
	name    string
	addr    netip.AddrPort
	recurse bool
}

func (s *scene) watchNames(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{stop: cancel, current: map[string]string{}}
	for name, text := range map[string]string{"primary": s.rig.Primary, "secondary": s.rig.Secondary, "resolver": s.rig.Resolver} {
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			cancel()
			return fmt.Errorf("read the address of the %s: %w", name, err)
		}
		for _, host := range s.hosts() {
			w.all.Go(func() { w.follow(ctx, lookout{name, addr, name == "resolver"}, host) })
		}
	}
	s.watch = w
	return nil
}

// follow asks one server for one name until the context ends.
func (w *watch) follow(ctx context.Context, at lookout, host string) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reply, err := at.ask(ctx, host)
		if ctx.Err() == nil {
			w.note(at, host, reply, err)
		}
	}
}

// ask asks as a stub resolver does: over UDP, and once more if no answer comes.
func (at lookout) ask(ctx context.Context, host string) (*dns.Msg, error) {
	msg := new(dns.Msg)
	msg.SetQuestion(dns.Fqdn(host), dns.TypeCNAME)
	if at.recurse {
		msg.SetQuestion(dns.Fqdn(host), dns.TypeA)
	}
	msg.RecursionDesired = at.recurse
	client := &dns.Client{Timeout: 2 * time.Second}
	reply, _, err := client.ExchangeContext(ctx, msg, at.addr.String())
	if err != nil && ctx.Err() == nil {
		msg.Id = dns.Id()
		reply, _, err = client.ExchangeContext(ctx, msg, at.addr.String())
	}
	return reply, err
}

func (w *watch) note(at lookout, host string, reply *dns.Msg, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if err != nil {
		w.silent++
		return
	}
	if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 {
		w.denied = append(w.denied, fmt.Sprintf("%s %s answers %s for %s", time.Now().Format("15:04:05.000"), at.name, dns.RcodeToString[reply.Rcode], host))
		return
	}
	side := sideOf(reply.Answer)
	if key := at.name + " " + host; w.current[key] != side {
		w.current[key] = side
		w.moves = append(w.moves, move{at: time.Now(), server: at.name, host: host, to: side})
	}
}

// sideOf reads which side's load balancer the records lead to.
func sideOf(records []dns.RR) string {
	for _, rr := range records {
		alias, ok := rr.(*dns.CNAME)
		for _, side := range []string{"blue", "green"} {
			if ok && strings.Contains(alias.Target, "."+side+".lb.") {
				return side
			}
		}
	}
	return ""
}

// moved returns when the last server showed a side for a name, after a time; zero where not all of them have.
func (w *watch) moved(host, side string, after time.Time) (authoritative, resolver time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[string]time.Time{}
	for _, m := range w.moves {
		if m.host == host && m.to == side && m.at.After(after) {
			last[m.server] = m.at
		}
	}
	if p, s := last["primary"], last["secondary"]; !p.IsZero() && !s.IsZero() {
		authoritative = p
		if s.After(p) {
			authoritative = s
		}
	}
	return authoritative, last["resolver"]
}

// where says to which side every server leads now for a name, or that they differ.
func (w *watch) where(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	side := w.current["primary "+host]
	for _, server := range []string{"secondary", "resolver"} {
		if other := w.current[server+" "+host]; other != side {
			return fmt.Sprintf("primary %s, %s %s", side, server, other)
		}
	}
	return side
}

// end stops the watch and returns how often it asked, what was denied, and how often nobody answered.
func (w *watch) end() (asked int, denied []string, silent int) {
	w.stop()
	w.all.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.denied, w.silent
}
