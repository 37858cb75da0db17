package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/scaffold"
)

// InitSide is one live cluster that Init looks at.
type InitSide struct {
	// Kubeconfig is a path; empty is the usual chain (KUBECONFIG, the home folder).
	Kubeconfig string
	// Context of it; empty is its current one.
	Context string
}

// InitOptions say where Init looks and what it writes. Blue and Green must differ, unless Namespaces are named.
type InitOptions struct {
	Blue, Green InitSide
	// Namespaces of blue that are to move; empty are all with workloads but the platform's own.
	Namespaces []string
	// Name of the migration; empty takes that of the one namespace.
	Name string
	// Hostnames and Zones to look for beside those that blue's objects name.
	Hostnames, Zones []string
	// Resolvers and NameServers (host:port) are asked instead of the machine's own and those that delegations name.
	Resolvers, NameServers []string
	// Rehearsal writes short safety times, for a first try.
	Rehearsal bool
	// Path of the file to write. One that exists is overwritten with Force only.
	Path  string
	Force bool
	// DryRun writes nothing.
	DryRun bool
	// Limit is how long each cluster, and the name servers, may take. Default 30s.
	Limit time.Duration
	// Tool is the version of the program.
	Tool string
}

// Draft is a first migration file.
type Draft struct {
	// Path of the file, and whether it was written.
	Path    string `json:"path"`
	Written bool   `json:"written"`
	// Text of the file.
	Text string `json:"text"`
	// Marks are the values that a person must decide before the file is taken.
	Marks []DraftMark `json:"marks"`
	// Unseen lists what could not be looked at.
	Unseen []string `json:"unseen,omitempty"`
}

// DraftMark is one value that is left to a person.
type DraftMark struct {
	Line     int    `json:"line"`
	Field    string `json:"field"`
	Expected string `json:"expected"`
}

// Init looks at two live clusters and writes a first migration file, in which every value that a person must decide is marked.
// It only reads on both sides, within a time limit.
func Init(ctx context.Context, opts InitOptions) (*Draft, error) {
	if err := opts.mayWrite(); err != nil {
		return nil, err
	}
	for _, server := range slices.Concat(opts.Resolvers, opts.NameServers) {
		if _, err := netip.ParseAddrPort(server); err != nil {
			return nil, &mend.Error{Op: "read --resolver and --name-server", Hint: "write it as 192.0.2.1:53 or [2001:db8::1]:53", Err: fmt.Errorf("%q is no address with a port", server)}
		}
	}
	blue, err := opts.connect(Blue, &opts.Blue)
	if err != nil {
		return nil, err
	}
	green, err := opts.connect(Green, &opts.Green)
	if err != nil {
		return nil, err
	}
	if opts.Blue == opts.Green && len(opts.Namespaces) == 0 {
		return nil, &mend.Error{Op: "tell blue from green", Hint: "name two contexts with --blue-context and --green-context (or kubeconfigs), or, to move inside one cluster, the namespaces with --namespace",
			Err: fmt.Errorf("both are context %q of the same kubeconfig", opts.Blue.Context)}
	}
	survey, err := scaffold.Look(ctx, scaffold.LookOptions{
		Blue: blue, Green: green, Namespaces: opts.Namespaces, Hostnames: opts.Hostnames, Zones: opts.Zones,
		From: dnsx.Source{Resolvers: opts.Resolvers, Servers: opts.NameServers}, Names: &dnsx.Client{}, Limit: opts.Limit,
	})
	if err != nil {
		return nil, err
	}
	for side, into := range map[*InitSide]*scaffold.Side{&opts.Blue: &survey.Blue, &opts.Green: &survey.Green} {
		into.Context = side.Context
		if into.Kubeconfig, err = fromFile(opts.Path, side.Kubeconfig); err != nil {
			return nil, err
		}
	}
	text, err := scaffold.Propose(survey, scaffold.ProposeOptions{Name: opts.Name, Rehearsal: opts.Rehearsal}).Render()
	if err != nil {
		return nil, err
	}
	d := &Draft{Path: opts.Path, Text: string(text.Text), Unseen: survey.Unseen}
	for _, m := range text.Marks {
		d.Marks = append(d.Marks, DraftMark{Line: m.Line, Field: m.Field, Expected: m.Mend})
	}
	if opts.DryRun {
		return d, nil
	}
	return d, d.write(opts.Force)
}

// mayWrite refuses to overwrite a file that somebody may have filled in.
func (o InitOptions) mayWrite() error {
	if o.DryRun || o.Force {
		return nil
	}
	_, err := os.Lstat(o.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look whether %s is there: %w", o.Path, err)
	}
	return &RefusedError{Stage: "init", Refusals: []plan.Refusal{{
		What: o.Path, Why: "it is there already", Mend: "name another file with -f, or say --force to overwrite it",
	}}}
}

// connect reads a side's kubeconfig and fills in the context that it means, so that the file does not depend on which one is
// the current.
func (o InitOptions) connect(name string, side *InitSide) (*kube.Client, error) {
	opts := kube.Options{Kubeconfig: side.Kubeconfig, Context: side.Context, UserAgent: "crossfade/" + o.Tool}
	client, err := kube.Connect(opts)
	if err == nil && side.Context == "" {
		side.Context, err = kube.CurrentContext(opts)
	}
	if err != nil {
		return nil, &mend.Error{Op: "connect to " + name, Hint: "correct --" + name + "-kubeconfig and --" + name + "-context", Err: err}
	}
	return client, nil
}

// fromFile writes a path as the file at another path is to name it: relative paths of the file start at its folder.
func fromFile(file, path string) (string, error) {
	if path == "" || filepath.IsAbs(path) {
		return path, nil
	}
	from, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return "", fmt.Errorf("find the folder of %s: %w", file, err)
	}
	to, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return to, nil // on another volume: there is no relative path
	}
	return filepath.ToSlash(rel), nil
}

// write makes the file. Without force, one that appeared meanwhile stays as it is; with it, nobody reads half of one.
func (d *Draft) write(force bool) error {
	path := d.Path
	if force {
		path += ".part"
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err == nil {
		_, err = f.WriteString(d.Text)
		err = errors.Join(err, f.Close())
	}
	if err == nil && force {
		err = os.Rename(path, d.Path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", d.Path, err)
	}
	d.Written = true
	return nil
}

// Print writes what was done and what is left to do.
func (d *Draft) Print(w io.Writer) error {
	out := &printer{w: w}
	if !d.Written {
		out.f("%s", block(d.Text))
		return out.err
	}
	out.f("wrote %s\n", d.Path)
	for _, u := range d.Unseen {
		out.f("not seen: %s\n", u)
	}
	if len(d.Marks) > 0 {
		out.f("left to fill in:\n")
	}
	for _, m := range d.Marks {
		out.f("  %s:%d: %s: %s\n", d.Path, m.Line, m.Field, m.Expected)
	}
	out.f("next: fill these in, read the rest, then: crossfade plan -f %s\n", d.Path)
	return out.err
}
