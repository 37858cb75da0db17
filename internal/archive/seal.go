package archive

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
)

// keySize is the size of the HMAC key in bytes.
const keySize = 32

// keyring opens the keys of an archive, each once.
type keyring struct {
	store      Store
	identities []age.Identity

	mu   sync.Mutex
	keys map[string][]byte
}

func newKeyring(store Store, identities []string) (*keyring, error) {
	ids, err := parseIdentities(identities)
	if err != nil {
		return nil, err
	}
	return &keyring{store: store, identities: ids, keys: map[string][]byte{}}, nil
}

func (k *keyring) canOpen() bool { return len(k.identities) > 0 }

// key returns the HMAC key of a name.
func (k *keyring) key(ctx context.Context, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.keys[name]; ok {
		return key, nil
	}
	sealed, err := k.store.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	key, err := k.open(name, sealed)
	if err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, corrupt(name, "it is no key")
	}
	k.keys[name] = key
	return key, nil
}

func (k *keyring) remember(name string, key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[name] = key
}

// open decrypts. The error never holds a part of the content.
func (k *keyring) open(name string, sealed []byte) ([]byte, error) {
	if !k.canOpen() {
		return nil, fmt.Errorf("decrypt %s: %w", name, ErrNoIdentity)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), k.identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("decrypt %s: %w", name, ErrNoIdentity)
	}
	if err != nil {
		return nil, corrupt(name, "it is not what age wrote")
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxBlob+1))
	if err != nil || len(plain) > MaxBlob {
		return nil, corrupt(name, "it is not what age wrote, or too large")
	}
	return plain, nil
}

func seal(recipients []age.Recipient, plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// isSealed reports whether something looks like what age wrote. Only opening it proves more.
func isSealed(raw []byte) bool { return bytes.HasPrefix(raw, []byte("age-encryption.org/v1\n")) }

func keyedHash(key, plain []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(plain)
	return hex.EncodeToString(mac.Sum(nil))
}

func newKey() (name string, key []byte, err error) {
	random := make([]byte, 16+keySize)
	if _, err := rand.Read(random); err != nil {
		return "", nil, fmt.Errorf("make a key: %w", err)
	}
	return "keys/" + hex.EncodeToString(random[:16]) + ".age", random[16:], nil
}

func parseRecipients(recipients []string) ([]age.Recipient, error) {
	if len(recipients) == 0 {
		return nil, nil
	}
	rs, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
	if err != nil {
		return nil, fmt.Errorf("read archive.recipients: %w", err)
	}
	return rs, nil
}

// parseIdentities reads age identities; its error repeats nothing of them.
func parseIdentities(identities []string) ([]age.Identity, error) {
	var out []age.Identity
	for n, text := range identities {
		ids, err := age.ParseIdentities(strings.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("read age identity %d: it is not an age secret key (AGE-SECRET-KEY-1…)", n+1)
		}
		out = append(out, ids...)
	}
	return out, nil
}

func sortedCopy(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
