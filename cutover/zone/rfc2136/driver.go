package rfc2136

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// fenceTTL is short, though nobody who matters asks for a fence through a cache.
const fenceTTL = 60

// A Driver changes one zone at its primary. It may be used by several goroutines at once.
type Driver struct {
	apex      string
	server    netip.AddrPort
	keyName   string
	algorithm string
	secret    string
	fudge     uint16
	timeout   time.Duration
	attempts  int
	settle    time.Duration
	log       *slog.Logger
	now       func() time.Time
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// New checks the options. It sends nothing.
func New(o Options) (*Driver, error) {
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up dynamic updates of " + o.Apex, Hint: hint, Err: err}
	}
	apex, err := dnsx.Canonical(o.Apex)
	if err != nil {
		return fail("give the zone's name", err)
	}
	server, err := dnsx.ParseServer(o.Server)
	if err != nil {
		return fail("give the primary's address, as in 192.0.2.53:53", err)
	}
	name, err := dnsx.Canonical(o.Key.Name)
	if err != nil {
		return fail("give the TSIG key's name: unsigned updates are not sent", err)
	}
	logger := o.Log
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	algorithm, err := checkAlgorithm(o.Key.Algorithm, logger)
	if err != nil {
		return fail("use an hmac-sha256 key, which every server can make", err)
	}
	if raw, err := base64.StdEncoding.DecodeString(o.Key.Secret); err != nil || len(raw) == 0 {
		// The decoder's error would quote the secret's bytes (I9).
		return fail("give the secret in base64, as the key file has it", errors.New("the TSIG secret is not base64, or empty"))
	}
	fudge := cmp.Or(o.Fudge, 300*time.Second)
	if fudge < time.Second || fudge.Seconds() > math.MaxUint16 {
		return fail("choose between 1 s and 65535 s", fmt.Errorf("fudge of %s", fudge))
	}
	d := &Driver{
		apex: apex, server: server, keyName: name, algorithm: algorithm, secret: o.Key.Secret, fudge: uint16(fudge / time.Second),
		timeout: cmp.Or(o.Timeout, dnsx.DefaultTimeout), attempts: cmp.Or(o.Attempts, 3), settle: cmp.Or(o.Settle, 10*time.Second), log: logger, now: o.Now, dial: o.Dial,
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.dial == nil {
		d.dial = new(net.Dialer).DialContext
	}
	return d, nil
}

// checkAlgorithm holds C8: RFC 8945 section 6 says which algorithms are still to be used.
func checkAlgorithm(name string, logger *slog.Logger) (string, error) {
	name = cmp.Or(strings.TrimSuffix(strings.ToLower(name), "."), "hmac-sha256")
	switch name {
	case "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512":
	case "hmac-sha1":
		logger.Warn("the TSIG key uses hmac-sha1, which is on its way out: make an hmac-sha256 key")
	default:
		return "", fmt.Errorf("TSIG algorithm %q is refused", name)
	}
	return name + ".", nil
}

// Apex implements zone.Zone.
func (d *Driver) Apex() string { return d.apex }

// Strength implements zone.Swapper.
func (d *Driver) Strength() zone.Strength { return zone.Atomic }

// Lookup implements zone.Reader.
func (d *Driver) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	name, err := dnsx.Canonical(name)
	if err != nil {
		return zone.RRset{}, fmt.Errorf("look up %s: %w", typ, err)
	}
	set, err := d.lookup(ctx, name, typ)
	if err == nil && len(set.Data) == 0 {
		err = zone.ErrNotExist
	}
	if err != nil {
		return zone.RRset{}, d.errorOf(fmt.Sprintf("look up %s %s", name, typ), err)
	}
	return set, nil
}

// lookup returns a set without data where the primary says with authority that there is none.
func (d *Driver) lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	reply, err := d.query(ctx, name, typ)
	if err != nil {
		return zone.RRset{}, err
	}
	var records []dnsx.Record
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != dns.StringToType[typ] || !strings.EqualFold(rr.Header().Name, name) {
			continue // the rest of a chain of CNAMEs
		}
		record, err := dnsx.FromRR(rr)
		if err != nil {
			return zone.RRset{}, fmt.Errorf("read the reply: %w", err)
		}
		records = append(records, record)
	}
	return zone.RRset(dnsx.Gather(records, name, typ)), nil
}

// exists says whether a name is in the zone's tree, or a wildcard answers for it.
func (d *Driver) exists(ctx context.Context, name string) (bool, error) {
	reply, err := d.query(ctx, name, "TXT")
	if err != nil {
		return false, err
	}
	return reply.Rcode == dns.RcodeSuccess, nil
}

// query returns a reply that the primary gave with authority: yes, no such record, or no such name.
func (d *Driver) query(ctx context.Context, name, typ string) (*dns.Msg, error) {
	code, ok := dns.StringToType[typ]
	if !ok {
		return nil, fmt.Errorf("%w: unknown type %q", zone.ErrInvalid, typ)
	}
	msg := new(dns.Msg)
	msg.SetQuestion(name, code)
	msg.RecursionDesired = false
	reply, err := d.exchange(ctx, msg)
	switch {
	case err != nil:
		return nil, err
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, replyError(reply)
	case !reply.Authoritative:
		return nil, &ReplyError{Code: "NOAA", kind: zone.ErrInvalid}
	}
	return reply, nil
}

// look returns the sets that a name holds of some types.
func (d *Driver) look(ctx context.Context, name string, types []string) ([]zone.RRset, error) {
	var found []zone.RRset
	for _, typ := range types {
		set, err := d.lookup(ctx, name, typ)
		if err != nil {
			return nil, err
		}
		if len(set.Data) > 0 {
			found = append(found, set)
		}
	}
	return found, nil
}

// own leaves out what only a wildcard answers with. An answer does not tell; a condition sees the zone itself (RFC 2136 section 3.2), so
// messages ask that change nothing.
func (d *Driver) own(ctx context.Context, name string, found []zone.RRset) ([]zone.RRset, error) {
	var own []zone.RRset
	for _, set := range found {
		msg := d.update()
		msg.RRsetUsed(bare(name, dns.StringToType[set.Type]))
		reply, err := d.exchange(ctx, msg)
		switch {
		case err != nil:
			return nil, err
		case reply.Rcode == dns.RcodeSuccess:
			own = append(own, set)
		case reply.Rcode != dns.RcodeNXRrset:
			return nil, replyError(reply)
		}
	}
	return own, nil
}

// token returns the text of a fence, empty where there is none. A text that is none of those expected may be a wildcard's,
// which answers where there is no fence.
func (d *Driver) token(ctx context.Context, name string, expected ...string) (string, error) {
	set, err := d.lookup(ctx, name, "TXT")
	if err != nil {
		return "", err
	}
	found := tokenOf(set)
	if found == "" || slices.Contains(expected, found) {
		return found, nil
	}
	for wildcard := range zone.WildcardsAbove(name, d.apex) {
		wild, err := d.lookup(ctx, wildcard, "TXT")
		if err != nil {
			return "", err
		}
		if tokenOf(wild) == found {
			return "", nil
		}
	}
	return found, nil
}

// tokenOf is the text of a fence's set.
func tokenOf(set zone.RRset) string {
	var tokens []string
	for _, data := range set.Data {
		tokens = append(tokens, strings.Trim(data, `"`))
	}
	slices.Sort(tokens)
	return strings.Join(tokens, " ")
}

// checkFence returns a *zone.FencedError where the fence does not hold the token.
func (d *Driver) checkFence(ctx context.Context, fence zone.Fence) error {
	if fence.Name == "" {
		return nil
	}
	found, err := d.token(ctx, fence.Name, fence.Token)
	if err != nil {
		return err
	}
	if found != fence.Token {
		return &zone.FencedError{Fence: fence, Found: found}
	}
	return nil
}
