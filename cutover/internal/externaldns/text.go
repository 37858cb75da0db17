package externaldns

import (
	"strings"
)

const (
	heritage = "heritage=external-dns"
	ownerKey = "external-dns/owner="
	resource = "external-dns/resource="
	// maxString is how long one character-string of a TXT may be (RFC 1035 section 3.3).
	maxString = 255
)

// Text is one ownership text.
type Text struct {
	// Owner is the --txt-owner-id of the installation that may change the record.
	Owner string `json:"owner"`
	// Resource is the Kubernetes object that asked for it, where the text says: "ingress/shop/web".
	Resource string `json:"resource,omitempty"`
	whole    string
}

// Parse reads the data of one TXT record in presentation form. It understands the documented plain text alone:
//
//	heritage=external-dns,external-dns/owner=NAME[,external-dns/resource=KIND/NAMESPACE/NAME]
//
// An encrypted text says nothing to anybody without its key.
func Parse(data string) (Text, bool) {
	whole, ok := unquote(data)
	if !ok {
		return Text{}, false
	}
	t := Text{whole: whole}
	found, owners := false, 0
	// Some providers keep quotes inside of the text, and external-dns takes them away too.
	for _, token := range strings.Split(strings.Trim(whole, `"`), ",") {
		switch {
		case token == heritage:
			found = true
		case strings.HasPrefix(token, "heritage="):
			return Text{}, false
		case strings.HasPrefix(token, ownerKey):
			t.Owner = strings.TrimPrefix(token, ownerKey)
			owners++
		case strings.HasPrefix(token, resource):
			t.Resource = strings.TrimPrefix(token, resource)
		}
	}
	return t, found && owners == 1 && t.Owner != ""
}

// WithOwner is the data of the same record with another owner; all else of it stays byte for byte.
func (t Text) WithOwner(owner string) string {
	core := strings.Trim(t.whole, `"`)
	begin := strings.Index(t.whole, core)
	tokens := strings.Split(core, ",")
	for i, token := range tokens {
		if strings.HasPrefix(token, ownerKey) {
			tokens[i] = ownerKey + owner
		}
	}
	return quote(t.whole[:begin] + strings.Join(tokens, ",") + t.whole[begin+len(core):])
}

// unquote joins the character-strings of a TXT's data. Escapes are left to those who understand them: an ownership text has
// none but for quotes.
func unquote(data string) (string, bool) {
	var b strings.Builder
	in := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			in = !in
		case !in && c == ' ':
		case !in:
			return "", false
		case c == '\\' && i+1 < len(data) && data[i+1] == '"':
			i++
			b.WriteByte('"')
		case c == '\\':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), !in
}

func quote(text string) string {
	var parts []string
	for text != "" {
		n := min(len(text), maxString)
		parts = append(parts, `"`+strings.ReplaceAll(text[:n], `"`, `\"`)+`"`)
		text = text[n:]
	}
	return strings.Join(parts, " ")
}
