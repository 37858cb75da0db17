package crossfade

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// Who is to be told, and the programs of checks, are looked at before anything is changed; a URL that is a secret is not repeated.
func TestReceiversAndProgramsAreLookedAtFirst(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "tell.sh"), []byte("#!/bin/sh\n"), 0o700))
	env := func(name string) *migration.SecretRef { return &migration.SecretRef{Env: name} }
	hook := func(url, secret *migration.SecretRef) migration.Notification {
		return migration.Notification{Name: "n", Webhook: &migration.Webhook{URLFrom: url, Secret: secret}}
	}
	runs := func(program string) migration.Notification {
		return migration.Notification{Name: "n", Command: []string{program, "x"}}
	}
	for name, tt := range map[string]struct {
		tell  migration.Notification
		check string
		want  string // field, reason
	}{
		"all is there":             {hook(env("URL"), env("KEY")), "sh", ""},
		"beside the file":          {runs("./tell.sh"), "sh", ""},
		"no URL in its place":      {hook(env("NONE"), nil), "sh", "notifications[0].webhook.urlFrom: the environment variable NONE is not set"},
		"something else":           {hook(env("KEY"), nil), "sh", "notifications[0].webhook.urlFrom: what it refers to is no http or https URL"},
		"no key":                   {hook(env("URL"), env("NONE")), "sh", "notifications[0].webhook.secret: the environment variable NONE is not set"},
		"no program on the path":   {runs("no-such-program"), "sh", "notifications[0].command: it cannot be run: "},
		"no program beside it":     {runs("./none.sh"), "sh", "notifications[0].command: it cannot be run: "},
		"no program for the check": {runs("sh"), "no-such-program", "applications[0].checks[1].command: it cannot be run: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := &File{Dir: dir, File: migration.File{Name: "move", Notifications: []migration.Notification{tt.tell}, Applications: []migration.Application{{
				Name: "shop", Checks: []migration.Check{{Name: "tcp", TCP: &migration.TCPCheck{Port: 1}}, {Name: "own", Command: []string{tt.check}}},
			}}}}
			m := &Migration{file: file, redact: redact.New()}
			m.opts.Getenv = func(name string) string {
				return map[string]string{"URL": "https://hooks.example.com/x", "KEY": "s3cr3t-text"}[name]
			}
			p := plan.New("move", "preflight")
			m.lookAtReceivers(t.Context(), p)
			var got []string
			for _, r := range p.Refusals {
				if got = append(got, r.What+": "+r.Why); r.Mend == "" || strings.Contains(r.Why, "s3cr3t") {
					t.Errorf("refusal %+v", r)
				}
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("refused %q, want %q", got, tt.want)
			}
			names := func(c check) bool { return c.name == "receivers" }
			if !slices.ContainsFunc(m.receiverChecks(), names) {
				t.Error("the doctor does not look")
			}
		})
	}
}
