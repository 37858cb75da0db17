package cutover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/internal/protocol"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	defaultCheckTimeout    = 5 * time.Second
	defaultCertificateDays = 14
	day                    = 24 * time.Hour
	// parallelChecks bounds what one round asks of a side at once.
	parallelChecks = 8
)

// Phase is when a check is asked.
type Phase int

// The phases. Before the swap green is asked by its address; after it, checks that say so are asked end to end. During a shift, when
// resolvers lead to both sides, every check is asked, and all of them by green's address.
const (
	BeforeSwap Phase = iota
	AfterSwap
	DuringShift
)

// CheckOptions say which checks are sent where.
type CheckOptions struct {
	Options
	App string
	// Side to judge: "green" or "blue".
	Side string
	// Entries of the application's hostnames; see Entries.
	Entries []Entries
	// Phase chooses among the checks by their when.
	Phase Phase
	// History is what earlier rounds gathered. Nil lets checks that gather send all that they need at once.
	History *History
	// Baselines are numbers from before the swap, by check.
	Baselines map[string]float64
	// rules are those from before a switch, by host: a run that was killed may have switched already.
	rules rulesByHost
}

// asks reports whether a check is asked in the phase.
func (o CheckOptions) asks(c migration.Check) bool {
	switch o.Phase {
	case AfterSwap:
		return c.After()
	case DuringShift:
		return true
	}
	return c.Before()
}

// Check sends every check of the phase to every address of a side's entry, or to those that resolvers give, under the real
// hostname, and returns one gate for each. An application without checks has no gates, and so no verdict that passes. An
// error means that the checks could not be sent at all; a check that fails is no error.
func Check(ctx context.Context, opts CheckOptions) ([]Gate, error) {
	app, err := opts.application(opts.App)
	if err != nil {
		return nil, err
	}
	var probes []probe
	for _, check := range app.Checks {
		if !opts.asks(check) {
			continue
		}
		found, err := probesOf(ctx, opts, app, check)
		if err != nil {
			return nil, err
		}
		probes = append(probes, found...)
	}
	gates := make([]Gate, len(probes))
	var group errgroup.Group
	group.SetLimit(parallelChecks)
	for i, p := range probes {
		group.Go(func() error {
			gates[i] = p.run(ctx)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return gates, ctx.Err()
}

// probe is one check that goes to one address.
type probe struct {
	opts  CheckOptions
	check migration.Check
	app   string
	side  string
	entry Entry
	// blue is where the same check is sent to compare.
	blue *Entry
	addr netip.Addr
	port int
	// between says that the address is neither side's: something in between, such as a provider's proxy, answers there.
	between bool
	// pod is asked in the place of an address.
	pod *podAt
	// alone says that blue cannot be asked for an answer to compare with: users reach green where they reached blue.
	alone bool
	// known is what there is to say without sending anything.
	known *finding
}

func probesOf(ctx context.Context, opts CheckOptions, app migration.Application, check migration.Check) ([]probe, error) {
	base := probe{opts: opts, check: check, app: app.Name, side: opts.Side}
	if len(app.Hostnames) == 0 {
		if len(check.Command) > 0 || check.Prometheus != nil {
			return []probe{base}, nil
		}
		return nil, &Error{Op: fmt.Sprintf("check %q of %s", check.Name, app.Name), Hint: "an application without hostnames can be checked by a command or by Prometheus only"}
	}
	both, err := entriesFor(opts, app, check)
	if err != nil {
		return nil, err
	}
	if opts.atBackend(app.Name, both.Hostname) {
		return routeProbes(ctx, opts, app, check, both, base)
	}
	base.entry = both.On(opts.Side)
	if opts.Side != sideBlue && both.Blue.known() {
		base.blue = &both.Blue
	}
	base.port = checkPort(check, base.entry.Port)
	if check.Prometheus != nil {
		return []probe{base}, nil
	}
	if len(check.Command) > 0 {
		if len(base.entry.Addresses) > 0 {
			base.addr = base.entry.Addresses[0]
		}
		return []probe{base}, nil
	}
	addresses := base.entry.Addresses
	var probes []probe
	endToEnd := opts.Phase == AfterSwap && check.EndToEnd() && opts.Side == sideGreen
	if endToEnd {
		var said []finding
		addresses, said = opts.reached(ctx, both)
		for _, f := range said {
			probes = append(probes, base.knowing(f))
		}
	}
	for _, addr := range addresses {
		p := base
		p.addr = addr
		p.between = endToEnd && !slices.Contains(both.Green.Addresses, addr) && !slices.Contains(both.Blue.Addresses, addr)
		probes = append(probes, p)
	}
	for _, family := range check.Families {
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.Is4() == (family == "ipv4") }) {
			probes = append(probes, base.knowing(failed("%s has no %s address of %s", opts.Side, family, strings.TrimSuffix(base.entry.Hostname, "."))))
		}
	}
	if len(probes) == 0 {
		return []probe{base}, nil // inconclusive: there is nowhere to send it
	}
	return probes, nil
}

func (p probe) knowing(f finding) probe {
	p.known = &f
	return p
}

func entriesFor(opts CheckOptions, app migration.Application, check migration.Check) (Entries, error) {
	hostname := app.Hostnames[0].Name
	switch {
	case check.HTTP != nil && check.HTTP.Hostname != "":
		hostname = check.HTTP.Hostname
	case check.Probes != nil && check.Probes.HTTP.Hostname != "":
		hostname = check.Probes.HTTP.Hostname
	case check.TLS != nil && check.TLS.Hostname != "":
		hostname = check.TLS.Hostname
	case check.GRPC != nil && check.GRPC.Hostname != "":
		hostname = check.GRPC.Hostname
	}
	for _, e := range opts.Entries {
		if sameName(e.Hostname, hostname) {
			return e, nil
		}
	}
	return Entries{}, &Error{Op: fmt.Sprintf("check %q of %s", check.Name, app.Name), Hint: "name one of the application's hostnames", Err: fmt.Errorf("no entry is known for %s", hostname)}
}

func checkPort(check migration.Check, port int) int {
	switch {
	case check.TCP != nil && check.TCP.Port > 0:
		return check.TCP.Port
	case check.TLS != nil && check.TLS.Port > 0:
		return check.TLS.Port
	case check.GRPC != nil && check.GRPC.Port > 0:
		return check.GRPC.Port
	case check.TLS != nil && port == 0:
		return portHTTPS
	case check.HTTP != nil && port == 0 && check.HTTP.Scheme == "http", check.Probes != nil && port == 0 && check.Probes.HTTP.Scheme == "http":
		return portHTTP
	case port == 0:
		return portHTTPS
	}
	return port
}

func (p probe) timeout() time.Duration { return p.check.Timeout.Or(defaultCheckTimeout) }

func (p probe) address() string {
	if p.pod != nil {
		return p.pod.where()
	}
	if !p.addr.IsValid() {
		return ""
	}
	return p.at(p.addr).String()
}

func (p probe) run(ctx context.Context) Gate {
	began := p.opts.now()
	gate := Gate{App: p.app, Check: p.check.Name, Side: p.side, Hostname: p.entry.Hostname, Address: p.address(), At: began}
	if p.check.Probes == nil { // whose requests each have their own
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout())
		defer cancel()
	}
	found := p.find(ctx)
	gate.Outcome, gate.Text, gate.Silent = found.outcome, found.text, found.silent
	gate.Took = p.opts.now().Sub(began)
	return gate
}

func (p probe) find(ctx context.Context) finding {
	switch {
	case p.known != nil:
		return *p.known
	case len(p.check.Command) > 0:
		return p.command(ctx)
	case p.check.Prometheus != nil:
		return p.prometheus(ctx)
	case !p.addr.IsValid() && p.pod == nil:
		return unknown("no address of %s is known on %s", p.entry.Hostname, p.side)
	case p.check.HTTP != nil:
		return p.http(ctx)
	case p.check.Probes != nil:
		return p.probes(ctx)
	case p.check.GRPC != nil:
		return p.grpc(ctx)
	case p.check.TLS != nil:
		return p.tls(ctx)
	case p.check.TCP != nil:
		return p.tcp(ctx)
	}
	return unknown("the check says nothing to check")
}

// at is an address, at the port that is checked.
func (p probe) at(addr netip.Addr) netip.AddrPort { return netip.AddrPortFrom(addr, uint16(p.port)) }

func (p probe) target(to netip.AddrPort) protocol.Target {
	return protocol.Target{Addr: to, Hostname: bareHost(p.entry.Hostname), Roots: p.opts.Roots}
}

func (p probe) tcp(ctx context.Context) finding {
	if err := p.target(p.at(p.addr)).TCP(ctx); err != nil {
		return judged(err)
	}
	return passed("connected")
}

// tls demands that the chain is still valid for the days.
func (p probe) tls(ctx context.Context) finding {
	end, err := p.target(p.at(p.addr)).CertificateEnd(ctx)
	if err != nil {
		return judged(err)
	}
	days := p.check.TLS.Days
	if days <= 0 {
		days = defaultCertificateDays
	}
	left := end.Sub(p.opts.now())
	text := fmt.Sprintf("the chain is valid until %s, %d days from now; %d are demanded", end.UTC().Format(time.DateOnly), int(math.Floor(left.Hours()/day.Hours())), days)
	if left < time.Duration(days)*day {
		return failed("%s", text)
	}
	return passed("%s", text)
}

func (p probe) grpc(ctx context.Context) finding {
	header := http.Header{}
	probeHeader(header, p.opts.Migration)
	health := protocol.Health{Service: p.check.GRPC.Service, Plaintext: p.check.GRPC.Plaintext, Metadata: map[string]string{HeaderProbe: header.Get(HeaderProbe)}}
	err := p.target(p.at(p.addr)).Health(ctx, health)
	switch {
	case errors.Is(err, protocol.ErrTimeUp):
		return finding{outcome: Inconclusive, text: "no answer within " + p.timeout().String(), silent: true}
	case err != nil:
		return judged(err)
	}
	return passed("%s is SERVING", health)
}

// judged is what an error of asking an address says of it.
func judged(err error) finding {
	var unclear *protocol.UnclearError
	switch {
	case errors.As(err, &unclear):
		return unknown("%v", err)
	case protocol.Refused(err):
		return failed("%v", err)
	}
	return finding{outcome: Inconclusive, text: "no answer: " + err.Error(), silent: true}
}

// sameName reports whether two texts are one name: the file may have it in letters of its own, a server has it in A-labels.
func sameName(a, b string) bool { return canonicalOr(a) == canonicalOr(b) }

// canonicalOr is a name in the one form that can be compared, or as it is where it is none.
func canonicalOr(name string) string {
	if canonical, err := dnsx.Canonical(name); err == nil {
		return canonical
	}
	return name
}
