package crossfade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/restore"
)

// Report is what a migration has done so far, derived from its journal.
type Report struct {
	Migration string `json:"migration"`
	// Rehearsal is true where safety times were shortened on purpose.
	Rehearsal    bool                `json:"rehearsal"`
	Blue         string              `json:"blue,omitempty"`  // version
	Green        string              `json:"green,omitempty"` // version
	Archive      ArchiveReport       `json:"archive"`
	Buckets      []BucketReport      `json:"buckets,omitempty"`
	Objects      restore.Result      `json:"objects"` // what was made on green, in all stages
	Applications []ApplicationReport `json:"applications"`
	// Waits are all the waits of the cutover, each with its arithmetic.
	Waits       []cutover.Wait `json:"waits,omitempty"`
	Certificate string         `json:"certificate,omitempty"` // its hash
	// CertificateVoid says why it does not hold any more, and what to do; empty while it may.
	CertificateVoid string `json:"certificateVoid,omitempty"`
	// ExternalDNS is what the migration has paused and not started again.
	ExternalDNS []PausedDNS `json:"externalDNS,omitempty"`
	// Warnings are those of the plans that this run has begun with; without a run there are none.
	Warnings []Warning `json:"warnings,omitempty"`
	Next     string    `json:"next,omitempty"` // the first stage that is not done
	// Records and Head are the journal's length and the hash of its last record: kept apart, they prove later that nothing was cut.
	Records int    `json:"records"`
	Head    string `json:"head"`
}

// ArchiveReport is the newest revision of the archive.
type ArchiveReport struct {
	URL      string `json:"url"`
	Revision int    `json:"revision"`
	Objects  int    `json:"objects"`
	Bytes    int64  `json:"bytes"`
	Secrets  int    `json:"secrets"`
}

// BucketReport is one bucket, over all its syncs.
type BucketReport struct {
	Name   string `json:"name"`
	Copied int64  `json:"copied"` // objects, warm and final
	Bytes  int64  `json:"bytes"`
	Losses int    `json:"losses"` // kinds of entries in the loss ledger
	// Proven is true when the final sync proved both sides equal.
	Proven  bool  `json:"proven"`
	Objects int64 `json:"objects"` // on both sides, as proven
}

// ApplicationReport is one application.
type ApplicationReport struct {
	Name  string           `json:"name"`
	Wave  int              `json:"wave"`
	State ApplicationState `json:"state"`
	// Writes says how writes are stopped: none where the application never writes.
	Writes migration.Writes `json:"writes"`
	// Shift are the steps in which its traffic was led to green, with the shares that were measured.
	Shift []cutover.ShiftResult `json:"shift,omitempty"`
	// Frozen is when blue was asked to refuse writes, Started when green was allowed to write, Moved when every name server
	// showed green. The freeze as clients see it ends when their resolver has seen it too.
	Frozen  time.Time `json:"frozen,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Moved   time.Time `json:"moved,omitzero"`
	// Freeze is from Frozen until Moved, or until Started where no name moves; 0 for an application that never writes.
	Freeze time.Duration `json:"freeze"`
}

// Report derives the report from the journal.
func (m *Migration) Report() (*Report, error) {
	log, err := m.readLog()
	if err != nil {
		return nil, err
	}
	status := statusOf(m.outline(), log)
	r := &Report{Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil, Next: status.Next, Records: len(log.Records), Head: log.Head, ExternalDNS: status.ExternalDNS, CertificateVoid: status.CertificateVoid}
	c := collector{log: log}
	var seen preflightResult
	c.read("preflight", &seen)
	r.Blue, r.Green = seen.Blue.Version, seen.Green.Version
	m.reportArchive(&c, r)
	for _, b := range m.file.Buckets {
		r.Buckets = append(r.Buckets, bucketReport(&c, b))
	}
	cut := cutover.Report{Migration: m.file.Name, Rehearsal: r.Rehearsal}
	c.read("ttl", &cut.TTL)
	for i, a := range m.file.Applications {
		r.Applications = append(r.Applications, m.reportApplication(&c, a, status.Applications[i].State, &cut))
		r.addObjects(&c, a)
	}
	var idle cutover.Idle
	if c.read("idle", &idle) {
		cut.Idle = &idle
	}
	r.Waits = cut.Waits()
	var cert cutover.Certificate
	if c.read("certificate", &cert) {
		r.Certificate = cert.Hash
	}
	return r, c.err
}

// collector reads results of stages and keeps the first failure.
type collector struct {
	log *journal.Log
	err error
}

// read fills in the result of a finished stage and reports whether there is one.
func (c *collector) read(stage string, into any) bool {
	s := c.log.Stage(stage)
	if !s.Finished {
		return false
	}
	if err := json.Unmarshal(s.Result, into); err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("read the result of %s: %w", stage, err))
		return false
	}
	return true
}

func (m *Migration) reportArchive(c *collector, r *Report) {
	stages := []string{"export"}
	for _, a := range m.file.Applications {
		stages = append(stages, "delta/"+a.Name)
	}
	for _, name := range stages {
		var x export.Result
		if c.read(name, &x) && x.Revision >= r.Archive.Revision {
			r.Archive = ArchiveReport{URL: m.file.Archive.URL, Revision: x.Revision, Objects: x.Objects, Bytes: x.Bytes, Secrets: x.Encrypted}
		}
	}
}

func bucketReport(c *collector, b migration.Bucket) BucketReport {
	r := BucketReport{Name: b.Name}
	for _, prefix := range []string{"sync/", "warm/", "final-sync/"} {
		var x bucketsync.Result
		if !c.read(prefix+b.Name, &x) {
			continue
		}
		r.Copied, r.Bytes, r.Losses = r.Copied+x.Copied, r.Bytes+x.Bytes, r.Losses+len(x.Losses)+len(x.Configuration.Lost())
		if x.Proof != nil {
			r.Proven, r.Objects = x.Proof.Equal, x.Proof.Objects
		}
	}
	return r
}

func (r *Report) addObjects(c *collector, a migration.Application) {
	names := []string{"restore-delta/" + a.Name, "start/" + a.Name}
	if len(r.Applications) == 1 {
		names = append(names, "restore")
	}
	for _, name := range names {
		var x restore.Result
		if c.read(name, &x) {
			r.Objects.Created, r.Objects.Updated = r.Objects.Created+x.Created, r.Objects.Updated+x.Updated
			r.Objects.Started, r.Objects.Deleted = r.Objects.Started+x.Started, r.Objects.Deleted+x.Deleted
		}
	}
}

func (m *Migration) reportApplication(c *collector, a migration.Application, state ApplicationState, cut *cutover.Report) ApplicationReport {
	r := ApplicationReport{Name: a.Name, Wave: a.Wave, State: state, Writes: a.Writes}
	part := cutover.AppReport{App: a.Name}
	var freeze export.FreezeResult
	if c.read("freeze/"+a.Name, &freeze) && a.Writes != migration.WritesNone {
		r.Frozen = freeze.Entered
	}
	r.Started = c.log.Stage("start/" + a.Name).Ended
	for _, percent := range steps(a) {
		if step := maybe[cutover.ShiftResult](c, shiftName(a, percent)); step != nil {
			r.Shift = append(r.Shift, *step)
		}
	}
	part.Shift = r.Shift
	part.Swap = maybe[cutover.SwapResult](c, "swap/"+a.Name)
	part.Settle = maybe[cutover.SettleResult](c, "settle/"+a.Name)
	part.Soak = maybe[cutover.SoakResult](c, "soak/"+a.Name)
	part.Return = maybe[cutover.ReturnResult](c, "return/"+a.Name)
	if part.Swap != nil {
		for _, n := range part.Swap.Names {
			if n.Seen.At.After(r.Moved) {
				r.Moved = n.Seen.At
			}
		}
	}
	end := r.Moved
	if len(a.Hostnames) == 0 {
		end = r.Started
	}
	if !r.Frozen.IsZero() && end.After(r.Frozen) {
		r.Freeze = end.Sub(r.Frozen)
	}
	cut.Apps = append(cut.Apps, part)
	return r
}

func maybe[T any](c *collector, stage string) *T {
	var v T
	if !c.read(stage, &v) {
		return nil
	}
	return &v
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("migration %s%s\n", r.Migration, stamp(r.Rehearsal))
	if r.Blue != "" {
		out.f("blue %s, green %s\n", r.Blue, r.Green)
	}
	if r.Archive.Revision > 0 {
		out.f("archive: revision %d, %s, %s, %s encrypted, at %s\n", r.Archive.Revision, cli.Count(r.Archive.Objects, "object"), cli.Bytes(r.Archive.Bytes), cli.Count(r.Archive.Secrets, "Secret"), r.Archive.URL)
	}
	for _, b := range r.Buckets {
		proof := "not proven equal yet"
		if b.Proven {
			proof = fmt.Sprintf("%d objects proven equal", b.Objects)
		}
		out.f("bucket %s: %d copied, %s, %s; losses: %d\n", b.Name, b.Copied, cli.Bytes(b.Bytes), proof, b.Losses)
	}
	if r.Objects.Created+r.Objects.Updated+r.Objects.Started > 0 {
		out.f("green: %d objects created, %d updated, %d started\n", r.Objects.Created, r.Objects.Updated, r.Objects.Started)
	}
	out.f("\n")
	if out.err != nil {
		return out.err
	}
	var rows [][]string
	for _, a := range r.Applications {
		freeze := "not frozen"
		switch {
		case a.Writes == migration.WritesNone:
			freeze = "never writes"
		case a.Freeze > 0:
			freeze = cli.Duration(a.Freeze)
		case !a.Frozen.IsZero():
			freeze = "frozen now"
		}
		rows = append(rows, []string{a.Name, fmt.Sprint(a.Wave), string(a.State), freeze})
	}
	if err := cli.Table(w, []string{"APPLICATION", "WAVE", "STATE", "FREEZE"}, rows); err != nil {
		return err
	}
	for _, a := range r.Applications {
		for _, step := range a.Shift {
			for _, m := range step.Measured {
				out.f("\nshift of %s to %d%%: %s\n", a.Name, step.To, m)
			}
		}
	}
	if len(r.Waits) > 0 {
		out.f("\nwaits:\n")
	}
	for _, wait := range r.Waits {
		out.f("  %s: %s\n", wait.What, wait.Text)
	}
	printPaused(out, r.ExternalDNS)
	if r.Certificate != "" {
		out.f("\nretirement certificate: %s\n", r.Certificate)
	}
	printVoid(out, r.CertificateVoid)
	if r.Next != "" {
		out.f("\nnext: %s\n", r.Next)
	}
	out.f("\njournal: %s, head %s\n", cli.Count(r.Records, "record"), r.Head)
	return out.err
}
