package redact

import (
	"regexp"
	"strings"
)

// Rule is a form that only secrets have.
type Rule struct {
	// What it is, for people.
	What string
	// Pattern finds it; the group "s" is what is replaced.
	Pattern *regexp.Regexp
	// Loose rules hit other things too: they serve what leaves the operator's hands, and not the operator's own log.
	Loose bool
	// Only decides about a hit, where the pattern cannot.
	Only func(secret string) bool
}

// secretWords are what names of fields, flags and variables have in common that hold secrets.
const secretWords = `passw(?:or)?d|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|` +
	`signing[_-]?key|encryption[_-]?key|sas[_-]?key|credentials?|client[_-]key[_-]data|connection[_-]?string`

// addresses finds what may be an IP address.
var addresses = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}`)

// Names reports whether a field, flag or variable of this name holds a secret, as far as a name can tell.
func Names(name string) bool { return secretName.MatchString(name) }

var secretName = regexp.MustCompile(`(?i)` + secretWords)

// rules is the table of forms, in the order in which they are applied: what spans most comes first.
var rules = []Rule{ //nolint:gochecknoglobals // a table of compiled patterns that nothing writes to
	{What: "private keys in PEM form", Pattern: regexp.MustCompile(`(?s)(?P<s>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$))`)},
	{What: "private keys in PEM form, base64 coded", Pattern: regexp.MustCompile(`(?P<s>LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]{20,})`)},
	{What: "age identities", Pattern: regexp.MustCompile(`(?i)(?P<s>AGE-(?:SECRET-KEY|PLUGIN)-[0-9A-Z-]+)`)},
	{What: "user and password in URLs", Pattern: regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://(?P<s>[^\s/?#"'<>]+)@`)},
	{What: "signatures and keys in the query of URLs", Pattern: regexp.MustCompile(`(?i)[?&;](?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|Signature|sig|AWSAccessKeyId|GoogleAccessId|code|` +
		`[\w.-]*(?:` + secretWords + `|auth)[\w.-]*|key)=(?P<s>[^&\s"'<>\\]+)`)},
	{What: "headers with credentials", Pattern: regexp.MustCompile(`(?i)\b(?:proxy-)?(?:authorization|cookie|set-cookie|x-amz-security-token|x-api-key|x-auth-token)\\*["']?\s*[:=]\s*\\*["'\[]*(?P<s>[^"'\r\n\\]+)`)},
	{What: "schemes of authorization with their credential", Pattern: regexp.MustCompile(`(?i)\b(?:bearer|basic|sharedkey(?:lite)?|negotiate)\s+(?P<s>[A-Za-z0-9+/=._~:-]{6,})`)},
	{What: "JSON web tokens", Pattern: regexp.MustCompile(`(?P<s>\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?)`)},
	{What: "bootstrap tokens of Kubernetes", Pattern: regexp.MustCompile(`(?P<s>\b[a-z0-9]{6}\.[a-z0-9]{16}\b)`)},
	{What: "keys of cloud providers", Pattern: regexp.MustCompile(`(?P<s>\b(?:AKIA|ASIA|AIza|ya29\.|GOOG1E)[0-9A-Za-z._-]{12,})`)},
	{What: "tokens of code hosts and chats", Pattern: regexp.MustCompile(`(?P<s>\b(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-|npm_)[0-9A-Za-z_-]{10,})`)},
	{What: "keys of transaction signatures (TSIG)", Pattern: regexp.MustCompile(`(?i)\bhmac-(?:md5|sha\d+):[^:\s]+:(?P<s>[A-Za-z0-9+/=]+)`)},
	{What: "keys of transaction signatures in a server's configuration", Pattern: regexp.MustCompile(`\bsecret\s+\\*"(?P<s>[A-Za-z0-9+/=]{16,})\\*"`)},
	{What: "docker logins", Pattern: regexp.MustCompile(`(?i)"(?:auth|identitytoken|registrytoken)\\*"\s*:\s*\\*"(?P<s>[^"\\]+)`)},
	{What: "flags with a secret", Pattern: regexp.MustCompile(`(?i)(?:^|\s)--?[\w-]*(?:` + secretWords + `)[\w-]*(?:=|\s+)\\*["']?(?P<s>[^\s"'\\]+)`)},
	{What: "fields and variables whose name says that they are secret, in quotes", Pattern: regexp.MustCompile(`(?i)\b[\w.-]*(?:` + secretWords + `)[\w.-]*\\*["']?\s*[:=]\s*\\*["'](?P<s>(?:[^"'\\]|\\[^"'\\])+)`)},
	{What: "fields and variables whose name says that they are secret", Pattern: regexp.MustCompile(`(?i)\b[\w.-]*(?:` + secretWords + `)[\w.-]*=(?P<s>[^\s"'&,;\\]+)`)},
	{What: "what a field was when the plan was made, and is now", Loose: true, Pattern: regexp.MustCompile(`\b(?:was|and is) "(?P<s>(?:[^"\\]|\\.)+)"`)},
	{What: "lines that name a secret", Loose: true, Pattern: regexp.MustCompile(`(?i)\b[\w.-]*(?:` + secretWords + `)[\w.-]*\s*:[ \t]+(?P<s>[^\s"'{\[,;]+)`)},
	{What: "long runs of mixed letters and digits", Loose: true, Pattern: regexp.MustCompile(`(?P<s>[A-Za-z0-9+=_-]{24,})`), Only: mixed},
}

// Rules returns what is taken out of texts, for people.
func Rules() []string {
	var list []string
	for _, r := range rules {
		list = append(list, r.What)
	}
	return list
}

// mixed reports whether a run of characters has what words, names and hexadecimal hashes have not.
func mixed(s string) bool {
	return strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") && strings.ContainsAny(s, "0123456789")
}

// apply replaces the group "s" of every hit by its mark.
func (r Rule) apply(s string, mark func(string) string) string {
	hits := r.Pattern.FindAllStringSubmatchIndex(s, -1)
	if len(hits) == 0 {
		return s
	}
	group := 2 * r.Pattern.SubexpIndex("s")
	var b strings.Builder
	at := 0
	for _, hit := range hits {
		from, to := hit[group], hit[group+1]
		secret := s[from:to]
		if isMark(secret) || r.Only != nil && !r.Only(secret) {
			continue
		}
		b.WriteString(s[at:from])
		b.WriteString(mark(secret))
		at = to
	}
	b.WriteString(s[at:])
	return b.String()
}
