package gcs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Whoever has a session's URL can write its object without credentials, so that it is not put on file in clear. It is sealed with a key that is
// made of the credentials: who can open it, could write the object anyway. A token that lasts an hour, or a machine's own identity, has nothing
// that a later run would make the same key of.

// sealKey is the key; nil where there is none.
func (c Credentials) sealKey() []byte {
	secret := c.ServiceAccount
	if c.Anonymous {
		secret = []byte("anonymous") // anybody may write there
	}
	if len(secret) == 0 {
		return nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "crossfade: the URL of an upload to Cloud Storage", 32)
	if err != nil {
		return nil
	}
	return key
}

// seal makes what may be put on file of a text.
func (c Credentials) seal(text string) (string, error) {
	box, err := c.box()
	if err != nil {
		return "", err
	}
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // which never fails
	return base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, []byte(text), nil)), nil
}

// unseal is the text that was sealed with the same credentials.
func (c Credentials) unseal(sealed string) (string, error) {
	box, err := c.box()
	if err != nil {
		return "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < box.NonceSize() {
		return "", errors.New("it was not sealed here")
	}
	text, err := box.Open(nil, raw[:box.NonceSize()], raw[box.NonceSize():], nil)
	if err != nil {
		return "", fmt.Errorf("it was sealed with other credentials: %w", err)
	}
	return string(text), nil
}

func (c Credentials) box() (cipher.AEAD, error) {
	key := c.sealKey()
	if key == nil {
		return nil, errors.New("the credentials last no longer than the run")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
