package cloudflare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// A Driver changes one zone. It may be used by several goroutines at once.
type Driver struct {
	apex     string
	api      *client
	attempts int
	timeout  time.Duration
	settle   time.Duration
	clock    clock.Clock
	log      *slog.Logger

	mu sync.Mutex
	id string // the zone's, once it is known
}

var _ interface {
	zone.Zone
	zone.Lister
	zone.Proxier
} = (*Driver)(nil)

// New checks the options. It sends nothing.
func New(ctx context.Context, o Options) (*Driver, error) {
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up the Cloudflare zone " + o.Apex, Hint: hint, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	apex, err := dnsx.Canonical(o.Apex)
	if err != nil {
		return fail("give the zone's name", err)
	}
	if o.Token == "" || strings.ContainsAny(o.Token, " \t\r\n") {
		return fail("give an API token with the permission DNS Write", errors.New("the token is empty, or has spaces in it"))
	}
	base := strings.TrimSuffix(cmp.Or(o.Endpoint, endpoint), "/")
	if at, err := url.Parse(base); err != nil || at.Host == "" {
		return fail("give the URL of the API, or none for Cloudflare's own", fmt.Errorf("the endpoint %q is not a URL", o.Endpoint))
	}
	http, err := o.client()
	if err != nil {
		return fail("", err)
	}
	d := &Driver{
		apex: apex, id: o.ZoneID, api: &client{http: http, base: base, token: o.Token}, clock: o.Clock, log: o.Log,
		attempts: cmp.Or(o.Attempts, 3), timeout: cmp.Or(o.Timeout, time.Minute), settle: cmp.Or(o.Settle, 10*time.Second),
	}
	if d.clock == nil {
		d.clock = clock.System{}
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d, nil
}

// Apex implements zone.Zone.
func (d *Driver) Apex() string { return d.apex }

// Strength implements zone.Swapper: the batch is one transaction, and its propagation is not (C19).
func (d *Driver) Strength() zone.Strength { return zone.Weak }

// zone returns the zone's ID, and finds it by the zone's name the first time.
func (d *Driver) zone(ctx context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id != "" {
		return d.id, nil
	}
	var zones []struct {
		ID string `json:"id"`
	}
	if _, err := d.api.call(ctx, "GET", "/zones", url.Values{"name": {strings.TrimSuffix(d.apex, ".")}}, nil, &zones); err != nil {
		return "", fmt.Errorf("find the zone %s: %w", d.apex, err)
	}
	if len(zones) != 1 {
		return "", &zone.Error{
			Op: "find the zone " + d.apex, Hint: "name it by cloudflare.zoneID, and let the token see it",
			Err: fmt.Errorf("the token sees %d zones of that name", len(zones)),
		}
	}
	d.id = zones[0].ID
	return d.id, nil
}

// at returns the records of a name, of every type.
func (d *Driver) at(ctx context.Context, name string) ([]record, error) {
	id, err := d.zone(ctx)
	if err != nil {
		return nil, err
	}
	all, err := d.api.records(ctx, id, url.Values{"name.exact": {strings.TrimSuffix(name, ".")}})
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if !strings.EqualFold(strings.TrimSuffix(r.Name, ".")+".", name) {
			return nil, fmt.Errorf("asked for the records of %s the API showed one of %s", name, r.Name)
		}
	}
	return all, nil
}

// Lookup implements zone.Reader.
func (d *Driver) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	op := fmt.Sprintf("look up %s %s", name, typ)
	name, err := dnsx.Canonical(name)
	if err != nil {
		return zone.RRset{}, d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	all, err := d.at(ctx, name)
	if err != nil {
		return zone.RRset{}, d.errorOf(op, err)
	}
	for _, set := range gather(withoutLocks(ofType(all, typ))) {
		return set, nil
	}
	return zone.RRset{}, d.errorOf(op, zone.ErrNotExist)
}

// List implements zone.Lister. Cloudflare shows neither its SOA nor its own NS as records.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	op := "list the zone " + d.apex
	id, err := d.zone(ctx)
	if err != nil {
		return nil, d.errorOf(op, err)
	}
	all, err := d.api.records(ctx, id, nil)
	if err != nil {
		return nil, d.errorOf(op, err)
	}
	return gather(all), nil
}

// Proxied implements zone.Proxier.
func (d *Driver) Proxied(ctx context.Context, name string) (bool, error) {
	op := "see whether " + name + " is proxied"
	name, err := dnsx.Canonical(name)
	if err != nil {
		return false, d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	all, err := d.at(ctx, name)
	if err != nil {
		return false, d.errorOf(op, err)
	}
	return anyProxied(all), nil
}

func anyProxied(records []record) bool {
	for _, r := range records {
		if r.proxied() {
			return true
		}
	}
	return false
}
