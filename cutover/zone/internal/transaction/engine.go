package transaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Options of an Engine.
type Options struct {
	// Apex is the zone's name, in any form.
	Apex string
	// Where stands in errors: "Route 53".
	Where string
	// Attempts is how often one change is sent at most. 0 is 3.
	Attempts int
	// Poll is the time between two questions whether a change has spread. 0 is 2 s.
	Poll time.Duration
	// Limit is how long a change may take to spread. 0 is 5 min.
	Limit time.Duration
	// Weighable says what of a weighing the provider would never take, as ErrInvalid. Nil is nothing.
	Weighable func(zone.Weighing) error
	// Hint says what mends an error that is none of the contract's, or nothing.
	Hint  func(error) string
	Clock clock.Clock
	Log   *slog.Logger
}

// An Engine changes one zone.
type Engine struct {
	provider Provider
	opts     Options
}

// readTime bounds the reading back after a change whose caller may be gone.
const readTime = 30 * time.Second

// New checks the options. It asks nothing of the provider.
func New(p Provider, o Options) (*Engine, error) {
	apex, err := dnsx.Canonical(o.Apex)
	if err != nil {
		return nil, &zone.Error{Op: "set up the zone " + o.Apex + " at " + o.Where, Hint: "give the zone's name", Err: err}
	}
	o.Apex = apex
	o.Attempts, o.Poll, o.Limit = cmp.Or(o.Attempts, 3), cmp.Or(o.Poll, 2*time.Second), cmp.Or(o.Limit, 5*time.Minute)
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hint == nil {
		o.Hint = func(error) string { return "" }
	}
	return &Engine{provider: p, opts: o}, nil
}

// Apex implements zone.Zone.
func (e *Engine) Apex() string { return e.opts.Apex }

// Strength implements zone.Swapper.
func (e *Engine) Strength() zone.Strength { return zone.Transactional }

// Lookup implements zone.Reader.
func (e *Engine) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	sets, err := e.Gather(ctx, name, typ)
	if err == nil && len(sets) == 0 {
		err = e.errorOf(fmt.Sprintf("look up %s %s", name, typ), zone.ErrNotExist)
	}
	if err != nil {
		return zone.RRset{}, err
	}
	return sets[0], nil
}

// Gather implements zone.Gatherer: the API gives all types of a name at once.
func (e *Engine) Gather(ctx context.Context, name string, types ...string) ([]zone.RRset, error) {
	op := fmt.Sprintf("look up %s %s", name, strings.Join(types, ", "))
	name, err := dnsx.Canonical(name)
	if err != nil {
		return nil, e.errorOf(op, err)
	}
	at, err := e.provider.At(ctx, name)
	if err != nil {
		return nil, e.errorOf(op, err)
	}
	var sets []zone.RRset
	for _, typ := range types {
		for _, set := range ofType(at, typ) {
			if set.Special != "" {
				return nil, e.errorOf(op, &specialError{set})
			}
			sets = append(sets, set.RRset)
		}
	}
	return sets, nil
}

// specialError says that a set stands where only plain ones are changed.
type specialError struct{ set Set }

// Error implements error.
func (e *specialError) Error() string {
	return fmt.Sprintf("%v: the %s set at %s is %s, and is left as it is", zone.ErrInvalid, e.set.Type, e.set.Name, e.set.Special)
}

// Unwrap makes errors.Is find both: nothing that a swap of plain records could do, and in the way of one.
func (e *specialError) Unwrap() []error { return []error{zone.ErrInvalid, zone.ErrConflict} }

// errorOf says where an error happened and what mends it.
func (e *Engine) errorOf(op string, err error) error {
	var known *zone.Error
	if errors.As(err, &known) {
		return err
	}
	out := &zone.Error{Op: op + " at " + e.opts.Where, Hint: e.opts.Hint(err), Err: err}
	var special *specialError
	switch {
	case errors.As(err, &special) && special.set.Shares != nil:
		out.Hint = "where it is a gradual shift that has not ended, `crossfade run` goes on with it and `crossfade rollback` takes it back; else put one plain record in its place"
	case errors.As(err, &special):
		out.Hint = "put one plain record in its place first, such as a CNAME to the load balancer's name: routing policies and aliases are never changed here"
	case errors.Is(err, zone.ErrFenced):
		out.Hint = "another run holds this name: end it, or, if it is dead, remove its TXT record by hand"
	}
	return out
}

// token is the text of a fence among the sets of its name, empty where there is none.
func token(sets []Set) string {
	var tokens []string
	for _, set := range sets {
		if set.Type != "TXT" {
			continue
		}
		for _, data := range set.Data {
			tokens = append(tokens, strings.Trim(data, `"`))
		}
	}
	return strings.Join(tokens, " ")
}

// Fences have one of two TTLs, in turn.
const (
	fenceTTL      = 60
	otherFenceTTL = 61
)

// fenceSet is the fence that follows what is there.
func fenceSet(name, token string, now []Set) Set {
	ttl := uint32(fenceTTL)
	for _, set := range now {
		if set.Type == "TXT" && set.TTL == fenceTTL {
			ttl = otherFenceTTL
		}
	}
	return Set{RRset: zone.RRset{Name: name, Type: "TXT", TTL: ttl, Data: []string{`"` + token + `"`}}}
}

// plainly makes sets that are added of plain ones.
func plainly(sets []zone.RRset) []Set {
	var out []Set
	for _, set := range sets {
		out = append(out, Set{RRset: set})
	}
	return out
}

func ofType(sets []Set, types ...string) []Set {
	var out []Set
	for _, set := range sets {
		for _, t := range types {
			if set.Type == t {
				out = append(out, set)
			}
		}
	}
	return out
}
