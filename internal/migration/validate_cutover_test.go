package migration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// cutoverFile has a place for each part that the cutover reads.
const cutoverFile = `version: 1
name: shop
reason: hosts
blue: {context: blue}
green: {context: green}
archive: {url: ./archive}
zones:
  - {name: example.com, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}}
  - {name: bücher.example.org, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}}
applications:
  - name: web
    namespace: shop
    wave: 1
    writes: none
    checks: [{name: c, http: {path: /}}]
APP
    hostnames:
HOSTS
CUTOVER
RETIREMENT
`

// A value that nobody can mean is refused before anything changes, with its field.
func TestValuesOfACutoverThatNobodyCanMean(t *testing.T) {
	host := func(rest string) string { return "HOSTS=      - {" + rest + "}" }
	named := func(name string) string { return host("name: '" + name + "', service: s") }
	green := func(rest string) string {
		return host("name: a.example.com, service: s, green: {" + rest + "}")
	}
	tell := func(rest string) string {
		return "APP=    shift: {by: ingress, steps: [5], tell: {" + rest + "}}\n|" + host("name: a.example.com, ingress: i")
	}
	log := func(rest string) string { return "RETIREMENT=retirement: {accessLogs: [" + rest + "], delete: {}}" }
	query := func(rest string) string {
		return "RETIREMENT=retirement: {prometheus: [{name: a, query: x, " + rest + "}], delete: {}}"
	}
	const hostnames = "applications[0].hostnames[0]"
	for _, tt := range []struct{ set, field, what string }{
		{named("a..example.com"), hostnames + ".name", "is not a domain name"},
		{named("https://a.example.com"), hostnames + ".name", "is not a domain name"},
		{named("a.example.com/x"), hostnames + ".name", "is not a domain name"},
		{named("a.example.com:443"), hostnames + ".name", "is not a domain name"},
		{named("a.*.example.com"), hostnames + ".name", "is not a domain name"},
		{named("a*.example.com"), hostnames + ".name", "is not a domain name"},
		{named("-a.example.com"), hostnames + ".name", "is not a domain name"},
		{named(strings.Repeat("x", 64) + ".example.com"), hostnames + ".name", "is not a domain name"},
		{named("a.example.com") + "\n      - {name: A.Example.com., service: s}", "applications[0].hostnames[1].name", "belongs to application web already"},
		{named("a.bücher.example.org") + "\n      - {name: a.XN--bcher-kva.example.org, service: s}", "applications[0].hostnames[1].name", "belongs to application web already"},
		{host("name: a.example.com, service: 'shop/web'"), hostnames + ".service", "no object can be called"},
		{host("name: a.example.com, httpRoute: 'My Route'"), hostnames + ".httpRoute", "no object can be called"},
		{green(""), hostnames + ".green", "it says nothing"},
		{green("target: 'https://lb.test'"), hostnames + ".green.target", "is not a domain name"},
		{green("target: '192.0.2.1'"), hostnames + ".green.target", "is an address"},
		{green("target: 'A.example.com.'"), hostnames + ".green.target", "would lead to itself"},
		{host("name: a.example.com, blue: {target: lb.test}, green: {target: LB.test.}"), hostnames + ".green.target", "it is blue's target too"},
		{green("address: 300.1.1.1"), hostnames + ".green.address", "is not an IP address"},
		{green("address: '192.0.2.1,192.0.2.2'"), hostnames + ".green.address", "is not an IP address"},
		{green("address: 0.0.0.0"), hostnames + ".green.address", "nobody's address"},
		{green("makeRecord: '*.example.com'"), hostnames + ".green.makeRecord", "is not a domain name"},
		{green("makeRecord: 'g example.com'"), hostnames + ".green.makeRecord", "is not a domain name"},
		{green("makeRecord: example.com"), hostnames + ".green.makeRecord", "is the zone itself"},
		{green("makeRecord: _crossfade-a.example.com"), hostnames + ".green.makeRecord", "fences"},
		{green("makeRecord: A.example.com."), hostnames + ".green.makeRecord", "is a hostname that is moved itself"},
		{
			green("makeRecord: g.example.com") + "\n      - {name: b.example.com, service: s, green: {makeRecord: G.example.com.}}",
			"applications[0].hostnames[1].green.makeRecord", "is made for another hostname already",
		},
		{tell("path: health, onBlue: a, onGreen: b"), "applications[0].shift.tell.path", "is no path"},
		{tell("path: /, onBlue: side, onGreen: side-green"), "applications[0].shift.tell", "one of onBlue and onGreen holds the other"},
		{tell("path: /, header: 'X Side', onBlue: a, onGreen: b"), "applications[0].shift.tell.header", "is not the name of a header"},
		{"APP=    shift: {by: dns, steps: [5], for: 0s}", "applications[0].shift.for", "it is no time at all"},
		{"CUTOVER=cutover: {ttl: 0s}", "cutover.ttl", "it is no time at all"},
		{"CUTOVER=cutover: {ttl: 1500ms}", "cutover.ttl", "is no number of whole seconds"},
		{"CUTOVER=cutover: {ttl: 25h}", "cutover.ttl", "is more than 24h"},
		{"CUTOVER=cutover: {margin: -1s}", "cutover.margin", "is negative"},
		{"CUTOVER=cutover: {interval: 0s}", "cutover.interval", "it is no time at all"},
		{"CUTOVER=cutover: {maxDelta: -1}", "cutover.maxDelta", "is too small"},
		{"CUTOVER=cutover: {maxShare: 0}", "cutover.maxShare", "is too small"},
		{"CUTOVER=cutover: {clusterDomain: 'x y'}", "cutover.clusterDomain", "is not a domain"},
		{"CUTOVER=cutover: {approvalAfter: 5m}", "cutover.approvalAfter", "with approval: gates only"},
		{"CUTOVER=cutover: {waves: [{wave: 1, approval: required, approvalAfter: 5m}]}", "cutover.waves[0].approvalAfter", "with approval: gates only"},
		{"CUTOVER=cutover: {externalDNS: {}}", "cutover.externalDNS", "it says nothing"},
		{"CUTOVER=cutover: {externalDNS: {pause: {}}}", "cutover.externalDNS.pause", "it names no Deployment"},
		{"RETIREMENT=retirement: {interval: 0s, delete: {}}", "retirement.interval", "it is no time at all"},
		{"RETIREMENT=retirement: {interval: 100h, delete: {}}", "retirement.interval", "nobody would look in between"},
		{"RETIREMENT=retirement: {ignore: [192.0.2.1], delete: {}}", "retirement.ignore[0]", "is not a CIDR"},
		{"RETIREMENT=retirement: {ignore: [0.0.0.0/1, 128.0.0.0/1], delete: {}}", "retirement.ignore[1]", "users would count for probes"},
		{"RETIREMENT=retirement: {ignore: ['::/0'], delete: {}}", "retirement.ignore[0]", "users would count for probes"},
		{"RETIREMENT=retirement: {ignore: ['::ffff:192.0.2.0/120'], delete: {}}", "retirement.ignore[0]", "in the form of IPv6"},
		{"RETIREMENT=retirement: {unlisted: [x.org], delete: {}}", "retirement.unlisted[0]", "none of the zones"},
		{"RETIREMENT=retirement: {unlisted: [example.com, Example.com.], delete: {}}", "retirement.unlisted[1]", "is named twice"},
		{log("{format: envoy, namespace: '', selector: a=b}"), "retirement.accessLogs[0].namespace", "no namespace can be called"},
		{log("{format: envoy, namespace: a, selector: ' '}"), "retirement.accessLogs[0].selector", "it is empty"},
		{log("{format: json, namespace: a, selector: a=b, fields: {time: '', host: h}}"), "retirement.accessLogs[0].fields.time", "it is empty"},
		{log("{format: envoy, namespace: a, selector: a=b}, {format: json, namespace: a, selector: a=b}"), "retirement.accessLogs[1]", "named above already"},
		{"RETIREMENT=retirement: {brownOut: {skip: '  '}, delete: {}}", "retirement.brownOut.skip", "says none"},
		{"RETIREMENT=retirement: {brownOut: {for: 0s}, delete: {}}", "retirement.brownOut.for", "it is no time at all"},
		{query("url: 'prom:9090'"), "retirement.prometheus[0].url", "no http or https URL"},
		{query("url: 'http://p/api/v1/'"), "retirement.prometheus[0].url", "more than the server's address"},
		{query("url: 'http://p/?x=y'"), "retirement.prometheus[0].url", "more than the server's address"},
		{query("url: 'http://p', alive: ' '"), "retirement.prometheus[0].alive", "it is empty"},
		{query("url: 'http://p', step: 1ms"), "retirement.prometheus[0].step", "less than a second"},
		{query("url: 'http://p', gap: 72h"), "retirement.prometheus[0].gap", "who comes in it would not be seen"},
		{"RETIREMENT=retirement: {delete: {namespaces: ['']}}", "retirement.delete.namespaces[0]", "no namespace can be called"},
		{"RETIREMENT=retirement: {delete: {namespaces: [shop, shop]}}", "retirement.delete.namespaces[1]", "is named twice"},
		{"RETIREMENT=retirement: {delete: {namespaces: [kube-system]}}", "retirement.delete.namespaces[0]", "belongs to the cluster"},
		{"RETIREMENT=retirement: {delete: {namespaces: [shop, other]}}", "retirement.delete.namespaces[1]", "no application of this file moves out of other"},
	} {
		values := map[string]string{"HOSTS": "      - {name: a.example.com, service: s}"}
		for part := range strings.SplitSeq(tt.set, "|") {
			key, value, _ := strings.Cut(part, "=")
			values[key] = value
		}
		text := strings.NewReplacer("APP", values["APP"], "HOSTS", values["HOSTS"], "CUTOVER", values["CUTOVER"], "RETIREMENT", values["RETIREMENT"]).Replace(cutoverFile)
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := migration.Load(path)
		var bad *migration.InvalidError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", tt.set, err)
			continue
		}
		found := false
		for _, p := range bad.Problems {
			found = found || p.Field == tt.field && strings.Contains(p.What, tt.what) && p.Line > 1
		}
		if !found {
			t.Errorf("%s:\n%v\nwant %s: %s", tt.set, err, tt.field, tt.what)
		}
	}
}
