package route53

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// A Driver changes one hosted zone. It may be used by several goroutines at once.
type Driver struct {
	*transaction.Engine
	api *api
}

var _ interface {
	zone.Zone
	zone.Lister
	zone.Weigher
} = (*Driver)(nil)

// api is the API of one hosted zone.
type api struct {
	apex   string
	opts   Options
	client *route53.Client

	mu sync.Mutex
	id string // of the hosted zone, once it is known to be the right one
}

// zoneID returns the hosted zone's ID. It is looked up once: public and private zones may share a name, and one account may have
// several zones of one name.
func (a *api) zoneID(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.id != "" {
		return a.id, nil
	}
	id, err := a.findZone(ctx)
	if err == nil {
		a.id = id
	}
	return id, err
}

func (a *api) findZone(ctx context.Context) (string, error) {
	if a.opts.HostedZone != "" {
		got, err := a.client.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: aws.String(a.opts.HostedZone)})
		if err != nil {
			return "", classify(err)
		}
		name, err := canonical(got.HostedZone.Name)
		if err == nil && name != a.apex {
			err = &zone.Error{
				Op: "open the hosted zone " + a.opts.HostedZone, Hint: "compare the zone's name with hostedZone",
				Err: fmt.Errorf("%w: it is the zone %s, not %s", zone.ErrInvalid, name, a.apex),
			}
		}
		return a.opts.HostedZone, err
	}
	var same, right []string
	for input := (&route53.ListHostedZonesByNameInput{DNSName: aws.String(toOctal(a.apex))}); ; {
		page, err := a.client.ListHostedZonesByName(ctx, input)
		if err != nil {
			return "", classify(err)
		}
		for _, z := range page.HostedZones {
			name, err := canonical(z.Name)
			if err != nil || name != a.apex {
				continue
			}
			id := strings.TrimPrefix(aws.ToString(z.Id), "/hostedzone/")
			private := z.Config != nil && z.Config.PrivateZone
			same = append(same, fmt.Sprintf("%s (%s)", id, map[bool]string{true: "private", false: "public"}[private]))
			if private == a.opts.Private {
				right = append(right, id)
			}
		}
		// The zones are in order of their names: others of this name would follow at once.
		next, err := canonical(page.NextDNSName)
		if !page.IsTruncated || err != nil || next != a.apex {
			break
		}
		input = &route53.ListHostedZonesByNameInput{DNSName: page.NextDNSName, HostedZoneId: page.NextHostedZoneId}
	}
	if len(right) == 1 {
		return right[0], nil
	}
	what := "this account has no hosted zone of that name"
	if len(same) > 0 {
		what = "these hosted zones have that name: " + strings.Join(same, ", ")
	}
	return "", &zone.Error{
		Op: "find the hosted zone " + a.apex, Hint: "name the one that is meant by hostedZone: ID; private: true chooses among private ones",
		Err: fmt.Errorf("%w: %s", zone.ErrInvalid, what),
	}
}

// At implements transaction.Provider.
func (a *api) At(ctx context.Context, name string) ([]transaction.Set, error) {
	var sets []transaction.Set
	err := a.pages(ctx, name, 100, func(s transaction.Set) bool {
		if s.Name == name {
			sets = append(sets, s)
		}
		return s.Name == name
	})
	return gather(sets), err
}

// InTree implements transaction.Provider. Sets are listed by their names with the labels reversed, so that what stands at or below a
// name begins where the name is looked for.
func (a *api) InTree(ctx context.Context, name string) (bool, error) {
	in := false
	err := a.pages(ctx, name, 1, func(s transaction.Set) bool {
		in = dnsx.InZone(s.Name, name)
		return false
	})
	return in, err
}

// List implements zone.Lister. The service gives pages of at most 300 sets, and each page as it is at that moment.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	var out []zone.RRset
	err := d.api.pages(ctx, "", 300, func(s transaction.Set) bool {
		native, ok := s.Native.(types.ResourceRecordSet)
		if ok && native.AliasTarget != nil {
			out = append(out, zone.RRset{Name: s.Name, Type: "ALIAS", Data: aliasNames(native.AliasTarget)})
			return true
		}
		out = append(out, s.RRset)
		return true
	})
	if err != nil {
		return nil, &zone.Error{Op: "list the zone " + d.Apex() + " at Route 53", Hint: hint(err), Err: err}
	}
	return out, nil
}

// aliasNames are the names by which the target of an alias is known: the console puts dualstack. before a load balancer's.
func aliasNames(to *types.AliasTarget) []string {
	name, err := canonical(to.DNSName)
	if err != nil {
		return []string{aws.ToString(to.DNSName)}
	}
	names := []string{name}
	if plain, ok := strings.CutPrefix(name, "dualstack."); ok {
		names = append(names, plain)
	}
	return names
}

// pages gives every set from a name on to each, until that has seen enough.
func (a *api) pages(ctx context.Context, from string, size int32, each func(transaction.Set) bool) error {
	id, err := a.zoneID(ctx)
	if err != nil {
		return err
	}
	input := &route53.ListResourceRecordSetsInput{HostedZoneId: aws.String(id), MaxItems: aws.Int32(size)}
	if from != "" {
		input.StartRecordName = aws.String(toOctal(from))
	}
	for {
		page, err := a.client.ListResourceRecordSets(ctx, input)
		if err != nil {
			return classify(err)
		}
		for _, native := range page.ResourceRecordSets {
			set, err := fromNative(native)
			if err != nil {
				return err
			}
			if !each(set) {
				return nil
			}
		}
		if !page.IsTruncated {
			return nil
		}
		next := &route53.ListResourceRecordSetsInput{
			HostedZoneId: aws.String(id), MaxItems: aws.Int32(size),
			StartRecordName: page.NextRecordName, StartRecordType: page.NextRecordType, StartRecordIdentifier: page.NextRecordIdentifier,
		}
		if page.NextRecordName == nil || samePlace(input, next) {
			return errors.New("the service says that there is more, and not where")
		}
		input = next
	}
}

func samePlace(a, b *route53.ListResourceRecordSetsInput) bool {
	return aws.ToString(a.StartRecordName) == aws.ToString(b.StartRecordName) && a.StartRecordType == b.StartRecordType &&
		aws.ToString(a.StartRecordIdentifier) == aws.ToString(b.StartRecordIdentifier)
}

// Change implements transaction.Provider.
func (a *api) Change(ctx context.Context, remove, add []transaction.Set) (string, error) {
	id, err := a.zoneID(ctx)
	if err != nil {
		return "", err
	}
	made, err := a.client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: aws.String(id), ChangeBatch: &types.ChangeBatch{Changes: changes(remove, add), Comment: aws.String("crossfade")},
	}, func(o *route53.Options) { o.Retryer = retryer(a.opts, false) })
	if err != nil {
		return "", classify(err)
	}
	if made.ChangeInfo == nil {
		return "", errors.New("the service's answer names no change")
	}
	return strings.TrimPrefix(aws.ToString(made.ChangeInfo.Id), "/change/"), nil
}

// changes puts removals first: the service carries a batch out in its order, and takes no set beside one that conflicts with it.
func changes(remove, add []transaction.Set) []types.Change {
	var list []types.Change
	for _, set := range remove {
		for _, native := range natives(set) {
			list = append(list, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: &native})
		}
	}
	for _, set := range add {
		for _, native := range natives(set) {
			list = append(list, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: &native})
		}
	}
	return list
}

// Spread implements transaction.Provider.
func (a *api) Spread(ctx context.Context, id string) (bool, error) {
	got, err := a.client.GetChange(ctx, &route53.GetChangeInput{Id: aws.String(id)})
	if err != nil {
		return false, classify(err)
	}
	return got.ChangeInfo != nil && got.ChangeInfo.Status == types.ChangeStatusInsync, nil
}
