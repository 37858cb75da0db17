package redact

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	// shortest is the length below which a learned value is left alone: it would be found in half of all words.
	shortest = 6
	// shortestLine is the same for one line of a secret that has several.
	shortestLine = 16
	// markDigits is how many hexadecimal digits of a keyed hash a mark shows.
	markDigits = 8
	markPrefix = "redacted-"
)

// Redactor replaces secrets by marks. It is safe for concurrent use.
type Redactor struct {
	key []byte
	// loose adds the rules that would rather hide too much.
	loose bool

	mu       sync.RWMutex
	known    map[string]string // form of a learned value: its mark
	hidden   map[string]string // name: what stands for it; nil shows names
	replacer *strings.Replacer
}

// New returns a Redactor for the program's own logs and errors, with a key that exists in this process only.
func New() *Redactor {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails: see its documentation
	return &Redactor{key: key, known: map[string]string{}}
}

// ForOthers returns a Redactor that knows the same values and would rather hide too much: for what leaves the operator's hands.
// With names, host names that it is told of and all IP addresses are hidden too.
func (r *Redactor) ForOthers(hideNames bool) *Redactor {
	out := New()
	out.loose = true
	if hideNames {
		out.hidden = map[string]string{}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for form := range r.known {
		out.known[form] = out.mark(form)
	}
	return out
}

// Learn tells of values that are secret wherever they appear, in every usual coding. Values of fewer than 6 characters
// are passed over.
func (r *Redactor) Learn(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range values {
		v = strings.TrimSpace(v)
		if len(v) < shortest {
			continue
		}
		mark := r.mark(v)
		for _, form := range forms(v) {
			r.known[form] = mark
		}
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= shortestLine && line != v && !strings.HasPrefix(line, "-----") {
				r.known[line] = mark
			}
		}
	}
	r.replacer = nil
}

// HideNames tells of names to hide. It has an effect on a Redactor that hides names only.
func (r *Redactor) HideNames(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hidden == nil {
		return
	}
	for _, n := range names {
		n = strings.Trim(strings.TrimSpace(n), ".")
		if _, err := netip.ParseAddr(n); n == "" || err == nil {
			continue
		}
		r.hidden[n] = "name-" + strings.TrimPrefix(r.mark(n), markPrefix)
	}
	r.replacer = nil
}

// forms are the codings in which a value is recognised. A value inside a longer one that was coded as a whole shows in one of
// three base64 forms, by its place.
func forms(v string) []string {
	quoted, err := json.Marshal(v)
	if err != nil {
		quoted = []byte(`""`) // a string can always be marshalled
	}
	list := []string{
		v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))),
		url.QueryEscape(v), url.PathEscape(v), strings.Trim(string(quoted), `"`), strings.ReplaceAll(v, "/", `\/`),
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			padded := append(make([]byte, before), v...)
			coded := enc.EncodeToString(padded)
			// The first and last characters hold bits of the neighbours too.
			from := (before*8 + 5) / 6
			to := len(padded) * 8 / 6
			if to-from >= shortest {
				list = append(list, coded[from:to])
			}
		}
	}
	return slices.DeleteFunc(list, func(f string) bool { return len(f) < shortest })
}

// mark is what stands in the place of a secret.
func (r *Redactor) mark(secret string) string {
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(secret))
	return markPrefix + hex.EncodeToString(mac.Sum(nil))[:markDigits]
}

func isMark(s string) bool {
	digits, ok := strings.CutPrefix(s, markPrefix)
	if !ok || len(digits) != markDigits {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// Text replaces what is secret in a text.
func (r *Redactor) Text(s string) string {
	if s == "" {
		return s
	}
	s = r.learned().Replace(s)
	for _, rule := range rules {
		if !rule.Loose || r.loose {
			s = rule.apply(s, r.mark)
		}
	}
	if r.hidden != nil {
		s = r.hideAddresses(s)
	}
	return s
}

// learned replaces the values that were learned, the longest first, and the names.
func (r *Redactor) learned() *strings.Replacer {
	r.mu.RLock()
	have := r.replacer
	r.mu.RUnlock()
	if have != nil {
		return have
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var pairs [][2]string
	for from, to := range r.known {
		pairs = append(pairs, [2]string{from, to})
	}
	for from, to := range r.hidden {
		pairs = append(pairs, [2]string{from, to})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(len(b[0]), len(a[0])), strings.Compare(a[0], b[0]))
	})
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p[0], p[1])
	}
	r.replacer = strings.NewReplacer(flat...)
	return r.replacer
}

func (r *Redactor) hideAddresses(s string) string {
	return addresses.ReplaceAllStringFunc(s, func(found string) string {
		addr, err := netip.ParseAddr(found)
		if err != nil || addr.IsUnspecified() {
			return found
		}
		return "address-" + strings.TrimPrefix(r.mark(found), markPrefix)
	})
}
