package rfc2136

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // for keys that still use it, with a warning
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// verifyMAC checks the signature of one message. It leaves the time to the caller, who has a clock. former is the
// request's signature, or that of the message before; between are unsigned messages since that one.
func verifyMAC(raw []byte, secret, former string, between []byte, timersOnly bool) error {
	raw = slices.Clone(raw) // the library writes into it
	provider := macProvider{secret: secret, macLength: len(former) / 2, between: between}
	if len(raw) > 3 {
		// The library refuses to look at the signature of a reply whose rcode is NOTAUTH, though servers sign those as
		// any other: it is shown another rcode, and the provider puts the real one back.
		provider.rcode = raw[3] & 0xf
		raw[3] &^= 0xf
	}
	if err := dns.TsigVerifyWithProvider(raw, provider, former, timersOnly); err != nil && !errors.Is(err, dns.ErrTime) {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// macProvider puts the unsigned messages between the former signature and the signed message, where RFC 8945 section
// 5.3.1 wants them and the library has no place for them.
type macProvider struct {
	secret    string
	macLength int // of the former signature, in bytes
	between   []byte
	rcode     byte
}

// Generate implements dns.TsigProvider; nothing is signed with it.
func (macProvider) Generate([]byte, *dns.TSIG) ([]byte, error) { return nil, errors.ErrUnsupported }

// Verify implements dns.TsigProvider.
func (p macProvider) Verify(msg []byte, t *dns.TSIG) error {
	sum, err := p.sum(msg, t.Algorithm)
	if err != nil {
		return err
	}
	want, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(sum, want) {
		return dns.ErrSig
	}
	return nil
}

// sum computes the signature of what the library lays out: the former signature with its length, if there is one, the
// message, and the TSIG's variables.
func (p macProvider) sum(msg []byte, algorithm string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(p.secret)
	if err != nil {
		return nil, dns.ErrKeyAlg
	}
	var digest func() hash.Hash
	switch strings.ToLower(algorithm) {
	case dns.HmacSHA1:
		digest = sha1.New
	case dns.HmacSHA224:
		digest = sha256.New224
	case dns.HmacSHA256:
		digest = sha256.New
	case dns.HmacSHA384:
		digest = sha512.New384
	case dns.HmacSHA512:
		digest = sha512.New
	default:
		return nil, dns.ErrKeyAlg
	}
	head := 0
	if p.macLength > 0 {
		head = 2 + p.macLength
	}
	if len(msg) < head+4 {
		return nil, dns.ErrSig
	}
	msg[head+3] |= p.rcode
	mac := hmac.New(digest, key)
	mac.Write(msg[:head])
	mac.Write(p.between)
	mac.Write(msg[head:])
	return mac.Sum(nil), nil
}
