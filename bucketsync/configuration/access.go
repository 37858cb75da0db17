package configuration

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// publicAccess: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html,
// https://cloud.google.com/storage/docs/public-access-prevention, https://cloud.google.com/storage/docs/uniform-bucket-level-access.
func (m *mapping) publicAccess() {
	p := m.Source.PublicAccess
	if p == nil || m.noPlace(bucket.PartPublicAccess, "a block of public access") {
		return
	}
	const part = bucket.PartPublicAccess
	all := bucket.PublicAccess{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, RestrictBuckets: true, NoACLs: true}
	switch {
	case m.within() && m.to(s3, gcs):
		kept := *p
		m.answer.Apply.PublicAccess = &kept
		m.enter(part, Kept, "%s", accessWords(*p))
	case m.to(s3, gcs):
		m.answer.Apply.PublicAccess = &all
		m.enter(part, Mapped, "%s: at the destination all public access is prevented, which is at least as strict", accessWords(*p))
	case m.to(azure):
		m.enter(part, Mapped, "%s: the container is private; the switch of the account is as it is", accessWords(*p))
	default:
		m.enter(part, Lost, "%s: the bucket is private, and %s has nothing that keeps it so", accessWords(*p), m.To.Provider)
	}
}

func accessWords(p bucket.PublicAccess) string {
	var words []string
	for _, s := range []struct {
		on   bool
		word string
	}{{p.BlockACLs, "public ACLs are refused"}, {p.IgnoreACLs, "public ACLs are ignored"}, {p.BlockPolicy, "public policies are refused"}, {p.RestrictBuckets, "public policies let nobody in from outside"}, {p.NoACLs, "ACLs are off"}} {
		if s.on {
			words = append(words, s.word)
		}
	}
	if len(words) == 0 {
		return "no switch is on"
	}
	return strings.Join(words, ", ")
}

// policy carries who may do what, within one provider, and lists it for any other.
func (m *mapping) policy() {
	p := m.Source.Policy
	if p == nil {
		return
	}
	for _, g := range p.Grants {
		for _, principal := range slices.Concat(g.Principals, g.NotPrincipals) {
			m.identify(principal, "policy", strings.Join(g.Actions, ", "))
		}
	}
	if m.noPlace(bucket.PartPolicy, "the policy") {
		return
	}
	if !m.sameRealm() {
		for _, g := range p.Grants {
			m.enter(bucket.PartPolicy, Lost, "%s: %s", g, grantHint(g))
		}
		return
	}
	if m.From.Prefix != m.To.Prefix {
		for _, g := range p.Grants {
			m.enter(bucket.PartPolicy, Lost, "%s: the keys have another prefix at the destination, write it anew for that", g)
		}
		return
	}
	switch p.Dialect {
	case bucket.DialectS3:
		m.policyS3(*p)
	case bucket.DialectGCS:
		m.policyGCS(*p)
	case bucket.DialectAzure:
		m.policyAzure(*p)
	}
}

func grantHint(g bucket.Grant) string {
	switch {
	case public(g):
		return "the destination is private; make it public yourself if it is to be"
	case g.Deny:
		return "see to it that nobody may at the destination either"
	}
	return "give it at the destination, to the identities that are listed"
}

// mayBePrivate says that blue may be private although its policy lets everybody in: at the providers' own services, a switch
// of the account or of the organisation stands above the bucket, and no request for the bucket tells it.
func (m *mapping) mayBePrivate() bool { return m.From.Provider != minio && !m.From.Server }

// policyS3 carries the statements whose resources lie in the bucket, under its new name.
func (m *mapping) policyS3(p bucket.Policy) {
	var doc map[string]json.RawMessage
	var statements []map[string]json.RawMessage
	if json.Unmarshal(p.Document, &doc) != nil {
		return
	}
	if json.Unmarshal(doc["Statement"], &statements) != nil {
		var one map[string]json.RawMessage
		if json.Unmarshal(doc["Statement"], &one) != nil {
			return
		}
		statements = append(statements, one)
	}
	var kept []map[string]json.RawMessage
	for i, g := range p.Grants {
		if i >= len(statements) {
			break
		}
		if public(g) && m.mayBePrivate() {
			m.enter(bucket.PartPolicy, Lost, "%s: a switch of the account may keep the source private in spite of it; put it into the destination's policy yourself if that is to be public", g)
			continue
		}
		foreign := false
		for _, element := range []string{"Resource", "NotResource"} {
			if raw, ok := statements[i][element]; ok {
				moved, inside := m.moveResources(raw)
				statements[i][element] = moved
				foreign = foreign || !inside
			}
		}
		if foreign {
			m.enter(bucket.PartPolicy, Lost, "%s: it names another bucket", g)
			continue
		}
		kept = append(kept, statements[i])
		m.enter(bucket.PartPolicy, Kept, "%s", g)
	}
	if len(kept) == 0 {
		return
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		return
	}
	doc["Statement"] = raw
	document, err := json.Marshal(doc)
	if err != nil {
		return
	}
	if parsed, err := bucket.ParseS3Policy(document); err == nil {
		m.answer.Apply.Policy = parsed
	}
}

// moveResources gives the ARNs of a statement the new bucket's name. It reports whether all of them are the old bucket's.
func (m *mapping) moveResources(raw json.RawMessage) (json.RawMessage, bool) {
	var names []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		names = []string{one}
	} else if json.Unmarshal(raw, &names) != nil {
		return raw, false
	}
	for i, name := range names {
		head, rest, ok := strings.Cut(name, ":s3:::")
		at, key, below := strings.Cut(rest, "/")
		if !ok || at != m.From.Bucket {
			return raw, false
		}
		names[i] = head + ":s3:::" + m.To.Bucket
		if below {
			names[i] += "/" + key
		}
	}
	moved, err := json.Marshal(names)
	if err != nil {
		return raw, false
	}
	return moved, true
}

// narrowing are the keys of conditions by which a policy for everybody is not public, where they are compared with fixed values:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
func narrowing() []string {
	return []string{
		"aws:principalorgid", "aws:principalarn", "aws:principalaccount", "aws:sourceaccount", "aws:sourcearn", "aws:sourceowner",
		"aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:sourceip", "s3:dataaccesspointarn", "s3:dataaccesspointaccount",
	}
}

// public reports whether a statement lets everybody in. A condition takes that away only in the ways that S3 documents.
func public(g bucket.Grant) bool {
	if !g.Public() {
		return false
	}
	var conditions map[string]map[string]json.RawMessage
	if g.Conditions == "" || json.Unmarshal([]byte(g.Conditions), &conditions) != nil {
		return true
	}
	for operator, keys := range conditions {
		// Not…, …IfExists and ForAllValues let in who has no such value.
		switch strings.ToLower(operator) {
		case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress":
		default:
			continue
		}
		for key, raw := range keys {
			if slices.Contains(narrowing(), strings.ToLower(key)) && fixed(raw) {
				return false
			}
		}
	}
	return true
}

// fixed reports whether the values of a condition leave somebody out: no wildcards, no variables, no range of half the Internet.
func fixed(raw json.RawMessage) bool {
	var values []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		values = []string{one}
	} else if json.Unmarshal(raw, &values) != nil {
		return false
	}
	for _, v := range values {
		if strings.ContainsAny(v, "*?") || strings.Contains(v, "${") {
			return false
		}
		if p, err := netip.ParsePrefix(v); err == nil && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 32) {
			return false
		}
	}
	return len(values) > 0
}

// binding is a binding of Cloud IAM as JSON has it.
type binding struct {
	Role      string          `json:"role"`
	Members   []string        `json:"members"`
	Condition json.RawMessage `json:"condition,omitempty"`
}

// policyGCS carries bindings but those that every bucket has from its own project, and those that let everybody in.
func (m *mapping) policyGCS(p bucket.Policy) {
	var bindings, kept []binding
	if json.Unmarshal(p.Document, &bindings) != nil {
		return
	}
	var grants []bucket.Grant
	for i, b := range bindings {
		var members, left []string
		for _, member := range b.Members {
			switch {
			case ofProject(member):
			case member == "allUsers" || member == "allAuthenticatedUsers":
				left = append(left, member)
			default:
				members = append(members, member)
			}
		}
		if len(left) > 0 {
			m.enter(bucket.PartPolicy, Lost, "%s for %s: a policy of the organisation may keep the source private in spite of it; bind the role at the destination yourself if that is to be public", b.Role, strings.Join(left, ", "))
		}
		if len(members) == 0 {
			continue
		}
		b.Members = members
		b.Condition = json.RawMessage(strings.ReplaceAll(string(b.Condition), "/buckets/"+m.From.Bucket+"/", "/buckets/"+m.To.Bucket+"/"))
		if len(b.Condition) == 0 {
			b.Condition = nil
		}
		kept = append(kept, b)
		g := p.Grants[i]
		g.Principals = members
		grants = append(grants, g)
		m.enter(bucket.PartPolicy, Kept, "%s", g)
	}
	if len(kept) == 0 {
		return
	}
	document, err := json.Marshal(kept)
	if err != nil {
		return
	}
	m.answer.Apply.Policy = &bucket.Policy{Dialect: bucket.DialectGCS, Document: document, Grants: grants}
}

// ofProject reports whether a member is a role of the bucket's project: each bucket has those of its own.
// https://cloud.google.com/storage/docs/access-control/iam#convenience-values
func ofProject(member string) bool {
	kind, _, _ := strings.Cut(member, ":")
	return kind == "projectOwner" || kind == "projectEditor" || kind == "projectViewer"
}

// policyAzure carries stored access policies. Public access is the account's to allow.
func (m *mapping) policyAzure(p bucket.Policy) {
	var doc map[string]json.RawMessage
	if json.Unmarshal(p.Document, &doc) != nil {
		return
	}
	delete(doc, "public")
	var grants []bucket.Grant
	for _, g := range p.Grants {
		if g.Public() {
			m.enter(bucket.PartPolicy, Lost, "%s: the account may keep the source private in spite of it; set the container's access level yourself if it is to be public", g)
			continue
		}
		grants = append(grants, g)
		m.enter(bucket.PartPolicy, Kept, "%s", g)
	}
	document, err := json.Marshal(doc)
	if err != nil || len(grants) == 0 {
		return
	}
	m.answer.Apply.Policy = &bucket.Policy{Dialect: bucket.DialectAzure, Document: document, Grants: grants}
}
