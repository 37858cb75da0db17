package cutover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// CertificateFormat is the version of the JSON form of a Certificate.
const CertificateFormat = 2

const (
	// idleFresh is how old the end of the idle time may be when the certificate is made.
	idleFresh = time.Hour
	// certificateFresh is for how long a certificate lets blue be destroyed.
	certificateFresh = 24 * time.Hour
)

// ErrNotCertified says that blue must not be destroyed.
var ErrNotCertified = errors.New("blue may not be retired")

// CertificateError lists everything that is missing. It wraps ErrNotCertified.
type CertificateError struct {
	Missing []string
}

// Error implements error.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("%v: %s", ErrNotCertified, strings.Join(e.Missing, "; "))
}

// Unwrap makes errors.Is find ErrNotCertified.
func (e *CertificateError) Unwrap() error { return ErrNotCertified }

// DataProof is what was proven equal on both sides before writes went to green.
type DataProof struct {
	// What was compared: "bucket media".
	What     string    `json:"what"`
	Objects  int64     `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Verified time.Time `json:"verified"`
	// Frozen is when blue's last writer of it was frozen: a proof from before is not of all of it.
	Frozen time.Time `json:"frozen,omitzero"`
	// Differences that are left; a proof has none.
	Differences int64 `json:"differences"`
	// Hash of the proof's own record.
	Hash string `json:"hash"`
}

// ArchiveProof is the archive from which blue could be made again.
type ArchiveProof struct {
	URL      string    `json:"url"`
	Revision int       `json:"revision"`
	Hash     string    `json:"hash"`
	Made     time.Time `json:"made"`
	Verified time.Time `json:"verified"`
}

// JournalProof is the journal as it was when the certificate was made: everything that the migration did hangs on its head.
type JournalProof struct {
	Records int `json:"records"`
	// Head is the hash of the last of these records.
	Head string `json:"head"`
	// Plans that were applied until then, and the SHA-256 of their hashes, one a line.
	Plans     int    `json:"plans"`
	PlansHash string `json:"plansHash"`
}

// FileProof is the migration file that was certified.
type FileProof struct {
	// SHA256 is that of the file's bytes, Content that of what they say: comments and layout are no part of it.
	SHA256  string `json:"sha256"`
	Content string `json:"content"`
}

// Certificate lets blue be destroyed (I10).
type Certificate struct {
	Format    int    `json:"format"`
	Migration string `json:"migration"`
	// Rehearsal stamps a certificate whose floors were shortened on purpose.
	Rehearsal bool      `json:"rehearsal,omitempty"`
	Tool      string    `json:"tool,omitempty"`
	Made      time.Time `json:"made"`
	// Who made it: user@host. SignedBy is the fingerprint of the key that signs it, as ssh-keygen -l prints it.
	Who      string       `json:"who,omitempty"`
	SignedBy string       `json:"signedBy"`
	File     FileProof    `json:"file"`
	Journal  JournalProof `json:"journal"`
	// Delete names the namespaces of blue for which it was made.
	Delete []string      `json:"delete"`
	Blue   kube.Identity `json:"blue"`
	Green  kube.Identity `json:"green"`
	Idle   Idle          `json:"idle"`
	// Sources are the kinds of evidence of the idleness, each with what it covers.
	Sources []Source `json:"sources"`
	// Unwatched are the applications that no source watches, each with why nobody can use it, as the file says.
	Unwatched map[string]string `json:"unwatched,omitempty"`
	Checks    []Gate            `json:"checks"`
	Data      []DataProof       `json:"data,omitempty"`
	Archive   ArchiveProof      `json:"archive"`
	// BrownOut is what was seen while blue refused; NoBrownOut is why it did not.
	BrownOut   *BrownOut `json:"brownOut,omitempty"`
	NoBrownOut string    `json:"noBrownOut,omitempty"`
	// Evidence has the SHA-256 of each part, so that a part which is shown alone can be told to be this one.
	Evidence map[string]string `json:"evidence"`
	// Hash is the SHA-256 of all of the above.
	Hash string `json:"hash"`
}

// CertifyOptions are what a certificate is made of.
type CertifyOptions struct {
	Options
	Idle Idle
	// Samples are the recorded ones from which the idleness was concluded.
	Samples []Sample
	// Retirement is that of the file: what can be asked once more for the whole of the time is.
	Retirement migration.Retirement
	// Who makes it, with which key, under which file and journal, and for deleting what.
	Who, SignedBy string
	File          FileProof
	Journal       JournalProof
	Delete        []string
	// OldTTL is the longest that any moved name had.
	OldTTL time.Duration
	// Tool is the version of this program.
	Tool        string
	Blue, Green kube.Identity
	// Frozen is when blue accepted its last write; an archive and data from before are not all of it. Zero where blue
	// never wrote.
	Frozen  time.Time
	Data    []DataProof
	Archive ArchiveProof
	// BrownOut is what was seen while blue refused for RefusesFor; Skipped is why it did not. Without either it is a rehearsal.
	BrownOut   *BrownOut
	RefusesFor time.Duration
	Skipped    string
	// Baselines are numbers from before the swap with which checks compare, by application and check.
	Baselines map[string]map[string]float64
}

// Certify sends every application's checks to green now and judges all the proofs. It returns a *CertificateError with
// everything that is missing. The files hold the raw evidence, whose hashes the certificate has.
func Certify(ctx context.Context, opts CertifyOptions) (Certificate, []EvidenceFile, error) {
	cert := Certificate{
		Format: CertificateFormat, Migration: opts.Migration, Rehearsal: opts.Rehearsal != nil, Tool: opts.Tool, Who: opts.Who, SignedBy: opts.SignedBy,
		File: opts.File, Journal: opts.Journal, Delete: opts.Delete, Blue: opts.Blue, Green: opts.Green, Idle: opts.Idle, Data: opts.Data, Archive: opts.Archive,
		BrownOut: opts.BrownOut, NoBrownOut: opts.Skipped, Unwatched: opts.Retirement.Unwatched,
	}
	opts.Options = leavingBlueAlone(opts.Options)
	for _, app := range opts.Applications {
		if len(app.Checks) == 0 {
			continue
		}
		entries, err := FindEntries(ctx, opts.Options, app.Name)
		if err != nil {
			return Certificate{}, nil, err
		}
		phase := AfterSwap
		if len(app.Hostnames) == 0 {
			phase = BeforeSwap // which is when it is checked at all
		}
		gates, err := Check(ctx, CheckOptions{Options: opts.Options, App: app.Name, Side: sideGreen, Entries: entries, Phase: phase, Baselines: opts.Baselines[app.Name]})
		if err != nil {
			return Certificate{}, nil, err
		}
		cert.Checks = append(cert.Checks, gates...)
	}
	cert.Made = opts.now()
	missing := opts.missing(cert)
	sources, files, err := cert.Idle.Sources(opts.Samples)
	if err != nil {
		missing = append(missing, err.Error())
	}
	answers, lacking := opts.confirm(ctx, sources)
	missing, files = append(missing, lacking...), append(files, answers...)
	cert.Sources = sources
	if len(missing) > 0 {
		return Certificate{}, nil, &CertificateError{Missing: missing}
	}
	cert.Evidence = map[string]string{
		"idle": hashOf(cert.Idle), "sources": hashOf(cert.Sources), "checks": hashOf(cert.Checks), "data": hashOf(cert.Data), "archive": hashOf(cert.Archive),
	}
	if cert.BrownOut != nil {
		cert.Evidence["brownOut"] = hashOf(cert.BrownOut)
	}
	cert.Hash = cert.sum()
	return cert, files, nil
}

// missing judges a certificate in the making against the floors.
func (o CertifyOptions) missing(c Certificate) []string {
	var out []string
	miss := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	_, floor, text := IdleOptions{Options: o.Options, OldTTL: o.OldTTL}.idleNeeded()
	switch {
	case len(c.Idle.Evidence) == 0:
		miss("blue was not shown to be idle")
	case c.Idle.For < floor:
		miss("blue was idle for %s: %s", c.Idle.For, text)
	case c.lastIdle(c.Made) > idleFresh:
		miss("blue was last seen idle at %s, more than %s ago: watch it again", c.Idle.Until.Format(time.DateTime), idleFresh)
	}
	out = append(out, o.missingBrownOut(c)...)
	for _, e := range c.Idle.Evidence {
		if e.Use != Quiet {
			miss("%s: %s: %s", e.Evidence, e.Use, e.Text)
		}
	}
	if Verdict(c.Checks) != Passed {
		bad := describeBad(c.Checks)
		if bad == "" {
			bad = "there are none"
		}
		miss("green does not pass its checks now: %s", bad)
	}
	switch {
	case c.Blue.UID == "" || c.Green.UID == "":
		miss("it is not known which clusters blue and green are")
	}
	out = append(out, o.missingData(c)...)
	return out
}

// lastIdle is how long ago blue was last seen idle. A brown-out goes on watching, if it followed.
func (c Certificate) lastIdle(now time.Time) time.Duration {
	if c.BrownOut == nil || len(c.BrownOut.Services) == 0 {
		return now.Sub(c.Idle.Until)
	}
	return max(c.BrownOut.Began.Sub(c.Idle.Until), now.Sub(c.BrownOut.Ended))
}

func (o CertifyOptions) missingBrownOut(c Certificate) []string {
	b := c.BrownOut
	switch {
	case b == nil && o.Skipped == "" && (o.RefusesFor > 0 || o.Rehearsal == nil):
		return []string{"blue has not refused anybody for a while: nothing shows that nobody needs it"}
	case b == nil || len(b.Services) == 0:
		return nil
	case b.Ended.Sub(b.Began) < o.RefusesFor:
		return []string{fmt.Sprintf("blue refused for %s, and %s are demanded", b.Ended.Sub(b.Began).Round(time.Second), o.RefusesFor)}
	}
	var out []string
	for _, e := range b.Evidence {
		if e.Use != Quiet {
			out = append(out, fmt.Sprintf("while blue refused: %s: %s: %s", e.Evidence, e.Use, e.Text))
		}
	}
	return out
}

func (o CertifyOptions) missingData(c Certificate) []string {
	var out []string
	miss := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	buckets := map[string]bool{}
	for _, app := range o.Applications {
		for _, b := range app.Buckets {
			buckets[b] = true
		}
	}
	if len(c.Data) < len(buckets) {
		miss("%d buckets belong to the applications and only %d are proven equal", len(buckets), len(c.Data))
	}
	for _, d := range c.Data {
		if d.Differences > 0 {
			miss("%s: %d differences are left", d.What, d.Differences)
		}
		if d.Verified.IsZero() || d.Verified.Before(d.Frozen) {
			miss("%s was not proven equal after blue's last write", d.What)
		}
	}
	switch {
	case c.Archive.Hash == "" || c.Archive.Verified.IsZero():
		miss("there is no verified archive")
	case c.Archive.Made.Before(o.Frozen):
		miss("revision %d of the archive was made at %s, before blue's last write at %s", c.Archive.Revision, c.Archive.Made.Format(time.DateTime), o.Frozen.Format(time.DateTime))
	}
	return out
}

// Valid says whether the certificate lets blue of a migration be destroyed now: whole, of this migration and these
// clusters, and not older than a day.
func (c Certificate) Valid(migration string, blue kube.Identity, now time.Time) error {
	var missing []string
	if c.Format != CertificateFormat {
		missing = append(missing, fmt.Sprintf("the certificate has format %d, this version reads %d", c.Format, CertificateFormat))
	}
	if c.Altered() {
		missing = append(missing, "the certificate was changed after it was made")
	}
	if c.Migration != migration {
		missing = append(missing, fmt.Sprintf("it is a certificate of the migration %q", c.Migration))
	}
	if c.Blue.UID == "" || c.Blue.UID != blue.UID {
		missing = append(missing, fmt.Sprintf("it certifies the cluster %s, and blue is %s", c.Blue.UID, blue.UID))
	}
	if age := now.Sub(c.Made); age > certificateFresh || age < -time.Minute {
		missing = append(missing, fmt.Sprintf("%v: it was made at %s and holds for %s", ErrStale, c.Made.Format(time.DateTime), certificateFresh))
	}
	if len(missing) > 0 {
		return &CertificateError{Missing: missing}
	}
	return nil
}

// Altered says that the certificate is not the one whose hash it has.
func (c Certificate) Altered() bool { return c.sum() != c.Hash }

// Differences names the parts in which two certificates differ, by the names that they have in JSON.
func (c Certificate) Differences(other Certificate) ([]string, error) {
	var parts [2]map[string]json.RawMessage
	for i, cert := range []Certificate{c, other} {
		raw, err := json.Marshal(cert)
		if err == nil {
			err = json.Unmarshal(raw, &parts[i])
		}
		if err != nil {
			return nil, fmt.Errorf("compare certificates: %w", err)
		}
	}
	var names []string
	for name := range parts[0] {
		if !bytes.Equal(parts[0][name], parts[1][name]) {
			names = append(names, name)
		}
	}
	for name := range parts[1] {
		if _, ok := parts[0][name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (c Certificate) sum() string {
	c.Hash = ""
	return hashOf(c)
}

func hashOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		// Proofs are plain data.
		panic(fmt.Sprintf("%T cannot be marshalled: %v", v, err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
