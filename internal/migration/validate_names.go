package migration

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// bare is a name in the one form in which two can be compared, without its dot: lower case, international ones in A-labels. What is no name
// stays as it is, and is refused elsewhere.
func bare(name string) string {
	if canonical, err := dnsx.Canonical(name); err == nil {
		name = canonical
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// dnsName demands a name that a client could ask for. Only a hostname may be a wildcard.
func (v *validator) dnsName(name, at string, wildcard bool) bool {
	const mend = "write a name alone, as shop.example.com: no scheme, port or path"
	plain := bare(name)
	if wildcard {
		plain = strings.TrimPrefix(plain, "*.")
	}
	_, err := dnsx.Canonical(name)
	labels := regexp.MustCompile(`^([a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\.)*[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?$`)
	switch {
	case err != nil || !labels.MatchString(plain):
		v.problem(at, fmt.Sprintf("%q is not a domain name", name), mend)
	case net4(plain):
		v.problem(at, fmt.Sprintf("%q is an address, and a name is needed", name), "write the name; an address has its own field: address")
	default:
		return true
	}
	return false
}

func net4(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// side judges what the file says of a side's entry.
func (v *validator) side(h Hostname, e *Entry, at string) {
	if e == nil {
		return
	}
	if *e == (Entry{}) {
		v.problem(at, "it says nothing", "add target: NAME or address: ADDRESS, or leave it out")
	}
	if e.Target != "" && v.dnsName(e.Target, at+".target", false) && bare(e.Target) == bare(h.Name) {
		v.problem(at+".target", "the hostname would lead to itself", "name what the load balancer is called")
	}
	if e.Address == "" {
		return
	}
	addr, err := netip.ParseAddr(e.Address)
	switch {
	case err != nil || addr.Zone() != "":
		v.problem(at+".address", fmt.Sprintf("%q is not an IP address", e.Address), "write it as 192.0.2.9 or 2001:db8::9, one alone")
	case addr.IsUnspecified() || addr.IsMulticast():
		v.problem(at+".address", e.Address+" is nobody's address", "name the load balancer's")
	}
}

// objects demands names that objects can have.
func (v *validator) objects(h Hostname, at string) {
	for field, name := range map[string]string{"service": h.Service, "ingress": h.Ingress, "httpRoute": h.HTTPRoute} {
		if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
			v.problem(at+"."+field, fmt.Sprintf("no object can be called %q", name), "write its name on blue alone, without its namespace")
		}
	}
}

// namespace demands the name of one.
func (v *validator) namespace(name, at string) bool {
	if len(validation.IsDNS1123Label(name)) > 0 {
		v.problem(at, fmt.Sprintf("no namespace can be called %q", name), "write the name of one")
		return false
	}
	return true
}

// makeRecord judges the name that is to be made for green's entry.
func (v *validator) makeRecord(f *File, h Hostname, at string, made map[string]bool) {
	name := bare(h.Green.MakeRecord)
	if !v.dnsName(h.Green.MakeRecord, at, false) {
		return
	}
	zone := f.ZoneOf(name)
	switch {
	case h.Green.Target != "":
		v.problem(at, "green's entry has a target, so it needs no record", "keep one of target and makeRecord")
	case zone == nil:
		v.problem(at, h.Green.MakeRecord+" is in none of the zones", "choose a name in one of them")
	case bare(zone.Name) == name:
		v.problem(at, h.Green.MakeRecord+" is the zone itself, where others' records stand", "choose a name within it")
	case strings.HasPrefix(name, "_crossfade"):
		v.problem(at, h.Green.MakeRecord+" is a name of the kind that fences have", "choose another one")
	case made[name]:
		v.problem(at, h.Green.MakeRecord+" is made for another hostname already", "say green.target there and makeRecord once, or give each a name of its own")
	}
	made[name] = true
	for _, a := range f.Applications {
		if slices.ContainsFunc(a.Hostnames, func(other Hostname) bool { return bare(other.Name) == name }) {
			v.problem(at, h.Green.MakeRecord+" is a hostname that is moved itself", "choose a name that nobody uses")
		}
	}
}
