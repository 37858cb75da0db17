package route53

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Sets that share a name and a type differ in their set identifiers. Those of a split are ours.
const (
	identifierOld = "crossfade-" + zone.ShareOld
	identifierNew = "crossfade-" + zone.ShareNew
)

// weighable refuses what the service takes in no weighted set: it holds one record ("ResourceRecordSet", API reference). Weights are
// from 0 to 255, and all weights 0 would mean equal shares; those of a split are from 1 to 99.
func weighable(w zone.Weighing) error {
	for _, set := range slices.Concat(w.Old, w.New) {
		if len(set.Data) > 1 {
			return fmt.Errorf("%w: a weighted set of Route 53 has one record, and this %s set has %d: %s", zone.ErrInvalid, set.Type, len(set.Data), strings.Join(set.Data, ", "))
		}
	}
	return nil
}

// gather makes one set of the two weighted ones that are a split of ours. Whatever else stands at the name and type, or says more
// than a weight, leaves all of them as they are: special.
func gather(sets []transaction.Set) []transaction.Set {
	var out []transaction.Set
	for _, set := range sets {
		group := slices.DeleteFunc(slices.Clone(sets), func(o transaction.Set) bool { return o.Name != set.Name || o.Type != set.Type })
		split, ok := ours(group)
		switch {
		case !ok:
			out = append(out, set)
		case !slices.ContainsFunc(out, func(o transaction.Set) bool { return o.Name == set.Name && o.Type == set.Type }):
			out = append(out, split)
		}
	}
	return out
}

// ours returns all sets of one name and type as one split, where they are exactly that.
func ours(group []transaction.Set) (transaction.Set, bool) {
	if len(group) != 2 || group[0].TTL != group[1].TTL {
		return transaction.Set{}, false
	}
	split := transaction.Set{RRset: zone.RRset{Name: group[0].Name, Type: group[0].Type, TTL: group[0].TTL}}
	var native []types.ResourceRecordSet
	for _, side := range []string{identifierOld, identifierNew} {
		i := slices.IndexFunc(group, func(s transaction.Set) bool {
			n, ok := s.Native.(types.ResourceRecordSet)
			return ok && aws.ToString(n.SetIdentifier) == side
		})
		if i < 0 {
			return transaction.Set{}, false
		}
		n, ok := group[i].Native.(types.ResourceRecordSet)
		if !ok || n.Weight == nil || len(n.ResourceRecords) != 1 || n.AliasTarget != nil || n.HealthCheckId != nil || n.TrafficPolicyInstanceId != nil {
			return transaction.Set{}, false
		}
		normal, err := dnsx.Normal(dnsx.RRset(group[i].RRset))
		if err != nil {
			return transaction.Set{}, false
		}
		native = append(native, n)
		split.Shares = append(split.Shares, transaction.Share{Side: strings.TrimPrefix(side, "crossfade-"), Weight: int(*n.Weight), Data: normal.Data})
	}
	split.Special, split.Native = "weighted: "+transaction.Weights(split.Shares), native
	return split, true
}

// natives are the service's sets for one set: those that were read, or else new ones. A split is two.
func natives(set transaction.Set) []types.ResourceRecordSet {
	switch n := set.Native.(type) {
	case types.ResourceRecordSet:
		return []types.ResourceRecordSet{n}
	case []types.ResourceRecordSet:
		return n
	}
	if len(set.Shares) == 0 {
		return []types.ResourceRecordSet{toNative(set.RRset)}
	}
	var out []types.ResourceRecordSet
	for _, share := range set.Shares {
		one := set.RRset
		one.Data = share.Data
		n := toNative(one)
		n.SetIdentifier, n.Weight = aws.String("crossfade-"+share.Side), aws.Int64(int64(share.Weight))
		out = append(out, n)
	}
	return out
}
