package attest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/crossfade-project/crossfade/internal/mend"
)

const (
	sigSuffix = ".sig"
	pubSuffix = ".pub"
	// A namespace keeps a signature of one kind of file from passing for one of another.
	namespace            = "crossfade-manifest"
	namespaceCertificate = "crossfade-certificate"
	magic                = "SSHSIG"
	hashName             = "sha512"
	sigType              = "SSH SIGNATURE"
	// maxSignature bounds what is read of a signature or a public key, in bytes.
	maxSignature = 64 << 10
)

// Key signs.
type Key struct {
	signer ssh.Signer
	// Path is where the key lies; beside it, with .pub at the end, the public one.
	Path string
}

// ReadKey reads a private ed25519 key, as ssh-keygen -t ed25519 -N "" makes it, or in PEM.
func ReadKey(path string) (*Key, error) {
	hint := `make one with: ssh-keygen -t ed25519 -N "" -f ` + freePath(path)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &mend.Error{Op: "read the key that signs", Err: err, Hint: hint}
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err == nil && signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		err = fmt.Errorf("it is of type %s, and not %s", signer.PublicKey().Type(), ssh.KeyAlgoED25519)
	}
	if err != nil {
		return nil, &mend.Error{Op: "read the key that signs, " + path, Err: err, Hint: hint}
	}
	return &Key{signer: signer, Path: path}, nil
}

// freePath is a path at which a key can be made: path, or one beside it, where no file is that would be written over.
func freePath(path string) string {
	taken := func(at string) bool {
		_, err := os.Lstat(at)
		return !errors.Is(err, fs.ErrNotExist)
	}
	at := path
	for n := 1; n < 100 && (taken(at) || taken(at+".pub")); n++ {
		at = fmt.Sprintf("%s.ed25519-%d", path, n)
	}
	return at
}

// ReadOrMakeKey is ReadKey, and makes the key where there is none yet, with the public one beside it.
func ReadOrMakeKey(path string) (*Key, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return ReadKey(path)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key that signs: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "crossfade manifests")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		// Of two that make one at once, the second is told: a key is never replaced.
		err = create(path, pem.EncodeToMemory(block), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("make a key that signs: %w", err)
	}
	key, err := ReadKey(path)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path+pubSuffix, []byte(key.Public()+"\n"), 0o644); err != nil { //nolint:gosec // a public key is for everybody
		return nil, fmt.Errorf("write the public key: %w", err)
	}
	return key, nil
}

func create(path string, raw []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

// Public is the public key in the form of an authorized_keys line.
func (k *Key) Public() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
}

// Fingerprint names the key as ssh-keygen -l does.
func (k *Key) Fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// sshsig is what a signature file holds behind magic.
type sshsig struct {
	Version                                         uint32
	PublicKey, Namespace, Reserved, Hash, Signature string
}

// message is what is signed.
func message(namespace string, hashed []byte) []byte {
	return append([]byte(magic), ssh.Marshal(struct{ Namespace, Reserved, Hash, Sum string }{namespace, "", hashName, string(hashed)})...)
}

// sign signs a file by its SHA-512.
func (k *Key) sign(namespace string, hashed []byte) ([]byte, error) {
	sig, err := k.signer.Sign(rand.Reader, message(namespace, hashed))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	blob := append([]byte(magic), ssh.Marshal(sshsig{
		Version: 1, PublicKey: string(k.signer.PublicKey().Marshal()), Namespace: namespace, Hash: hashName, Signature: string(ssh.Marshal(sig)),
	})...)
	return armor(blob), nil
}

// armor wraps a signature as ssh-keygen does: base64 in lines of 70.
func armor(blob []byte) []byte {
	text := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString("-----BEGIN " + sigType + "-----\n")
	for len(text) > 70 {
		b.WriteString(text[:70] + "\n")
		text = text[70:]
	}
	b.WriteString(text + "\n-----END " + sigType + "-----\n")
	return []byte(b.String())
}

// checkSignature returns the public key that signed a file with the SHA-512 hashed.
func checkSignature(namespace string, armored, hashed []byte) (ssh.PublicKey, error) {
	block, _ := pem.Decode(armored)
	if block == nil || block.Type != sigType {
		return nil, errors.New("it is no SSH signature")
	}
	rest, ok := strings.CutPrefix(string(block.Bytes), magic)
	if !ok {
		return nil, errors.New("it is no SSH signature")
	}
	var in sshsig
	if err := ssh.Unmarshal([]byte(rest), &in); err != nil {
		return nil, fmt.Errorf("it is no SSH signature: %w", err)
	}
	switch {
	case in.Version != 1:
		return nil, fmt.Errorf("its version is %d, and this program reads 1", in.Version)
	case in.Namespace != namespace:
		return nil, fmt.Errorf("it signs for %q, and not for %q", in.Namespace, namespace)
	case in.Hash != hashName:
		return nil, fmt.Errorf("it is over a %s, and not a %s", in.Hash, hashName)
	}
	public, err := ssh.ParsePublicKey([]byte(in.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("its public key: %w", err)
	}
	if public.Type() != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("its key is of type %s, and not %s", public.Type(), ssh.KeyAlgoED25519)
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal([]byte(in.Signature), &sig); err != nil {
		return nil, fmt.Errorf("it is no SSH signature: %w", err)
	}
	if err := public.Verify(message(namespace, hashed), &sig); err != nil {
		return nil, errors.New("it is not of this file: one of the two was changed, or belongs to another")
	}
	return public, nil
}

// ReadPublic reads a public key: a line as in authorized_keys, or its path.
func ReadPublic(text string) (ssh.PublicKey, error) {
	raw := []byte(text)
	if !strings.HasPrefix(text, "ssh-") {
		var err error
		if raw, err = os.ReadFile(text); err != nil {
			return nil, &mend.Error{Op: "read the public key", Err: err, Hint: "give the file that lies beside the key that signed, NAME.pub, or its line"}
		}
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		return nil, &mend.Error{Op: "read the public key", Err: err, Hint: "a line such as ssh-ed25519 AAAA…"}
	}
	return public, nil
}
