package crossfade

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// lookAtReceivers refuses notifications that nobody could be told of, and checks whose program is not there. Both are needed first when
// blue is frozen or has moved, which is too late to mend them.
func (m *Migration) lookAtReceivers(ctx context.Context, p *plan.Plan) {
	for i, n := range m.file.Notifications {
		at := fmt.Sprintf("notifications[%d]", i)
		if n.Webhook != nil {
			m.lookAtWebhook(ctx, p, n.Webhook, at+".webhook")
		}
		if len(n.Command) > 0 {
			program := n.Command[0]
			if filepath.Base(program) != program { // it is run beside the migration file
				program = m.file.Resolve(program)
			}
			lookAtProgram(p, at+".command", program)
		}
	}
	for i, a := range m.file.Applications {
		for k, c := range a.Checks {
			if len(c.Command) > 0 {
				lookAtProgram(p, fmt.Sprintf("applications[%d].checks[%d].command", i, k), c.Command[0])
			}
		}
	}
}

func (m *Migration) lookAtWebhook(ctx context.Context, p *plan.Plan, w *migration.Webhook, at string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	refuse := func(field string, err error, mend string) {
		p.Refuse(at+field, strings.TrimPrefix(err.Error(), at+field+": "), mend)
	}
	if w.URLFrom != nil {
		text, err := m.secret(ctx, w.URLFrom, at+".urlFrom")
		if err != nil {
			refuse(".urlFrom", err, "set what it refers to, or take the notification out")
		} else if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			refuse(".urlFrom", errors.New("what it refers to is no http or https URL"), "write it as https://hooks.example.com/crossfade") // and is a secret
		}
	}
	if _, err := m.secret(ctx, w.Secret, at+".secret"); err != nil {
		refuse(".secret", err, "set what it refers to, or take it out: then nothing is signed")
	}
}

func lookAtProgram(p *plan.Plan, at, program string) {
	if _, err := exec.LookPath(program); err != nil {
		p.Refuse(at, "it cannot be run: "+err.Error(), "install it on this machine, or write its whole path")
	}
}

// receiverChecks are the same questions for the doctor.
func (m *Migration) receiverChecks() []check {
	runs := func(a migration.Application) bool {
		return slices.ContainsFunc(a.Checks, func(c migration.Check) bool { return len(c.Command) > 0 })
	}
	if len(m.file.Notifications) == 0 && !slices.ContainsFunc(m.file.Applications, runs) {
		return nil
	}
	return []check{{name: "receivers", do: func(ctx context.Context, f *Finding) {
		p := newPreflight(m.file.Name)
		m.lookAtReceivers(ctx, p)
		f.refused(p.Refusals)
		f.say("every notification has its receiver, and every check its program")
	}}}
}
