package crossfade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Files of the certificate, in the state directory.
const (
	certificateJSON = "certificate.json"
	certificatePage = "certificate.md"
)

// certificateStage makes the retirement certificate: idle, green healthy, data proven, archive fresh.
func (m *Migration) certificateStage() stage {
	const name = "certificate"
	return oneChange(m,
		stage{name: name, verb: "run", concludes: true, title: "make the retirement certificate", after: "blue to be idle"},
		plan.Change{
			ID: name + "/make", Action: "certify", Target: "blue",
			Why: "retire asks for it; it is a file beside the journal and changes nothing else, so nothing is taken back",
		},
		func(ctx context.Context) (cutover.Certificate, error) {
			var voided []plan.Refusal
			m.journal.View(func(log *journal.Log) { voided = voidedBy(log, len(log.Records)) })
			if len(voided) > 0 {
				return cutover.Certificate{}, &RefusedError{Stage: name, Refusals: voided}
			}
			key, err := attest.ReadOrMakeKey(filepath.Join(m.file.StateDir(), signingKey))
			if err != nil {
				return cutover.Certificate{}, err
			}
			opts, err := m.certifyOptions(ctx)
			if err != nil {
				return cutover.Certificate{}, err
			}
			opts.SignedBy = key.Fingerprint()
			cert, files, err := cutover.Certify(ctx, opts)
			if err != nil {
				return cert, err
			}
			return cert, m.writeCertificate(cert, files, key)
		})
}

// fileProof is the migration file as it was read.
func (m *Migration) fileProof() cutover.FileProof {
	raw, err := json.Marshal(m.file.File)
	if err != nil {
		// A file is plain data, and was YAML before.
		panic(fmt.Sprintf("migration file cannot be marshalled: %v", err))
	}
	sum := sha256.Sum256(raw)
	return cutover.FileProof{SHA256: m.file.SHA256, Content: hex.EncodeToString(sum[:])}
}

// journalProof is the journal as it was behind a record.
func journalProof(log *journal.Log, records int) cutover.JournalProof {
	list := log.PlansUntil(records)
	sum := sha256.New()
	for _, f := range list {
		_, _ = fmt.Fprintln(sum, f.Hash) // a hash takes everything
	}
	return cutover.JournalProof{Records: records, Head: log.HashOf(records), Plans: len(list), PlansHash: hex.EncodeToString(sum.Sum(nil))}
}

// writeCertificate puts the evidence into place, then the page, and the signed certificate last.
func (m *Migration) writeCertificate(cert cutover.Certificate, files []cutover.EvidenceFile, key *attest.Key) error {
	raw, err := json.MarshalIndent(cert, "", "  ")
	if err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	if err := m.removeCertificate(); err != nil { // what an earlier one left would belong to none
		return err
	}
	dir := m.file.StateDir()
	if err := os.MkdirAll(filepath.Join(dir, cutover.EvidenceDir), 0o700); err != nil {
		return fmt.Errorf("write the evidence: %w", err)
	}
	for _, f := range files {
		if err := attest.Replace(filepath.Join(dir, filepath.FromSlash(f.Name)), f.Content); err != nil {
			return fmt.Errorf("write the evidence: %w", err)
		}
	}
	if err := attest.Replace(filepath.Join(dir, certificatePage), []byte(cert.Markdown())); err != nil {
		return fmt.Errorf("write the certificate's page: %w", err)
	}
	if err := key.SignCertificate(filepath.Join(dir, certificateJSON), append(raw, '\n')); err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	return nil
}

// removeCertificate removes a certificate with all that belongs to it.
func (m *Migration) removeCertificate() error {
	dir := m.file.StateDir()
	for _, name := range []string{attest.SigPath(certificateJSON), certificateJSON, certificatePage} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the certificate, which does not hold any more: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, cutover.EvidenceDir)); err != nil {
		return fmt.Errorf("remove the certificate's evidence: %w", err)
	}
	return nil
}

// certificate reads the certificate that the run has made, as the journal has it.
func (m *Migration) certificate(log *journal.Log) (cutover.Certificate, error) {
	var cert cutover.Certificate
	s := log.Stage("certificate")
	if !s.Finished {
		return cert, errors.New("there is no retirement certificate yet: `crossfade run` makes it once blue is idle")
	}
	if err := json.Unmarshal(s.Result, &cert); err != nil {
		return cert, fmt.Errorf("read the certificate: %w", err)
	}
	return cert, nil
}
