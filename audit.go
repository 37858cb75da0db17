package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// AuditOptions name evidence that was kept apart from the state directory. The zero value takes what is there by itself: the
// state store, and the reports that runs have left.
type AuditOptions struct {
	// Head is the hash of a record, as status or a report has shown it; 12 digits of it are enough.
	Head string
	// Report is the path of a report that was kept: what `run -o json` printed, or a copy of a file of reports/.
	Report string
	// PublicKey must have signed the manifests and the certificate: the path of a public key, or its line. Empty takes the keys that
	// the journal names.
	PublicKey string
}

// AuditVerdict is what one check found.
type AuditVerdict string

// Verdicts. What was not checked is no good news (I8).
const (
	Holds    AuditVerdict = "holds"
	DoesNot  AuditVerdict = "does not hold"
	Unproven AuditVerdict = "not checked"
)

// AuditCheck is one thing that was looked at.
type AuditCheck struct {
	What    string       `json:"what"`
	Verdict AuditVerdict `json:"verdict"`
	Text    string       `json:"text"`
	Mend    string       `json:"mend,omitempty"`
}

// Audit is what the journal and what belongs to it are worth.
type Audit struct {
	Migration string       `json:"migration"`
	Records   int          `json:"records"`
	Head      string       `json:"head,omitempty"`
	Checks    []AuditCheck `json:"checks"`
}

// Verdict is the worst of the checks.
func (a *Audit) Verdict() AuditVerdict {
	worst := Holds
	for _, c := range a.Checks {
		if c.Verdict == DoesNot {
			return DoesNot
		}
		if c.Verdict == Unproven {
			worst = Unproven
		}
	}
	return worst
}

// auditor collects checks of one log.
type auditor struct {
	m       *Migration
	log     *journal.Log
	audit   *Audit
	key     ssh.PublicKey // must have signed; nil takes the keys that the journal names
	witness bool          // the head was compared with something kept apart
}

func (a *auditor) add(what string, v AuditVerdict, mend, form string, args ...any) {
	if v == Holds {
		mend = ""
	}
	a.audit.Checks = append(a.audit.Checks, AuditCheck{What: what, Verdict: v, Text: fmt.Sprintf(form, args...), Mend: mend})
}

// Audit checks the journal's chain, the plans that it names, and its head against what is kept apart from it. It takes no lock
// and no lease, and changes nothing.
func (m *Migration) Audit(ctx context.Context, opts AuditOptions) (*Audit, error) {
	log, broken := journal.Examine(m.file.StateDir())
	if errors.Is(broken, journal.ErrNone) {
		return nil, fmt.Errorf("%w: nothing was begun here, or the state directory is another", broken)
	}
	var err error
	a := &auditor{m: m, log: log, audit: &Audit{Migration: m.file.Name, Records: len(log.Records), Head: log.Head}}
	if opts.PublicKey != "" {
		if a.key, err = attest.ReadPublic(opts.PublicKey); err != nil {
			return nil, err
		}
	}
	a.chain(broken)
	if broken == nil {
		if err := m.owns(log); err != nil {
			return nil, err
		}
	}
	a.plans()
	a.certificate()
	a.archive(ctx)
	a.proven()
	a.store(ctx)
	if err := a.reports(); err != nil {
		return nil, err
	}
	if opts.Head != "" {
		a.head("the hash that was given", opts.Head, 0)
	}
	if opts.Report != "" {
		if err := a.report(opts.Report, "report "+opts.Report); err != nil {
			return nil, err
		}
	}
	if !a.witness {
		a.add("the head kept apart", Unproven, "give a hash that was kept (--head), or a report (--report); or name a state.url, so that one is always kept",
			"nothing that was kept apart names a hash of this journal: records cut off at its end would not be seen")
	}
	return a.audit, nil
}

// mendUnknown is what to do about what another version wrote: it is no fault, and nothing is to be thrown away.
const mendUnknown = "audit it with the version that wrote it"

// mendJournal is what puts a journal right that was cut or edited.
func (a *auditor) mendJournal() string {
	if a.m.file.State != nil && a.m.file.State.URL != "" {
		return "move the state directory away, and run again: it is fetched from the state store"
	}
	return "put the state directory back from a backup; do not go on with this one: what it no longer tells of would be done again, or not be taken back"
}

func (a *auditor) chain(err error) {
	if errors.Is(err, journal.ErrUnknown) {
		a.add("hash chain", Unproven, mendUnknown, "%v; the %s before it hold", err, cli.Count(len(a.log.Records), "record"))
		return
	}
	if err != nil {
		a.add("hash chain", DoesNot, a.mendJournal(), "%v; the %s before it hold", err, cli.Count(len(a.log.Records), "record"))
		return
	}
	text := fmt.Sprintf("%s, each following from the one before", cli.Count(len(a.log.Records), "record"))
	if n := a.log.Strange(); n > 0 {
		text += fmt.Sprintf("; %s of kinds that this version does not know", cli.Count(n, "record"))
	}
	if a.log.Torn > 0 {
		text += "; the last line is torn, as a kill leaves it, and the next run cuts it off"
	}
	a.add("hash chain", Holds, "", "%s", text)
}

func (a *auditor) plans() {
	list := a.log.Plans()
	bad := 0
	for _, f := range list {
		if err := journal.CheckPlan(a.m.file.StateDir(), f); err != nil {
			bad++
			a.add("plan of "+f.Stage, DoesNot, "put "+f.Name+" back from a backup, or from the state store", "%v", err)
		}
	}
	if bad == 0 {
		a.add("plans", Holds, "", "%s, each with the hash that the journal names", cli.Count(len(list), "plan"))
	}
}

// certificate checks the retirement certificate, where there is one.
func (a *auditor) certificate() {
	made, err := a.m.certificate(a.log)
	switch {
	case !a.log.Stage("certificate").Finished:
	case err != nil:
		a.add("certificate", DoesNot, a.mendJournal(), "%v", err)
	default:
		a.audit.Checks = append(a.audit.Checks, a.m.checkCertificate(a.log, made, a.key)...)
	}
}

// archive looks for the revision that the certificate names. It reads the indexes alone: retire reads all before it deletes.
func (a *auditor) archive(ctx context.Context) {
	made, err := a.m.certificate(a.log)
	if !a.log.Stage("certificate").Finished || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, auditTime)
	defer cancel()
	what := "archive at " + a.m.file.Archive.URL
	mendIt := fmt.Sprintf("put it back from a copy that has revision %d: it is what is left of blue's objects once blue is deleted", made.Archive.Revision)
	var chain []string
	reader, err := a.m.openArchive(ctx)
	if err == nil {
		chain, err = reader.Chain(ctx)
	}
	switch {
	case errors.Is(err, archive.ErrEmpty), errors.Is(err, archive.ErrCorrupt), errors.Is(err, archive.ErrNotExist):
		a.add(what, DoesNot, mendIt, "the certificate names revision %d of it: %v", made.Archive.Revision, err)
	case err != nil:
		a.add(what, Unproven, "see that it can be read from here, and audit again", "%v", err)
	case !slices.Contains(chain, made.Archive.Hash):
		a.add(what, DoesNot, mendIt, "revision %d with index %.12s…, which the certificate names, is not in it: it was replaced, or taken back to an older state", made.Archive.Revision, made.Archive.Hash)
	default:
		a.add(what, Holds, "", "it has revision %d, which the certificate names; of its contents nothing was read, which `crossfade retire` does", made.Archive.Revision)
	}
}

// proven checks the signed manifests of the final syncs: each by itself, and against the root that the journal tells of.
func (a *auditor) proven() {
	for _, b := range a.m.file.Buckets {
		s := a.log.Stage("final-sync/" + b.Name)
		var made finalResult
		if !s.Finished || json.Unmarshal(s.Result, &made) != nil || made.Manifest == nil {
			continue // not proven yet, or by a version that signed nothing
		}
		what, mend := "signed manifest of bucket "+b.Name, "put manifests back from a backup; `crossfade verify` compares both sides anew"
		c, _, err := attest.Read(a.m.manifest(b)+provenSuffix, attest.ReadOptions{Key: a.key})
		switch {
		case err != nil:
			a.add(what, DoesNot, mend, "%v", err)
		case !c.OK():
			a.add(what, DoesNot, mend, "%s", strings.Join(c.Problems, "; "))
		case c.Root != made.Manifest.Root || c.SignedBy != made.Manifest.SignedBy:
			a.add(what, DoesNot, mend, "it has root %s, signed by %s, and the journal tells of %s, signed by %s", c.Root, c.SignedBy, made.Manifest.Root, made.Manifest.SignedBy)
		default:
			a.add(what, Holds, "", "%s under root %s, signed by %s", cli.Count(int(c.Objects), "object"), c.Root, c.SignedBy)
		}
	}
}

// auditTime bounds the reading of the whole state store.
const auditTime = 10 * time.Minute

// store compares the journal with its copy, record by record.
func (a *auditor) store(ctx context.Context) {
	const what = "state store"
	if a.m.file.State == nil || a.m.file.State.URL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, auditTime)
	defer cancel()
	unchecked := func(err error) {
		a.add(what, Unproven, "see that "+a.m.file.State.URL+" can be reached, and audit again", "%v", err)
	}
	store, err := a.m.stateStore(ctx)
	if err != nil {
		unchecked(err)
		return
	}
	there, err := journal.ReadStore(ctx, store)
	switch {
	case errors.Is(err, journal.ErrNone):
		a.add(what, Unproven, "the next run brings everything there; if it had it before, find out who removed it", "%s holds no journal", a.m.file.State.URL)
		return
	case errors.Is(err, journal.ErrUnknown):
		a.add(what, Unproven, mendUnknown, "%v", err)
		return
	case errors.Is(err, journal.ErrBroken):
		a.add(what, DoesNot, "if the journal here holds, empty "+a.m.file.State.URL+", and the next run brings everything there", "%v", err)
		return
	case err != nil:
		unchecked(err)
		return
	}
	a.compare(what, there)
	names, err := store.List(ctx, "")
	if err != nil {
		unchecked(err)
		return
	}
	a.storedFiles(ctx, store, names)
}

func (a *auditor) compare(what string, there *journal.Log) {
	here, n := len(a.log.Records), 1
	for n <= min(here, len(there.Records)) && a.log.HashOf(n) == there.HashOf(n) {
		n++
	}
	a.witness = true
	switch {
	case n <= min(here, len(there.Records)):
		a.add(what, DoesNot, a.mendJournal(), "record %d here is not record %d in %s: one of them was written anew", n, n, a.m.file.State.URL)
	case here < len(there.Records):
		a.add(what, DoesNot, "if another machine has gone on, the next run fetches its records; otherwise "+a.mendJournal(),
			"the journal here ends with record %d, and %s has %d: the rest was cut off here, or another machine has gone on", here, a.m.file.State.URL, len(there.Records))
	case here > len(there.Records):
		a.add(what, Holds, "", "equal up to record %d; the last %d here were not brought there any more, and the next run does", len(there.Records), here-len(there.Records))
	default:
		a.add(what, Holds, "", "all %d records are equal", here)
	}
}

// storedFiles looks for the plans in the store, and for the reports there, whose names hold number and hash of the last record.
func (a *auditor) storedFiles(ctx context.Context, store remote.Store, names []string) {
	for _, f := range a.log.Plans() {
		if !slices.Contains(names, f.Name) {
			a.add("state store: plan of "+f.Stage, DoesNot, "the next run brings it there, if it is whole here", "%s is missing", f.Name)
		}
	}
	for _, name := range names {
		base, ok := strings.CutPrefix(name, journal.ReportsDir+"/")
		if !ok {
			continue
		}
		raw, _, err := remote.Read(ctx, store, name)
		if err != nil {
			a.add("state store: "+name, Unproven, "audit again", "%v", err)
			continue
		}
		a.reportIn(raw, "report "+base+" in the state store")
	}
}

// reports compares the journal with what each run left. They lie beside the journal, so they show an accident and not a forger,
// unless they were copied elsewhere.
func (a *auditor) reports() error {
	dir := filepath.Join(a.m.file.StateDir(), journal.ReportsDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for reports: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			if err := a.report(filepath.Join(dir, e.Name()), "report "+e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *auditor) report(path, what string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	a.reportIn(raw, what)
	return nil
}

func (a *auditor) reportIn(raw []byte, what string) {
	var r struct {
		Migration string `json:"migration"`
		Records   int    `json:"records"`
		Head      string `json:"head"`
	}
	if err := json.Unmarshal(raw, &r); err != nil || r.Head == "" || r.Migration != a.m.file.Name {
		a.add(what, Unproven, "name a report of migration "+a.m.file.Name, "it is no report of this migration, or it names no record")
		return
	}
	a.head(what, r.Head, r.Records)
}

// shortestHash is how much of a hash must be given.
const shortestHash = 12

// head looks for a hash that was kept apart. records is how many records there were then; 0 means that nobody knows.
func (a *auditor) head(what, hash string, records int) {
	n := records
	if n == 0 {
		n = slices.IndexFunc(a.log.Records, func(r journal.Record) bool { return strings.HasPrefix(a.log.HashOf(int(r.Seq)), hash) }) + 1
	}
	have := a.log.HashOf(n)
	switch {
	case len(hash) < shortestHash:
		a.add(what, Unproven, fmt.Sprintf("give at least %d digits", shortestHash), "%q is too short to tell records apart", hash)
		return
	case have == "" && records > 0:
		a.add(what, DoesNot, a.mendJournal(), "it was made behind record %d, and the journal ends with record %d: the rest was cut off", records, len(a.log.Records))
	case !strings.HasPrefix(have, hash) || have == "":
		a.add(what, DoesNot, a.mendJournal(), "no record that could be it has the hash %s: the journal was cut, written anew, or is another's", hash)
	case n == len(a.log.Records):
		a.add(what, Holds, "", "it is the head: nothing came since, and nothing is missing")
	default:
		a.add(what, Holds, "", "it is record %d; %s since", n, cli.Count(len(a.log.Records)-n, "record"))
	}
	a.witness = true
}

// Print writes the audit for people.
func (a *Audit) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("migration %s: journal of %s, head %s\n\n", a.Migration, cli.Count(a.Records, "record"), a.Head)
	for _, c := range a.Checks {
		out.f("%s: %s: %s\n", c.Verdict, c.What, c.Text)
		if c.Mend != "" {
			out.f("    mend: %s\n", c.Mend)
		}
	}
	switch a.Verdict() {
	case Holds:
		out.f("\nall of it holds\n")
	case Unproven:
		out.f("\nnothing was found wrong, and not everything could be checked: that is no proof\n")
	case DoesNot:
		out.f("\nnot all of it holds\n")
	}
	return out.err
}
