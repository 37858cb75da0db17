package migration

import (
	"fmt"
	"regexp"
)

func (v *validator) application(f *File, a *Application, at string) {
	if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$`).MatchString(a.Name) {
		v.problem(at+".name", fmt.Sprintf("%q cannot be an application's name", a.Name), "lower-case letters, digits and dashes, at most 53")
	}
	switch a.Writes {
	case WritesFreeze:
		if a.Freeze == nil {
			v.problem(at, "writes: freeze needs the hooks that refuse and allow writes", "add freeze: {enter: …, leave: …, probe: …}")
		}
	case WritesNone, WritesQuiesce:
		if a.Freeze != nil {
			v.problem(at+".freeze", fmt.Sprintf("it has no effect with writes: %s", a.Writes), "write writes: freeze, or take the freeze out")
		}
	}
	if a.Freeze != nil {
		v.hooks(a.Freeze.Enter, at+".freeze.enter")
		v.hooks(a.Freeze.Leave, at+".freeze.leave")
		v.httpHook(&a.Freeze.Probe.HTTP, at+".freeze.probe.http")
	}
	if a.Dark == DarkReadOnly && a.Writes == WritesFreeze && !hasPatch(a.Freeze) {
		v.problem(at+".dark", "green would start able to write: no hook of freeze.enter is a patch", "add a patch that makes the application start read-only, or use dark: scaled")
	}
	if a.Dark == DarkReadOnly && a.Writes == WritesQuiesce {
		v.problem(at+".dark", "an application that can only be quiesced has no read-only mode", "use dark: scaled")
	}
	if a.Payload != nil {
		v.hook(a.Payload.Export, at+".payload.export")
		v.hook(a.Payload.Import, at+".payload.import")
		if a.Payload.Export.Patch != nil || a.Payload.Import.Patch != nil {
			v.problem(at+".payload", "a patch moves no data", "use http or command")
		}
	}
	v.hooks(a.Drain, at+".drain")
	v.forward(f, a, at+".forward")
	for i, c := range a.Checks {
		v.check(f, a, c, fmt.Sprintf("%s.checks[%d]", at, i))
	}
	v.gatesOf(a, at)
	v.shift(a, at+".shift")
	if len(a.Hostnames) > 0 && len(a.Checks) == 0 {
		v.problem(at, "it has hostnames but no checks: nothing would show that green answers", "add checks: with at least one http check")
	}
}

func (v *validator) forward(f *File, a *Application, at string) {
	switch {
	case a.Forward == nil:
	case len(a.Hostnames) == 0:
		v.problem(at, "the application has no hostname at which somebody could still come", "take it out")
	case f.Blue.Helper == "":
		v.problem(at, "blue.helper names no image of this project, which the pods would run", "name it")
	}
}

func hasPatch(f *Freeze) bool {
	if f == nil {
		return false
	}
	for _, h := range f.Enter {
		if h.Patch != nil {
			return true
		}
	}
	return false
}

func (v *validator) hooks(hooks []Hook, at string) {
	for i, h := range hooks {
		v.hook(h, fmt.Sprintf("%s[%d]", at, i))
	}
}

func (v *validator) hook(h Hook, at string) {
	if n := count(h.HTTP != nil, len(h.Command) > 0, h.Patch != nil); n != 1 {
		v.problem(at, fmt.Sprintf("the hook says %d things to do", n), "set exactly one of http, command and patch")
	}
	if h.HTTP != nil {
		v.httpHook(h.HTTP, at+".http")
	}
}

func (v *validator) httpHook(h *HTTPHook, at string) {
	if count(h.URL != "", h.Pods != nil) != 1 {
		v.problem(at, "it must name either a url or pods", "")
	}
}
