package route53

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/internal/transaction"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Route 53 writes bytes that are no letters, digits, hyphens or underscores as a backslash and three octal digits ("DNS domain name
// format", Developer Guide); zone files have three decimal digits there (RFC 1035 section 5.1).

// fromOctal turns the service's notation into that of zone files.
func fromOctal(s string) string { return escapes(s, 8, `\%03d`) }

// toOctal turns the notation of zone files into the service's.
func toOctal(s string) string { return escapes(s, 10, `\%03o`) }

func escapes(s string, base int, form string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], base, 8); err == nil {
				fmt.Fprintf(&b, form, n)
				i += 3
				continue
			}
		}
		fmt.Fprintf(&b, form, s[i+1]) // a character that stands for itself
		i++
	}
	return b.String()
}

// canonical is a name of the service as all of Crossfade compares names.
func canonical(name *string) (string, error) { return dnsx.Canonical(fromOctal(aws.ToString(name))) }

// fromNative returns a set as this project compares sets, with what makes it special.
func fromNative(native types.ResourceRecordSet) (transaction.Set, error) {
	name, err := canonical(native.Name)
	if err != nil {
		return transaction.Set{}, fmt.Errorf("read the name of a record set: %w", err)
	}
	set := transaction.Set{RRset: zone.RRset{Name: name, Type: string(native.Type)}, Native: native, Special: special(native)}
	if native.TTL != nil {
		set.TTL = uint32(*native.TTL)
	}
	for _, r := range native.ResourceRecords {
		set.Data = append(set.Data, fromOctal(aws.ToString(r.Value)))
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

// special says what a set is beside a plain one.
func special(s types.ResourceRecordSet) string {
	var parts []string
	if s.AliasTarget != nil {
		parts = append(parts, "an alias of "+aws.ToString(s.AliasTarget.DNSName))
	}
	policy := ""
	switch {
	case s.Weight != nil:
		policy = fmt.Sprintf("weighted (%d)", *s.Weight)
	case s.Region != "":
		policy = "chosen by latency (" + string(s.Region) + ")"
	case s.Failover != "":
		policy = "for failover (" + string(s.Failover) + ")"
	case s.GeoLocation != nil, s.GeoProximityLocation != nil:
		policy = "chosen by place"
	case s.CidrRoutingConfig != nil:
		policy = "chosen by network"
	case s.MultiValueAnswer != nil:
		policy = "one of several answers"
	}
	if policy != "" || s.SetIdentifier != nil {
		parts = append(parts, strings.TrimPrefix(policy+", set identifier "+aws.ToString(s.SetIdentifier), ", "))
	}
	if s.TrafficPolicyInstanceId != nil {
		parts = append(parts, "made by the traffic policy instance "+*s.TrafficPolicyInstanceId)
	}
	if s.HealthCheckId != nil {
		parts = append(parts, "bound to the health check "+*s.HealthCheckId)
	}
	return strings.Join(parts, ", ")
}

// toNative writes a plain set in the service's notation.
func toNative(set zone.RRset) types.ResourceRecordSet {
	out := types.ResourceRecordSet{Name: aws.String(toOctal(set.Name)), Type: types.RRType(set.Type), TTL: aws.Int64(int64(set.TTL))}
	for _, data := range set.Data {
		out.ResourceRecords = append(out.ResourceRecords, types.ResourceRecord{Value: aws.String(toOctal(data))})
	}
	return out
}
