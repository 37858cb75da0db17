package crossfade

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
)

const (
	mendCertificate = "put %s back from a backup or from the state store; `crossfade run --redo certificate` makes a new certificate, of blue as it is now"
	mendPublicKey   = "find out who signed it: only a certificate that the key you trust has signed is worth something"
)

// certificateCheck holds the files of a certificate against each other and against the journal.
type certificateCheck struct {
	m    *Migration
	log  *journal.Log
	want ssh.PublicKey // must have signed it; nil takes the key that the certificate names
	out  []AuditCheck

	made, found cutover.Certificate
	raw         []byte // certificate.json as it lies there
}

// checkCertificate looks at everything that can be checked without a cluster. made is the journal's certificate.
func (m *Migration) checkCertificate(log *journal.Log, made cutover.Certificate, want ssh.PublicKey) []AuditCheck {
	c := &certificateCheck{m: m, log: log, made: made, want: want}
	if made.Format != cutover.CertificateFormat {
		c.add("", Unproven, mendUnknown+"; `crossfade run --redo certificate` makes one of this version's form", "it has format %d, and this version reads %d", made.Format, cutover.CertificateFormat)
		return c.out
	}
	if c.file() {
		c.signature()
		c.page()
	}
	c.evidence()
	c.journal()
	c.since()
	c.migrationFile()
	return c.out
}

// since holds the certificate against the looks at blue that were taken after those from which it was concluded.
func (c *certificateCheck) since() {
	list := voidedBy(c.log, c.made.Journal.Records)
	for _, r := range list {
		c.add("since it was made", DoesNot, r.Mend, "%s: %s", r.What, r.Why)
	}
	if len(list) == 0 {
		c.add("since it was made", Holds, "", "no look on record shows a use of blue")
	}
}

func (c *certificateCheck) add(what string, v AuditVerdict, mend, form string, args ...any) {
	if v == Holds {
		mend = ""
	}
	c.out = append(c.out, AuditCheck{What: strings.TrimSpace("certificate " + what), Verdict: v, Text: fmt.Sprintf(form, args...), Mend: mend})
}

// file compares certificate.json with what the journal says of it, and reports whether there is one to look at.
func (c *certificateCheck) file() bool {
	mend := fmt.Sprintf(mendCertificate, certificateJSON)
	raw, err := os.ReadFile(filepath.Join(c.m.file.StateDir(), certificateJSON))
	if err == nil {
		err = json.Unmarshal(raw, &c.found)
	}
	if err != nil {
		c.add("", DoesNot, mend, "%s cannot be read: %v", certificateJSON, err)
		return false
	}
	c.raw = raw
	parts, err := c.found.Differences(c.made)
	parts = slices.DeleteFunc(parts, func(name string) bool { return name == "hash" })
	switch {
	case err != nil:
		c.add("", Unproven, mendUnknown, "%v", err)
	case c.found.Migration != c.made.Migration:
		c.add("", DoesNot, mend, "%s is the certificate of migration %q", certificateJSON, c.found.Migration)
	case c.found.Altered():
		c.add("", DoesNot, mend, "%s was changed after it was made (%s): it does not have the hash %s that it names", certificateJSON, differ(parts), c.found.Hash)
	case c.found.Hash != c.made.Hash:
		c.add("", DoesNot, mend, "%s is another certificate: it has hash %s, and the journal tells of %s (%s)", certificateJSON, c.found.Hash, c.made.Hash, differ(parts))
	default:
		c.add("", Holds, "", "%s has the hash that the journal tells of", certificateJSON)
	}
	return true
}

func differ(parts []string) string {
	if len(parts) == 0 {
		return "no part differs from the journal's"
	}
	return "not as the journal has it: " + strings.Join(parts, ", ")
}

func (c *certificateCheck) signature() {
	mend := fmt.Sprintf(mendCertificate, certificateJSON+" and "+attest.SigPath(certificateJSON))
	public, err := attest.CertificateSigner(filepath.Join(c.m.file.StateDir(), certificateJSON), c.raw)
	if err != nil {
		c.add("signature", DoesNot, mend, "%v", err)
		return
	}
	by := ssh.FingerprintSHA256(public)
	switch {
	case c.want != nil && !bytes.Equal(public.Marshal(), c.want.Marshal()):
		c.add("signature", DoesNot, mendPublicKey, "it was signed by %s, and not by the key that was asked for, %s", by, ssh.FingerprintSHA256(c.want))
	case by != c.made.SignedBy:
		c.add("signature", DoesNot, mend, "it was signed by %s, and the journal tells of %s", by, c.made.SignedBy)
	default:
		c.add("signature", Holds, "", "signed by %s", by)
	}
}

// page compares the readable page with the JSON from which it was made. Without a page nothing is wrong: what counts is the JSON.
func (c *certificateCheck) page() {
	raw, err := os.ReadFile(filepath.Join(c.m.file.StateDir(), certificatePage))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	mend := "remove " + certificatePage + ", or put it back from a backup: what counts is " + certificateJSON
	want := c.found.Markdown()
	switch {
	case err != nil:
		c.add("page", Unproven, mend, "%v", err)
	case string(raw) == want:
		c.add("page", Holds, "", "%s was made from %s", certificatePage, certificateJSON)
	case c.found.Tool != c.m.opts.Tool:
		c.add("page", Unproven, mendUnknown+", "+c.found.Tool, "%s is not what this version makes of %s", certificatePage, certificateJSON)
	default:
		c.add("page", DoesNot, mend, "%s was changed: line %d is not what %s says", certificatePage, firstDifference(string(raw), want), certificateJSON)
	}
}

// firstDifference is the number of the first line in which two texts differ.
func firstDifference(a, b string) int {
	one, other := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(one), len(other)) {
		if one[i] != other[i] {
			return i + 1
		}
	}
	return min(len(one), len(other)) + 1
}

// evidence holds the raw evidence against the digests, and against the looks that the journal has.
func (c *certificateCheck) evidence() {
	bad := 0
	check := func(of, name, want string) {
		raw, err := os.ReadFile(filepath.Join(c.m.file.StateDir(), filepath.FromSlash(name)))
		mend := fmt.Sprintf(mendCertificate, name)
		sum := sha256.Sum256(raw)
		switch {
		case err != nil:
			bad++
			c.add("evidence", DoesNot, mend, "of %s: %v", of, err)
		case hex.EncodeToString(sum[:]) != want:
			bad++
			c.add("evidence", DoesNot, mend, "of %s: %s was changed: it does not have the SHA-256 %s", of, name, want)
		}
	}
	for _, s := range c.made.Sources {
		check(s.Name, s.File, s.SHA256)
		if s.Confirmed != nil {
			check(s.Name, s.Confirmed.File, s.Confirmed.SHA256)
		}
	}
	if bad == 0 {
		c.add("evidence", Holds, "", "%s, each with its SHA-256", cli.Count(len(c.made.Sources), "source"))
	}
}

// journal holds the certificate against the journal that it names: its head, its plans and the looks at blue.
func (c *certificateCheck) journal() {
	const mend = "this journal is not the one under which the certificate was made: put the state directory back from a backup"
	j := c.made.Journal
	sources, _, err := c.made.Idle.Sources(samplesOfIdle(c.log, j.Records))
	looked := slices.Clone(c.made.Sources)
	for i := range looked {
		looked[i].Confirmed = nil // that was asked for the certificate, and is no look
	}
	raw, merr := json.Marshal(sources)
	want, werr := json.Marshal(looked)
	switch {
	case errors.Join(merr, werr) != nil:
		c.add("journal", Unproven, mendUnknown, "%v", errors.Join(merr, werr))
	case c.log.HashOf(j.Records) != j.Head:
		c.add("journal", DoesNot, mend, "its record %d does not have the hash %s", j.Records, j.Head)
	case journalProof(c.log, j.Records) != j:
		c.add("journal", DoesNot, mend, "its plans until record %d are not the %d of the certificate", j.Records, j.Plans)
	case err != nil:
		c.add("journal", DoesNot, mend, "%v", err)
	case !bytes.Equal(raw, want):
		c.add("journal", DoesNot, mend, "what its looks at blue add up to is not what the certificate says")
	default:
		c.add("journal", Holds, "", "it was made behind record %d, whose %s it adds up", j.Records, cli.Count(c.made.Idle.Samples, "look"))
	}
}

// migrationFile sees that what was certified is what the file says. Once blue is gone, it may say what it likes.
func (c *certificateCheck) migrationFile() {
	now := c.m.fileProof()
	const mend = "put the migration file back as it was, or let `crossfade run --redo certificate` certify what it says now"
	switch {
	case c.log.Stage("retire").Finished:
	case now.SHA256 == c.made.File.SHA256:
		c.add("migration file", Holds, "", "it is the one that was certified")
	case now.Content == c.made.File.Content:
		c.add("migration file", Holds, "", "it says what was certified; its layout or comments changed")
	default:
		c.add("migration file", DoesNot, mend, "it says something else than when it was certified")
	}
}
