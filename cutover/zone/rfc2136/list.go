package rfc2136

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// ErrPartial says that a transfer of a zone ended before the zone did, or is not one zone (C11).
var ErrPartial = errors.New("the zone transfer is not complete")

// maxUnsigned is how many messages of a transfer may go without a signature before one has it (RFC 8945 section 5.3.1).
const maxUnsigned = 99

// List implements zone.Lister by a signed zone transfer (AXFR, RFC 5936). A transfer begins and ends with the same SOA;
// anything else is ErrPartial, and so is a transfer whose last message is not signed.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	rrs, err := d.transfer(ctx)
	if err != nil {
		return nil, d.errorOf("transfer the zone "+d.apex, err)
	}
	var records []dnsx.Record
	for _, rr := range rrs {
		record, err := dnsx.FromRR(rr)
		if err != nil {
			return nil, d.errorOf("transfer the zone "+d.apex, err)
		}
		if !dnsx.InZone(record.Name, d.apex) {
			return nil, d.errorOf("transfer the zone "+d.apex, fmt.Errorf("%w: %s is not in it", ErrPartial, record.Name))
		}
		records = append(records, record)
	}
	return gatherAll(records), nil
}

// gatherAll makes sets of records, sorted by name and type. Signatures are a set for each type that they cover, which
// makes no difference to who reads them here.
func gatherAll(records []dnsx.Record) []zone.RRset {
	groups := map[string][]dnsx.Record{}
	for _, r := range records {
		groups[r.Name+" "+r.Type] = append(groups[r.Name+" "+r.Type], r)
	}
	var out []zone.RRset
	for _, group := range groups {
		out = append(out, zone.RRset(dnsx.Gather(group, group[0].Name, group[0].Type)))
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out
}

// transfer returns the zone's records, its SOA once.
func (d *Driver) transfer(ctx context.Context) ([]dns.RR, error) {
	msg := new(dns.Msg)
	msg.SetAxfr(d.apex)
	msg.SetTsig(d.keyName, d.algorithm, d.fudge, d.now().Unix())
	wire, mac, err := dns.TsigGenerate(msg, d.secret, "", false)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	// A large zone takes longer than one message: the time is for each message.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := d.dial(ctx, "tcp", d.server.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // a connection that was only read
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	verifier := &transferMAC{driver: d, mac: mac}
	var rrs []dns.RR
	for {
		if err := conn.SetReadDeadline(time.Now().Add(d.timeout)); err != nil {
			return nil, err
		}
		raw, err := readMessage(conn)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: after %d records: %w", ErrPartial, len(rrs), err), context.Cause(ctx))
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(raw); err != nil {
			return nil, fmt.Errorf("%w: after %d records: %w", ErrPartial, len(rrs), err)
		}
		if err := verifier.check(raw, reply); err != nil {
			return nil, err
		}
		if reply.Id != msg.Id || !reply.Response {
			return nil, errMismatch
		}
		if reply.Rcode != dns.RcodeSuccess {
			return nil, errors.Join(ErrPartial, replyError(reply))
		}
		rrs = append(rrs, reply.Answer...)
		switch done, err := complete(rrs, d.apex); {
		case err != nil:
			return nil, err
		case done && verifier.pending.Len() > 0:
			return nil, fmt.Errorf("%w: its last message", ErrUnsigned)
		case done:
			return rrs[:len(rrs)-1], nil
		}
	}
}

func readMessage(conn net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, raw)
	return raw, err
}

// complete says whether the records so far are a whole zone.
func complete(rrs []dns.RR, apex string) (bool, error) {
	if len(rrs) == 0 {
		return false, fmt.Errorf("%w: it begins without a record", ErrPartial)
	}
	first, ok := rrs[0].(*dns.SOA)
	if !ok || !strings.EqualFold(first.Hdr.Name, apex) {
		return false, fmt.Errorf("%w: it does not begin with the SOA of %s", ErrPartial, apex)
	}
	for i, rr := range rrs[1:] {
		soa, ok := rr.(*dns.SOA)
		switch {
		case !ok:
		case i+2 < len(rrs):
			return false, fmt.Errorf("%w: records follow its last SOA", ErrPartial)
		case soa.Serial != first.Serial || !strings.EqualFold(soa.Hdr.Name, apex):
			return false, fmt.Errorf("%w: it began with serial %d and ended with %d", ErrPartial, first.Serial, soa.Serial)
		default:
			return true, nil
		}
	}
	return false, nil
}

// transferMAC follows the chain of signatures through the messages of a transfer: each covers the one before, and all
// messages between them.
type transferMAC struct {
	driver  *Driver
	mac     string
	pending bytes.Buffer // messages that no signature has covered yet
	count   int
	later   bool // the first message is behind us
}

func (v *transferMAC) check(raw []byte, reply *dns.Msg) error {
	if reply.IsTsig() == nil {
		// The first message must be signed.
		if v.count++; !v.later || v.count > maxUnsigned {
			return ErrUnsigned
		}
		v.pending.Write(raw)
		return nil
	}
	if !v.later {
		v.later = true
		if err := v.driver.verify(raw, reply, v.mac); err != nil {
			return err
		}
	} else {
		if err := verifyMAC(raw, v.driver.secret, v.mac, v.pending.Bytes(), true); err != nil {
			return err
		}
	}
	v.mac = reply.IsTsig().MAC
	v.pending.Reset()
	v.count = 0
	return nil
}
