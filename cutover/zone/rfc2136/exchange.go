package rfc2136

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/miekg/dns"
)

var (
	// ErrUnsigned says that a reply to a signed message had no signature (C1).
	ErrUnsigned = errors.New("the reply is not signed")
	// ErrSignature says that a reply's signature is not that of our key.
	ErrSignature = errors.New("the reply's signature is wrong")
	// errMismatch says that a reply does not belong to the message.
	errMismatch = errors.New("the reply does not belong to the message")
)

// exchange signs a message, sends it over a connection of its own and returns the verified reply. The message is used
// up: signing it a second time would double the signature (C3). Each caller builds a fresh one.
func (d *Driver) exchange(ctx context.Context, msg *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	question := msg.Question[0]
	msg.SetTsig(d.keyName, d.algorithm, d.fudge, d.now().Unix())
	wire, mac, err := dns.TsigGenerate(msg, d.secret, "", false)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	raw, err := d.roundTrip(ctx, wire)
	if err != nil {
		return nil, err
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(raw); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if err := d.verify(raw, reply, mac); err != nil {
		return nil, err
	}
	if reply.Id != msg.Id || !reply.Response || reply.Opcode != msg.Opcode || reply.Truncated {
		return nil, errMismatch
	}
	if len(reply.Question) > 0 && (!strings.EqualFold(reply.Question[0].Name, question.Name) || reply.Question[0].Qtype != question.Qtype) {
		return nil, errMismatch
	}
	return reply, nil
}

// roundTrip sends one message over TCP and reads one (C9).
func (d *Driver) roundTrip(ctx context.Context, wire []byte) ([]byte, error) {
	if len(wire) > math.MaxUint16 {
		return nil, fmt.Errorf("the message has %d bytes, more than DNS can carry", len(wire))
	}
	conn, err := d.dial(ctx, "tcp", d.server.String())
	if err != nil {
		return nil, err
	}
	// A connection that has given its reply has nothing to lose at its close.
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	raw, err := func() ([]byte, error) {
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
			return nil, fmt.Errorf("send: %w", err)
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil, fmt.Errorf("wait for the reply: %w", err)
		}
		raw := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return nil, fmt.Errorf("read the reply: %w", err)
		}
		return raw, nil
	}()
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("wait for %s: %w", d.server, context.Cause(ctx))
	}
	return raw, err
}

// verify holds C1 and C8: the library takes an unsigned reply for a good one, so that its absence is checked here.
func (d *Driver) verify(raw []byte, reply *dns.Msg, mac string) error {
	sig := reply.IsTsig()
	if sig == nil {
		if reply.Rcode != dns.RcodeSuccess {
			// What it claims helps to mend it, and is no reason to believe that nothing was changed.
			return fmt.Errorf("%w: %w", ErrUnsigned, &ReplyError{Code: replyError(reply).Code})
		}
		return ErrUnsigned
	}
	if sig.Error == dns.RcodeBadKey || sig.Error == dns.RcodeBadSig {
		// RFC 8945 section 5.3.2: these replies cannot be signed. That nothing was changed is not proven by them.
		return tsigError(sig, 0)
	}
	if !strings.EqualFold(sig.Hdr.Name, d.keyName) || !strings.EqualFold(sig.Algorithm, d.algorithm) {
		return fmt.Errorf("%w: it is of another key", ErrSignature)
	}
	if err := verifyMAC(raw, d.secret, mac, nil, false); err != nil {
		return err
	}
	if sig.Error == dns.RcodeBadTime {
		return tsigError(sig, skewOf(sig))
	}
	if skew := time.Unix(int64(sig.TimeSigned), 0).Sub(d.now()); skew.Abs() > time.Duration(d.fudge)*time.Second {
		return tsigError(&dns.TSIG{Error: dns.RcodeBadTime}, skew.Truncate(time.Second))
	}
	return nil
}

// skewOf returns by how much the server's clock is ahead of ours: a BADTIME reply repeats our time and carries the
// server's as other data (RFC 8945 section 5.2.3).
func skewOf(sig *dns.TSIG) time.Duration {
	raw, err := hex.DecodeString(sig.OtherData)
	if err != nil || len(raw) != 6 {
		return 0
	}
	server := binary.BigEndian.Uint64(append([]byte{0, 0}, raw...))
	return time.Duration(int64(server)-int64(sig.TimeSigned)) * time.Second
}
