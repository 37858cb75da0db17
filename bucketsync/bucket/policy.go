package bucket

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Dialects of a Policy.
const (
	DialectS3    = "s3"    // a policy document of IAM: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
	DialectGCS   = "gcs"   // bindings of Cloud IAM: https://cloud.google.com/iam/docs/reference/rest/v1/Policy
	DialectAzure = "azure" // a container's public access and its stored access policies
)

// Policy is who may do what to a bucket, as the provider says it, and taken apart.
type Policy struct {
	Dialect string `json:"dialect"`
	// Document is the provider's own, verbatim.
	Document json.RawMessage `json:"document"`
	Grants   []Grant         `json:"grants"`
}

// Grant is one statement of a policy.
type Grant struct {
	ID string `json:"id,omitempty"`
	// Deny takes away instead of giving.
	Deny bool `json:"deny,omitempty"`
	// Principals in the provider's words; "*" is everybody. NotPrincipals means everybody but these.
	Principals    []string `json:"principals,omitempty"`
	NotPrincipals []string `json:"notPrincipals,omitempty"`
	Actions       []string `json:"actions"`   // roles at GCS, permissions at Azure; "NOT …" for NotAction
	Resources     []string `json:"resources"` // empty is the bucket with its objects; "NOT …" for NotResource
	// Conditions as the provider writes them; empty is none.
	Conditions string `json:"conditions,omitempty"`
}

// Everybody is the principal that stands for anyone, with or without credentials.
const Everybody = "*"

// Public reports whether the grant lets anybody in. A condition may narrow it; that is not relied on.
func (g Grant) Public() bool {
	return !g.Deny && (slices.Contains(g.Principals, Everybody) || len(g.NotPrincipals) > 0)
}

// Public reports whether a statement lets anybody in.
func (p Policy) Public() bool { return slices.ContainsFunc(p.Grants, Grant.Public) }

// String is the grant in one line, for people.
func (g Grant) String() string {
	var b strings.Builder
	if g.ID != "" {
		b.WriteString(g.ID + ": ")
	}
	if g.Deny {
		b.WriteString("deny ")
	} else {
		b.WriteString("allow ")
	}
	switch {
	case len(g.NotPrincipals) > 0:
		b.WriteString("everybody but " + strings.Join(g.NotPrincipals, ", "))
	default:
		b.WriteString(strings.ReplaceAll(strings.Join(g.Principals, ", "), Everybody, "everybody"))
	}
	b.WriteString(": " + strings.Join(g.Actions, ", "))
	if len(g.Resources) > 0 {
		b.WriteString(" on " + strings.Join(g.Resources, ", "))
	}
	if g.Conditions != "" {
		b.WriteString(" where " + g.Conditions)
	}
	return b.String()
}

// texts is a JSON value that is a string or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*t = texts{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil {
		return fmt.Errorf("neither a string nor a list of strings: %w", err)
	}
	*t = many
	return nil
}

// principals is the value of Principal: "*", or lists by the kind of principal.
type principals []string

// UnmarshalJSON implements json.Unmarshaler. "AWS" is the kind of accounts, users and roles, whose names say what they are; the other
// kinds are put before the name. {"AWS": "*"} is everybody, as "*" is:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-anonymous
func (p *principals) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*p = principals{one}
		return nil
	}
	var kinds map[string]texts
	if err := json.Unmarshal(raw, &kinds); err != nil {
		return fmt.Errorf("read a principal: %w", err)
	}
	for kind, names := range kinds {
		for _, name := range names {
			if kind != "AWS" {
				name = kind + ":" + name
			}
			*p = append(*p, name)
		}
	}
	slices.Sort(*p)
	return nil
}

type statement struct {
	Sid                   string
	Effect                string
	Principal             principals
	NotPrincipal          principals
	Action, NotAction     texts
	Resource, NotResource texts
	Condition             json.RawMessage
}

// ParseS3Policy takes a policy document apart.
func ParseS3Policy(document []byte) (*Policy, error) {
	var doc struct{ Statement json.RawMessage }
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the bucket's policy: %w", err)
	}
	var statements []statement
	if err := json.Unmarshal(doc.Statement, &statements); err != nil {
		var one statement // a single one may stand without a list
		if json.Unmarshal(doc.Statement, &one) != nil {
			return nil, fmt.Errorf("read the bucket's policy: %w", err)
		}
		statements = []statement{one}
	}
	p := &Policy{Dialect: DialectS3, Document: json.RawMessage(document)}
	for _, s := range statements {
		g := Grant{
			ID: s.Sid, Deny: !strings.EqualFold(s.Effect, "Allow"), Principals: s.Principal, NotPrincipals: s.NotPrincipal,
			Actions: append(s.Action, nots(s.NotAction)...), Resources: append(s.Resource, nots(s.NotResource)...),
		}
		if text := string(s.Condition); text != "" && text != "{}" && text != "null" {
			g.Conditions = text
		}
		p.Grants = append(p.Grants, g)
	}
	return p, nil
}

func nots(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, "NOT "+name)
	}
	return out
}
