package dnsx

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// Canonical returns a name as all of Crossfade compares names: fully qualified with its dot, in A-labels, in lower
// case. Labels with an underscore and a leading "*" are names too. It refuses labels of more than 63 and names of more
// than 255 bytes (RFC 1035 section 2.3.4).
func Canonical(name string) (string, error) {
	if name == "." {
		return name, nil
	}
	text := name
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%w: %q", ErrName, name)
	}
	if !ascii(text) {
		labels := strings.Split(strings.TrimSuffix(text, "."), ".")
		for i, label := range labels {
			if ascii(label) {
				continue
			}
			a, err := idna.Lookup.ToASCII(label)
			if err != nil {
				return "", fmt.Errorf("%w: %q: %w", ErrName, name, err)
			}
			labels[i] = a
		}
		text = strings.Join(labels, ".")
	}
	// Packing is the rule itself: empty and long labels and long names do not pack. Unpacking spells escapes in one way.
	buf := make([]byte, 255)
	if _, err := dns.PackDomainName(dns.Fqdn(text), buf, 0, nil, false); err != nil || text == "" {
		return "", fmt.Errorf("%w: %q", ErrName, name)
	}
	text, _, err := dns.UnpackDomainName(buf, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrName, name, err)
	}
	return dns.CanonicalName(text), nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// InZone says whether a canonical name is the apex of a zone or below it. Zones end at the borders of labels:
// notexample.com is not in example.com (C10).
func InZone(name, apex string) bool { return dns.IsSubDomain(apex, name) }

// Parent returns the name without its first label; the parent of a top-level name is ".".
func Parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

// Labels returns the labels of a canonical name.
func Labels(name string) []string { return dns.SplitDomainName(name) }
