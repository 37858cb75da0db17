package clouddns

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"google.golang.org/api/dns/v1"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// A Driver changes one managed zone. It may be used by several goroutines at once.
type Driver struct {
	*transaction.Engine
	api *api
}

var _ interface {
	zone.Zone
	zone.Lister
	zone.Weigher
} = (*Driver)(nil)

// api is the API of one managed zone.
type api struct {
	apex    string
	opts    Options
	service *dns.Service

	mu    sync.Mutex
	right bool // the managed zone is known to have the DNS name
}

// check finds out once whether the managed zone is the zone that is meant: its own name says nothing of its DNS name, and public
// and private zones may share that.
func (a *api) check(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.right {
		return nil
	}
	got, err := a.service.ManagedZones.Get(a.opts.Project, a.opts.ManagedZone).Context(ctx).Do()
	if err != nil {
		return classify(err)
	}
	if name, err := dnsx.Canonical(got.DnsName); err != nil || name != a.apex {
		return &zone.Error{
			Op: "open the managed zone " + a.opts.ManagedZone, Hint: "compare the zone's name with managedZone",
			Err: fmt.Errorf("%w: it is the zone %s, not %s", zone.ErrInvalid, got.DnsName, a.apex),
		}
	}
	a.right = true
	return nil
}

// At implements transaction.Provider.
func (a *api) At(ctx context.Context, name string) ([]transaction.Set, error) {
	return a.list(ctx, name)
}

// InTree implements transaction.Provider. Names below a name can only be found by listing the whole zone, which is not done.
func (a *api) InTree(ctx context.Context, name string) (bool, error) {
	sets, err := a.At(ctx, name)
	return len(sets) > 0, err
}

// List implements zone.Lister.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	fail := func(err error) ([]zone.RRset, error) {
		return nil, &zone.Error{Op: "list the zone " + d.Apex() + " at Cloud DNS", Hint: hint(err), Err: err}
	}
	sets, err := d.api.list(ctx, "")
	if err != nil {
		return fail(err)
	}
	var out []zone.RRset
	for _, set := range sets {
		whole, err := answers(set)
		if err != nil {
			return fail(err)
		}
		out = append(out, whole)
	}
	return out, nil
}

// answers returns a set with all the answers that its routing policy may give: any of them leads somewhere. The policies nest, and
// name their answers by these fields ("ResourceRecordSet", API reference).
func answers(set transaction.Set) (zone.RRset, error) {
	native, ok := set.Native.(*dns.ResourceRecordSet)
	if !ok || native.RoutingPolicy == nil {
		return set.RRset, nil
	}
	raw, err := json.Marshal(native.RoutingPolicy)
	if err != nil {
		return zone.RRset{}, fmt.Errorf("read the routing policy of %s: %w", set.Name, err)
	}
	var policy any
	if err := json.Unmarshal(raw, &policy); err != nil {
		return zone.RRset{}, fmt.Errorf("read the routing policy of %s: %w", set.Name, err)
	}
	out := set.RRset
	out.Data = collect(policy, "")
	if normal, err := dnsx.Normal(dnsx.RRset(out)); err == nil {
		out = zone.RRset(normal)
	}
	return out, nil
}

// collect returns the texts of the fields that hold answers.
func collect(v any, field string) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			out = append(out, collect(x, k)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, collect(x, field)...)
		}
	case string:
		if field == "rrdatas" || field == "externalEndpoints" || field == "ipAddress" {
			out = append(out, v)
		}
	}
	return out
}

// list returns the sets of one name, or of the whole zone, page by page.
func (a *api) list(ctx context.Context, name string) ([]transaction.Set, error) {
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	call := a.service.ResourceRecordSets.List(a.opts.Project, a.opts.ManagedZone)
	if name != "" {
		call = call.Name(name)
	}
	var sets []transaction.Set
	err := call.Pages(ctx, func(page *dns.ResourceRecordSetsListResponse) error {
		for _, native := range page.Rrsets {
			set, err := fromNative(native)
			if err != nil {
				return err
			}
			if name == "" || set.Name == name {
				sets = append(sets, set)
			}
		}
		return nil
	})
	if err != nil {
		return nil, classify(err)
	}
	return sets, nil
}

// fromNative returns a set as this project compares sets, with what makes it special.
func fromNative(native *dns.ResourceRecordSet) (transaction.Set, error) {
	name, err := dnsx.Canonical(native.Name)
	if err != nil {
		return transaction.Set{}, fmt.Errorf("read the name of a record set: %w", err)
	}
	native.ForceSendFields = []string{"Ttl"} // 0 is a TTL too, and a deletion must hold it
	set := transaction.Set{
		RRset:  zone.RRset{Name: name, Type: native.Type, TTL: uint32(native.Ttl), Data: native.Rrdatas},
		Native: native,
	}
	if p := native.RoutingPolicy; p != nil {
		var kinds []string
		for kind, has := range map[string]bool{"by place": p.Geo != nil, "by weight": p.Wrr != nil, "for failover": p.PrimaryBackup != nil} {
			if has {
				kinds = append(kinds, kind)
			}
		}
		set.Special = strings.TrimSpace("chosen by a routing policy " + strings.Join(kinds, " and "))
		if set.Shares = sharesOf(native); set.Shares != nil {
			set.Special += ": " + transaction.Weights(set.Shares)
		}
	}
	if len(set.Data) == 0 {
		return set, nil
	}
	normal, err := dnsx.Normal(dnsx.RRset(set.RRset))
	switch {
	case err == nil:
		set.RRset = zone.RRset(normal)
	case set.Special == "":
		set.Special = "in a form that is not understood (" + err.Error() + ")"
	}
	return set, nil
}

// Change implements transaction.Provider.
func (a *api) Change(ctx context.Context, remove, add []transaction.Set) (string, error) {
	if err := a.check(ctx); err != nil {
		return "", err
	}
	change := new(dns.Change)
	for _, set := range remove {
		native, ok := set.Native.(*dns.ResourceRecordSet)
		if !ok {
			native = toNative(set)
		}
		change.Deletions = append(change.Deletions, native)
	}
	for _, set := range add {
		change.Additions = append(change.Additions, toNative(set))
	}
	made, err := a.service.Changes.Create(a.opts.Project, a.opts.ManagedZone, change).Context(ctx).Do()
	if err != nil {
		return "", classifyChange(err)
	}
	return made.Id, nil
}

// toNative has data or a routing policy: a set has one of the two ("ResourceRecordSet", API reference).
func toNative(set transaction.Set) *dns.ResourceRecordSet {
	native := &dns.ResourceRecordSet{
		Kind: "dns#resourceRecordSet", Name: set.Name, Type: set.Type, Ttl: int64(set.TTL), Rrdatas: set.Data, ForceSendFields: []string{"Ttl"},
	}
	if len(set.Shares) > 0 {
		wrr := new(dns.RRSetRoutingPolicyWrrPolicy)
		for _, s := range set.Shares {
			wrr.Items = append(wrr.Items, &dns.RRSetRoutingPolicyWrrPolicyWrrPolicyItem{Weight: float64(s.Weight), Rrdatas: s.Data})
		}
		native.RoutingPolicy = &dns.RRSetRoutingPolicy{Wrr: wrr}
	}
	return native
}

// sharesOf returns the answers of a routing policy that only weighs: two items with whole weights, and nothing that is checked.
func sharesOf(native *dns.ResourceRecordSet) []transaction.Share {
	p := native.RoutingPolicy
	if p == nil || p.Wrr == nil || p.Geo != nil || p.PrimaryBackup != nil || p.HealthCheck != "" || len(p.Wrr.Items) != 2 || len(native.Rrdatas) > 0 {
		return nil
	}
	var shares []transaction.Share
	for _, item := range p.Wrr.Items {
		set, err := dnsx.Normal(dnsx.RRset{Name: native.Name, Type: native.Type, TTL: uint32(native.Ttl), Data: item.Rrdatas})
		if err != nil || item.HealthCheckedTargets != nil || item.Weight != math.Trunc(item.Weight) || item.Weight < 0 || item.Weight > 1e6 {
			return nil
		}
		shares = append(shares, transaction.Share{Weight: int(item.Weight), Data: set.Data})
	}
	return shares
}

// Spread implements transaction.Provider.
func (a *api) Spread(ctx context.Context, id string) (bool, error) {
	got, err := a.service.Changes.Get(a.opts.Project, a.opts.ManagedZone, id).Context(ctx).Do()
	if err != nil {
		return false, classify(err)
	}
	return got.Status == "done", nil
}
