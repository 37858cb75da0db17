package azuredns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Keys of metadata that are ours.
const (
	metaFence    = "crossfadeFence"    // in a guarded set: the token under which it may be changed
	metaGuards   = "crossfadeGuards"   // in the fence: the name that it guards
	metaUnderway = "crossfadeUnderway" // in the fence: which change of several requests is under way
)

// fenceTTL is short, though nobody who matters asks for a fence through a cache.
const fenceTTL = 60

// A Driver changes one zone. It may be used by several goroutines at once.
type Driver struct {
	apex     string // with its dot
	zone     string // as Azure names it, without
	group    string
	sets     *armdns.RecordSetsClient
	gap      time.Duration
	attempts int
	timeout  time.Duration
	settle   time.Duration
	clock    clock.Clock
	log      *slog.Logger
}

var _ interface {
	zone.Zone
	zone.Lister
	zone.Resumer
	zone.Judger
} = (*Driver)(nil)

// New checks the options. It sends nothing.
func New(ctx context.Context, o Options) (*Driver, error) {
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up the Azure DNS zone " + o.Apex, Hint: hint, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	apex, err := dnsx.Canonical(o.Apex)
	if err != nil {
		return fail("give the zone's name", err)
	}
	if o.Subscription == "" || o.ResourceGroup == "" {
		return fail("give the subscription's ID and the resource group that holds the zone", errors.New("one of them is missing"))
	}
	at, err := o.cloud()
	if err != nil {
		return fail("give the URL of Azure Resource Manager, or none for the public cloud", err)
	}
	client, err := o.transport()
	if err != nil {
		return fail("", err)
	}
	// The SDK makes no request again by itself: whether one was carried out is found out by reading (C4).
	options := azcore.ClientOptions{Cloud: at, Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}}
	credential, err := o.credential(options)
	if err != nil {
		return fail("give tenant, client and secret, or none of them for Azure's default chain", err)
	}
	sets, err := armdns.NewRecordSetsClient(o.Subscription, credential, &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true})
	if err != nil {
		return fail("", err)
	}
	d := &Driver{
		apex: apex, zone: strings.TrimSuffix(apex, "."), group: o.ResourceGroup, sets: sets, gap: o.Gap,
		attempts: cmp.Or(o.Attempts, 3), timeout: cmp.Or(o.Timeout, time.Minute), settle: cmp.Or(o.Settle, 10*time.Second), clock: o.Clock, log: o.Log,
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

// Strength implements zone.Swapper.
func (d *Driver) Strength() zone.Strength { return zone.Weak }

// Lookup implements zone.Reader.
func (d *Driver) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	op := fmt.Sprintf("look up %s %s", name, typ)
	name, err := dnsx.Canonical(name)
	if err != nil {
		return zone.RRset{}, d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	at, err := d.get(ctx, name, typ)
	switch {
	case err != nil:
		return zone.RRset{}, d.errorOf(op, err)
	case at.alias() != "":
		return zone.RRset{}, d.errorOf(op, aliased(at))
	case len(at.set.Data) == 0:
		return zone.RRset{}, d.errorOf(op, zone.ErrNotExist)
	}
	return at.set, nil
}

// aliased refuses a set whose records Azure computes.
func aliased(at found) error {
	return &zone.Error{
		Op: "read " + at.set.Name, Hint: "put ordinary records in its place first, with the addresses that it has now",
		Err: fmt.Errorf("%w: its %s set is an alias of %s", zone.ErrInvalid, at.set.Type, at.alias()),
	}
}

// List implements zone.Lister.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	op := "list the zone " + d.apex
	var out []zone.RRset
	pages := d.sets.NewListAllByDNSZonePager(d.group, d.zone, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, d.errorOf(op, err)
		}
		for _, raw := range page.Value {
			at, err := d.read(raw)
			if err != nil {
				return nil, d.errorOf(op, err)
			}
			if len(at.set.Data) > 0 {
				out = append(out, at.set)
			}
			if alias := at.alias(); alias != "" {
				out = append(out, zone.RRset{Name: at.set.Name, Type: "ALIAS", TTL: at.set.TTL, Data: []string{d.follows(alias)}})
			}
		}
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out, nil
}

// follows returns the name of the zone that an alias leads to, or the ID of another resource.
func (d *Driver) follows(alias string) string {
	parts := strings.Split(alias, "/")
	if len(parts) > 4 && strings.EqualFold(parts[len(parts)-4], "dnszones") && strings.EqualFold(parts[len(parts)-3], d.zone) {
		return d.absolute(parts[len(parts)-1])
	}
	return alias
}

// relative is a name as Azure has it in a path.
func (d *Driver) relative(name string) string {
	if name == d.apex {
		return "@"
	}
	return strings.TrimSuffix(name, "."+d.apex)
}

func (d *Driver) absolute(relative string) string {
	if relative == "@" {
		return d.apex
	}
	return strings.ToLower(relative) + "." + d.apex
}
