package migration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC25_PauseOfTheFile: a pause names Deployments, each once and in its form, and says nothing that paused contradicts.
func TestC25_PauseOfTheFile(t *testing.T) {
	for _, c := range []struct{ name, dns, want string }{
		{"both sides", "{pause: {blue: [dns/external-dns], green: [dns/external-dns, edge/dns.two]}}", ""},
		{"with how it names its records", "{blue: {owner: a, prefix: x-}, green: {owner: a, prefix: x-}, pause: {blue: [dns/external-dns]}}", ""},
		{"a name alone", "{pause: {blue: [external-dns]}}", `cutover.externalDNS.pause.blue[0]: "external-dns" names no Deployment (write it as NAMESPACE/NAME`},
		{"three parts", "{pause: {green: [dns/a, dns/deployment/b]}}", `cutover.externalDNS.pause.green[1]: "dns/deployment/b" names no Deployment`},
		{"capitals", "{pause: {blue: [DNS/external-dns]}}", "names no Deployment"},
		{"twice", "{pause: {blue: [dns/a, dns/a]}}", "cutover.externalDNS.pause.blue[1]: dns/a is named twice"},
		{"nothing", "{pause: {}}", "cutover.externalDNS.pause: it names no Deployment"},
		{"paused and pause", "{paused: true, pause: {blue: [dns/a]}}", "and pause that Crossfade is to (keep one of the two)"},
		{"another field", "{pause: {both: [dns/a]}}", "cutover.externalDNS.pause.both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(gated, "CHECK", "{name: page, http: {path: /}}", 1) + "cutover:\n  externalDNS: " + c.dns + "\n"
			f, err := migration.Parse("f.yaml", []byte(text))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if blue := f.Cutover.ExternalDNS.Pause.On("blue"); len(blue) != 1 || blue[0] != "dns/external-dns" {
					t.Errorf("blue: %q", blue)
				}
				return
			}
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "f.yaml:17:") {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}
