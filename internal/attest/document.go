package attest

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// ErrUnsigned says that nothing signs a file, or that its signature does not hold.
var ErrUnsigned = errors.New("no signature holds")

// SigPath is where the signature of a file lies.
func SigPath(path string) string { return path + sigSuffix }

// SignCertificate puts a certificate into place, and its signature, which comes last: without it the file proves nothing.
//
//	ssh-keygen -Y verify -f ALLOWED -I NAME -n crossfade-certificate -s FILE.sig < FILE
func (k *Key) SignCertificate(path string, content []byte) error {
	sum := sha512.Sum512(content)
	signature, err := k.sign(namespaceCertificate, sum[:])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	for _, f := range []struct {
		path string
		raw  []byte
	}{{path, content}, {SigPath(path), signature}} {
		if err := Replace(f.path, f.raw); err != nil {
			return err
		}
	}
	return nil
}

// Replace puts a file into place in one step.
func Replace(path string, content []byte) error {
	err := replace(path, func(to io.Writer) error {
		_, err := to.Write(content)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// CertificateSigner returns the key that signed a certificate with this content. Its error wraps ErrUnsigned where there is no
// signature, or where it does not hold.
func CertificateSigner(path string, content []byte) (ssh.PublicKey, error) {
	f, err := os.Open(SigPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrUnsigned, filepath.Base(SigPath(path)))
	}
	if err != nil {
		return nil, fmt.Errorf("read the signature: %w", err)
	}
	armored, err := io.ReadAll(io.LimitReader(f, maxSignature))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the signature: %w", err)
	}
	sum := sha512.Sum512(content)
	public, err := checkSignature(namespaceCertificate, armored, sum[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnsigned, filepath.Base(SigPath(path)), err)
	}
	return public, nil
}
