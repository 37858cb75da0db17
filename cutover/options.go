package cutover

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Options are what every part of a cutover needs. Parts that ask no cluster, no zone or no resolver do without them.
type Options struct {
	// Migration is the migration's name. It goes into fences, labels and the header of every request that a gate sends.
	Migration string
	// Stage is the prefix of the changes' IDs: "ttl", "swap/shop".
	Stage string
	// Times of the file's cutover section; zero fields have the defaults that the file documents.
	Times migration.Cutover
	// Rehearsal shortens floors. Nil is none.
	Rehearsal *migration.Rehearsal
	// Applications of the whole file.
	Applications []migration.Application
	// Zones that hold the applications' hostnames.
	Zones []Zone
	// Names asks name servers. Nil is a *dnsx.Client.
	Names Names
	// Blue and Green are where the entries are read.
	Blue, Green Side
	// Secret resolves a reference of the file; what says for what. Nil means that checks refer to none.
	Secret func(ctx context.Context, ref *migration.SecretRef, what string) (string, error)
	// Roots judge certificates. Nil means the machine's.
	Roots *x509.CertPool
	// NoWait ends the wait for an old TTL with a *PausedError instead of waiting: a later run goes on.
	NoWait bool
	// Waits is told what old TTLs are waited for, before the wait begins. Nil tells nobody.
	Waits func([]Wait) error
	// Paused are the Deployments of external-dns that this migration has scaled to 0 and not started again.
	Paused []Paused
	// Pausing is told of one before it is scaled to 0: what it keeps is what a rollback starts it again from. Nil tells nobody.
	Pausing func(Paused) error
	// Before is what the plans of the TTL stage have left that are forgotten: their fences are ours, and so are the TTLs that they lowered.
	Before Before
	// Raised are TTLs above the lowered ones that were seen since the TTL stage; Raising is told of a further one. Nil tells nobody.
	Raised  []Raised
	Raising func(Raised) error
	// TakeOver lets PlanTTL take a fence that an earlier, lost run of the same migration holds.
	TakeOver bool

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

// Zone is a zone of the file with the driver that changes it.
type Zone struct {
	migration.Zone
	Driver zone.Zone
}

// Side is one cluster, as a cutover sees it.
type Side struct {
	// Kube reads Services and Ingresses. Nil means that the file names every entry.
	Kube *kube.Client
	// Namespaces maps the file's namespaces to this side's. What is not listed keeps its name.
	Namespaces map[string]string
}

// Names asks name servers. *dnsx.Client is one.
type Names interface {
	// Discover finds the zone that holds a name, its servers and what stands at the name.
	Discover(ctx context.Context, name string, from dnsx.Source) (dnsx.Delegation, error)
	// Propagated asks every address of every server once; its error is nil only when each shows exactly the wanted sets,
	// and wraps dnsx.ErrNotPropagated where one does not.
	Propagated(ctx context.Context, servers []dnsx.Server, wants ...dnsx.RRset) ([]dnsx.ServerAnswer, error)
	// Survey asks every address of every server what it holds at a name, and for its signatures.
	Survey(ctx context.Context, servers []dnsx.Server, o dnsx.SurveyOptions) []dnsx.View
	// ReadSet returns what a zone's servers say with authority of one type at a name; without data where there is none.
	ReadSet(ctx context.Context, cut dnsx.Cut, name, typ string) (dnsx.RRset, error)
	// CAAVia returns the CAA set that would govern a name if it led to target; nil where none would.
	CAAVia(ctx context.Context, d dnsx.Delegation, target string, from dnsx.Source) (*dnsx.RRset, error)
	// Ask puts one question to one address; recurse is set for a resolver.
	Ask(ctx context.Context, addr netip.AddrPort, name, typ string, recurse bool) (dnsx.Answer, error)
}

// HeaderProbe is on every request that a gate sends, so that an application need not count it as a user's.
const HeaderProbe = "X-Crossfade-Probe"

// Defaults of the file's cutover section.
const (
	defaultTTL         = 60 * time.Second
	defaultMargin      = 5 * time.Second
	defaultInterval    = 5 * time.Second
	defaultBreaches    = 2
	defaultPropagation = 2 * time.Minute
	soakFloor          = 60 * time.Second
)

func (o Options) clock() clock.Clock {
	if o.Clock == nil {
		return clock.System{}
	}
	return o.Clock
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

func (o Options) names() Names {
	if o.Names == nil {
		return &dnsx.Client{}
	}
	return o.Names
}

// secret resolves a reference of a check.
func (o Options) secret(ctx context.Context, ref *migration.SecretRef, what string) (string, error) {
	if ref == nil {
		return "", nil
	}
	if o.Secret == nil {
		return "", &Error{Op: "read the secret of " + what, Hint: "set Options.Secret: nothing resolves references here"}
	}
	return o.Secret(ctx, ref, what)
}

func (o Options) now() time.Time { return o.clock().Now().UTC() }

func (o Options) ttl() time.Duration         { return o.Times.TTL.Or(defaultTTL) }
func (o Options) margin() time.Duration      { return o.Times.Margin.Or(defaultMargin) }
func (o Options) interval() time.Duration    { return o.Times.Interval.Or(defaultInterval) }
func (o Options) propagation() time.Duration { return o.Times.Propagation.Or(defaultPropagation) }

func (o Options) breaches() int {
	if o.Times.Breaches < 1 {
		return defaultBreaches
	}
	return o.Times.Breaches
}

// soakBase is the part of the floor under the soak that does not depend on the TTL.
func (o Options) soakBase() time.Duration {
	if o.Rehearsal != nil && o.Rehearsal.Soak > 0 {
		return o.Rehearsal.Soak.D()
	}
	return soakFloor
}

// lowTTL is the lowered TTL in seconds; a TTL of 0 would let no cache help during a swap.
func (o Options) lowTTL() uint32 { return max(1, seconds(o.ttl())) }

func seconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

func (o Options) application(name string) (migration.Application, error) {
	for _, app := range o.Applications {
		if app.Name == name {
			return app, nil
		}
	}
	return migration.Application{}, &Error{Op: "find application " + name, Hint: "name one of the file's applications"}
}

func (o Options) side(name string) Side {
	if name == sideGreen {
		return o.Green
	}
	return o.Blue
}

func (s Side) namespace(name string) string {
	if to, ok := s.Namespaces[name]; ok {
		return to
	}
	return name
}

// front is blue, for pods of ours before its Services.
func (o Options) front() front.Cluster {
	return front.Cluster{Kube: o.Blue.Kube, Migration: o.Migration, Clock: o.clock(), Log: o.log()}
}

func (o Options) runOptions() plan.RunOptions { return plan.RunOptions{Observer: o.Observer} }

func probeHeader(h http.Header, migration string) {
	if migration == "" {
		migration = "crossfade"
	}
	h.Set(HeaderProbe, migration)
}
