package migration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// gated is a file whose one application has a hostname and the checks that a case gives.
const gated = `version: 1
name: shop
reason: hosts
blue: {context: blue}
green: {context: green}
archive: {url: ./archive}
applications:
  - name: web
    namespace: shop
    wave: 1
    writes: none
    hostnames: [{name: a.example.com, service: s}]
    checks:
      - CHECK
zones: [{name: example.com, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}}]
`

func TestC20_ChecksOfTheFile(t *testing.T) {
	const page = "{name: page, http: {path: /}}\n      - "
	for _, c := range []struct{ name, check, want string }{
		{"all of http", "{name: c, when: both, families: [ipv4], http: {path: /, headers: {X-A: b}, secretHeaders: {Authorization: {env: T}}, matches: 'a+', responseHeaders: {ETag: x}, sameHeaders: [ETag], sameBody: true}}", ""},
		{"grpc", "{name: c, grpc: {service: a.B, port: 443}}", ""},
		{"probes", page + "{name: c, probes: {http: {path: /}, errors: 0.01, p95: {max: 300ms, ratio: 1.5, floor: 20ms}}}", ""},
		{"prometheus", page + "{name: c, prometheus: {url: 'https://p', token: {env: T}, query: q, max: 0.5, baseline: {maxRatio: 2}, samples: {query: n, min: 100}, age: {query: t, max: 1m}}}", ""},
		{"two kinds", "{name: c, http: {path: /}, grpc: {}}", "the check says 2 things to try (set exactly one of http, tcp, tls, grpc, probes, prometheus and command)"},
		{"when", "{name: c, when: later, http: {path: /}}", `"later" is not one of its values`},
		{"family", "{name: c, families: [ipv5], http: {path: /}}", "no family of addresses"},
		{"another's hostname", "{name: c, tls: {hostname: b.example.com}}", "none of the application's hostnames"},
		{"regular expression", "{name: c, http: {path: /, matches: '('}}", "missing closing )"},
		{"regular expression of a header", "{name: c, http: {path: /, responseHeaders: {ETag: '('}}}", "missing closing )"},
		{"header", "{name: c, http: {path: /, headers: {'A B': c}}}", `"A B" is not the name of a header`},
		{"host header", "{name: c, http: {path: /, headers: {Host: c}}}", "always sent under the real hostname"},
		{"a secret in clear", "{name: c, http: {path: /, headers: {authorization: c}}}", "put it under secretHeaders"},
		{"only after", "{name: c, when: after, http: {path: /}}", "none is asked before the swap"},
		{"only before", "{name: c, when: before, http: {path: /}}", "none is asked after the swap"},
		{"only what gathers", "{name: c, probes: {http: {path: /}, errors: 0}}", "none is asked before the swap"},
		{"probes without limits", page + "{name: c, probes: {http: {path: /}}}", "it limits nothing"},
		{"a p99 of fifty", page + "{name: c, probes: {http: {path: /}, samples: 50, p99: {max: 1s}}}", "the p99 of 50 requests is the longest of them (at least 100)"},
		{"probes that never end", page + "{name: c, probes: {http: {path: /}, samples: 1000, errors: 0}}", "1000 requests, 10 a round, take 100 rounds, and a soak has at most 72"},
		{"probes that judge a body", page + "{name: c, probes: {http: {path: /, contains: x}, errors: 0}}", "put what the answer must hold into an http check"},
		{"no bound", page + "{name: c, prometheus: {url: 'https://p', query: q}}", "nothing bounds the number"},
		{"no URL", page + "{name: c, prometheus: {url: p, query: q, max: 1}}", "no http or https URL"},
		{"a password in the URL", page + "{name: c, prometheus: {url: 'https://a:b@p', query: q, max: 1}}", "would hold a secret in clear"},
		{"half a password", page + "{name: c, prometheus: {url: 'https://p', username: a, query: q, max: 1}}", "a username and a password go together"},
		{"token and password", page + "{name: c, prometheus: {url: 'https://p', username: a, password: {env: P}, token: {env: T}, query: q, max: 1}}", "keep one of the two"},
		{"baseline before", page + "{name: c, when: before, prometheus: {url: 'https://p', query: q, baseline: {maxRatio: 2}}}", "a number from before the swap is compared after it"},
		{"baseline of nothing", page + "{name: c, prometheus: {url: 'https://p', query: q, baseline: {query: x}}}", "it compares nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := migration.Parse("f.yaml", []byte(strings.Replace(gated, "CHECK", c.check, 1)))
			if c.want == "" {
				if err != nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
}

func TestWindowsApprovalsAndNotificationsOfTheFile(t *testing.T) {
	for _, c := range []struct{ name, section, want string }{
		{"everything", "cutover: {approval: gates, approvalAfter: 1h, waves: [{wave: 1, approval: required}], windows: {timezone: Europe/Berlin, open: [{weekdays: [mon], from: '22:00', to: '04:00'}], closed: [2026-12-24], spare: 5m, wait: 2h}}\nnotifications: [{name: a, webhook: {urlFrom: {env: U}, secret: {env: S}}, events: [breach]}, {name: b, command: [tell]}]", ""},
		{"time zone", "cutover: {windows: {timezone: Berlin, open: [{from: '09:00', to: '10:00'}]}}", "no time zone of the IANA database"},
		{"no window", "cutover: {windows: {timezone: UTC, open: []}}", "it needs at least 1"},
		{"time of day", "cutover: {windows: {timezone: UTC, open: [{from: '9', to: '10:00'}]}}", "no time of day"},
		{"approval", "cutover: {approval: yes please}", "is not one of its values"},
		{"a wave that there is not", "cutover: {waves: [{wave: 4, approval: required}]}", "no application is in wave 4"},
		{"a wave twice", "cutover: {waves: [{wave: 1}, {wave: 1}]}", "a second time"},
		{"an event", "notifications: [{name: a, command: [x], events: [braech]}]", "did you mean breach?"},
		{"two receivers", "notifications: [{name: a, command: [x], webhook: {url: 'https://h'}}]", "either webhook or command"},
		{"a name twice", "notifications: [{name: a, command: [x]}, {name: a, command: [y]}]", "names are used once"},
		{"no URL", "notifications: [{name: a, webhook: {secret: {env: S}}}]", "either url or urlFrom"},
		{"a file", "notifications: [{name: a, webhook: {url: 'file:///x'}}]", "no http or https URL"},
		{"a password in a URL", "notifications: [{name: a, webhook: {url: 'https://a:b@h'}}]", "would hold a secret in clear"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := migration.Parse("f.yaml", []byte(valid+c.section+"\n"))
			if c.want == "" {
				if err != nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
}
