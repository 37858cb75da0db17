package crossfade

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/internal/bundle"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/redact"
	"github.com/crossfade-project/crossfade/internal/runlog"
)

// SupportOptions choose what a support bundle shows. The zero value works.
type SupportOptions struct {
	// HideNames hides host names and IP addresses too.
	HideNames bool
	// Doctor adds what Doctor finds, which takes its time and writes probe objects to stores.
	Doctor bool
	// Environ is the environment, NAME=value. The bundle lists the names; values that are secret by their name are taken out of
	// everything else.
	Environ []string
	// Reach is how long each API server may take to tell its version. Default 5s.
	Reach time.Duration
}

// SupportBundle says what went into a bundle.
type SupportBundle struct {
	Migration string         `json:"migration"`
	File      string         `json:"file,omitempty"` // where it is, once the caller has put it somewhere
	Entries   []SupportEntry `json:"entries"`
	// Redacted says what was taken out.
	Redacted []string `json:"redacted"`
}

// SupportEntry is one file of a bundle.
type SupportEntry struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Bytes int    `json:"bytes"`
}

// Support writes all that a bug report needs into one .tar.gz, without secrets. It changes nothing, takes no lock, and works
// as far as it can where the journal is damaged or a server is silent. A nil w writes nothing: the result lists what would go in.
func (m *Migration) Support(ctx context.Context, w io.Writer, opts SupportOptions) (*SupportBundle, error) {
	s := &support{m: m, opts: opts}
	m.learnAll(ctx, opts.Environ)
	s.r = m.redact.ForOthers(opts.HideNames)
	if opts.HideNames {
		s.r.HideNames(m.hostNames()...)
	}
	s.file()
	s.versions(ctx)
	s.doctor(ctx)
	s.journal()
	s.state()
	s.logs()
	s.environment()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &SupportBundle{Migration: m.file.Name, Redacted: s.redacted()}
	s.add("README.txt", "what is in the bundle, and what was taken out", s.readme(out.Redacted))
	slices.SortFunc(s.entries, func(a, b SupportEntry) int { return cmp.Compare(a.Name, b.Name) })
	out.Entries = s.entries
	if w == nil {
		return out, nil
	}
	now := m.opts.Clock.Now()
	if err := bundle.Write(w, SupportName(m.file.Name, now), now, s.files); err != nil {
		return nil, fmt.Errorf("write the support bundle: %w", err)
	}
	return out, nil
}

// SupportName is what a bundle is called, without its ending.
func SupportName(migration string, made time.Time) string {
	return "crossfade-support-" + migration + "-" + made.UTC().Format("20060102T150405Z")
}

// support gathers the files of one bundle.
type support struct {
	m       *Migration
	opts    SupportOptions
	r       *redact.Redactor
	files   []bundle.File
	entries []SupportEntry
}

// add takes a file in. Its content must be clean.
func (s *support) add(name, what string, content []byte) {
	s.files = append(s.files, bundle.File{Name: name, Content: content})
	s.entries = append(s.entries, SupportEntry{Name: name, What: what, Bytes: len(content)})
}

// missing takes the reason in why a file is not there.
func (s *support) missing(name string, err error) {
	s.add(name+".missing.txt", "why "+name+" is missing", []byte(s.r.Text(err.Error())+"\n"))
}

// document takes a value in as JSON, with the fields that the table shows.
func (s *support) document(name, what string, v any) {
	raw, err := json.Marshal(v)
	if err == nil {
		raw, err = s.clean(raw)
	}
	if err != nil {
		s.missing(name, err)
		return
	}
	s.add(name, what, raw)
}

func (s *support) clean(raw []byte) ([]byte, error) {
	out, err := s.r.JSON(redact.RecordFields(), raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, out, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the document: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func (s *support) versions(ctx context.Context) {
	limit := cmp.Or(s.opts.Reach, 5*time.Second)
	type side struct {
		Version string `json:"version,omitempty"`
		Error   string `json:"error,omitempty"`
	}
	seen := map[string]*side{Blue: {}, Green: {}}
	var group errgroup.Group
	for name, into := range seen {
		group.Go(func() error {
			within, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			client, err := s.m.side(name)
			if err == nil {
				into.Version, err = client.Version(within)
			}
			if err != nil {
				into.Error = err.Error()
			}
			return nil // a silent server is a finding, no failure
		})
	}
	_ = group.Wait()
	s.document("versions.json", "versions of the tool, of Go, and of both API servers", map[string]any{
		"tool": s.m.opts.Tool, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
		"format": journal.Format, Blue: seen[Blue], Green: seen[Green],
	})
}

func (s *support) doctor(ctx context.Context) {
	if !s.opts.Doctor {
		return
	}
	found, err := s.m.Doctor(ctx, DoctorOptions{})
	if err != nil {
		s.missing("doctor.json", err)
		return
	}
	s.document("doctor.json", "what doctor found", found)
}

// journal takes the journal, the plans in force, status and report in.
func (s *support) journal() {
	dir := s.m.file.StateDir()
	raw, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if err != nil {
		s.missing("journal.jsonl", err)
		return
	}
	s.add("journal.jsonl", "the journal; hashes are those of the records before they were redacted", s.lines(raw))
	log, err := journal.Read(dir)
	if err != nil {
		s.missing("status.json", err)
		return
	}
	seen := map[string]bool{}
	for _, rec := range log.Records {
		if rec.Kind != journal.KindPlanned || seen[rec.Stage] {
			continue
		}
		seen[rec.Stage] = true
		stage := log.Stage(rec.Stage)
		if stage.Plan == "" {
			continue
		}
		name := "plans/" + strings.ReplaceAll(rec.Stage, "/", "_") + ".json"
		p, err := journal.PlanOf(dir, stage)
		if err != nil {
			s.missing(name, err)
			continue
		}
		s.document(name, "the plan in force of "+rec.Stage, p)
	}
	if status, err := s.m.Status(); err != nil {
		s.missing("status.json", err)
	} else {
		s.document("status.json", "where the migration stands", status)
	}
	if report, err := s.m.Report(); err != nil {
		s.missing("report.json", err)
	} else {
		s.document("report.json", "what the migration has done", report)
	}
	if cert, err := os.ReadFile(filepath.Join(dir, "certificate.json")); err == nil {
		s.document("certificate.json", "the retirement certificate", json.RawMessage(cert))
	}
}

// lines cleans a journal, line by line. Of a line that is no JSON, only its length is told.
func (s *support) lines(raw []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(raw) {
		clean, err := s.r.JSON(redact.RecordFields(), line)
		if err != nil {
			fmt.Fprintf(&b, "{\"unreadable\":%d}\n", len(line))
			continue
		}
		b.Write(clean)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// state lists the state directory: names, sizes, modes.
func (s *support) state() {
	dir := s.m.file.StateDir()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %12d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		s.missing("state.txt", err)
		return
	}
	s.add("state.txt", "the files of the state directory", []byte(s.r.Text(b.String())))
}

func (s *support) logs() {
	for _, name := range []string{runlog.Previous, runlog.Current} {
		raw, err := os.ReadFile(filepath.Join(s.m.file.StateDir(), name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			s.missing(name, err)
			continue
		}
		s.add(name, "the log of the last runs", []byte(s.r.Text(string(raw))))
	}
}

func (s *support) environment() {
	var list []string
	for _, e := range s.opts.Environ {
		if name, _, ok := strings.Cut(e, "="); ok && name != "" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	s.add("environment.txt", "names of the environment's variables, without their values", []byte(s.r.Text(strings.Join(list, "\n"))+"\n"))
}

func (s *support) redacted() []string {
	list := []string{
		"every secret that the migration file refers to and that could be read, and those of both kubeconfigs, in every usual coding",
		"the content of every object of Kubernetes but its name, and what a freeze or a patch replaced",
		"arguments of commands, bodies of requests, patches, bindings and expected texts in the migration file; its comments",
		"keys of objects in buckets",
	}
	for _, what := range redact.Rules() {
		list = append(list, "in texts: "+what)
	}
	if s.opts.HideNames {
		list = append(list, "host names and IP addresses")
	}
	return list
}

func (s *support) readme(redacted []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Support bundle of Crossfade: migration %s, made by version %s.\n\nWhat is in it:\n\n", s.m.file.Name, s.m.opts.Tool)
	for _, e := range s.entries {
		fmt.Fprintf(&b, "  %-40s %s\n", e.Name, e.What)
	}
	b.WriteString("\nIn the place of what was taken out stands redacted- and a digest: equal values have equal digests within this bundle, and the key\n" +
		"of these digests is gone. What was taken out:\n\n")
	for _, what := range redacted {
		fmt.Fprintf(&b, "  - %s\n", what)
	}
	b.WriteString("\nNo Secret, no kubeconfig, no key, no archive and no object of a bucket is in it. Names of namespaces, objects, buckets\n" +
		"and files are. Look through it before you send it.\n")
	return []byte(s.r.Text(b.String()))
}

// Print writes the list for people.
func (b *SupportBundle) Print(w io.Writer) error {
	out := &printer{w: w}
	if b.File != "" {
		out.f("support bundle of migration %s: %s\n\n", b.Migration, b.File)
	} else {
		out.f("a support bundle of migration %s would hold:\n\n", b.Migration)
	}
	if out.err != nil {
		return out.err
	}
	var rows [][]string
	for _, e := range b.Entries {
		rows = append(rows, []string{e.Name, cli.Bytes(int64(e.Bytes)), e.What})
	}
	if err := cli.Table(w, []string{"FILE", "SIZE", "WHAT"}, rows); err != nil {
		return err
	}
	out.f("\ntaken out, with a mark in its place:\n")
	for _, what := range b.Redacted {
		out.f("  %s\n", what)
	}
	return out.err
}
