package racing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// askers is how many clients ask, each one question after the other.
	askers   = 8
	answered = "answer"
	// patience is how long an answer by UDP may take until the question is asked again, as every client does.
	patience = 2 * time.Second
	tries    = 5
)

// ask is one client.
func (r *race) ask(ctx context.Context, rng *rand.Rand) error {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", r.addr.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only asked
	counts, silent, packet := map[string]int64{}, int64(0), make([]byte, 4096)
	for ctx.Err() == nil && !r.done() {
		kind, again, err := question(conn, r.names[rng.IntN(len(r.names))], uint16(rng.Uint32()), packet)
		if err != nil {
			return fmt.Errorf("ask the server: %w", err)
		}
		counts[kind]++
		silent += again
		r.asked.Add(1)
	}
	r.tally(func(p *Report) {
		p.Silent += silent
		for kind, n := range counts {
			p.Answers[kind] += n
		}
	})
	return ctx.Err()
}

// question asks for a name's address, as a resolver would, and says what kind of answer came.
func question(conn net.Conn, name string, id uint16, packet []byte) (kind string, silent int64, err error) {
	msg := new(dns.Msg)
	msg.SetQuestion(name, dns.TypeA)
	msg.Id, msg.RecursionDesired = id, false
	wire, err := msg.Pack()
	if err != nil {
		return "", 0, err
	}
	for range tries {
		if _, err := conn.Write(wire); err != nil {
			return "", silent, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return "", silent, err
		}
		for {
			n, err := conn.Read(packet)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				silent++
				break
			}
			if err != nil {
				return "", silent, err
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(packet[:n]); err != nil {
				return "", silent, err
			}
			if reply.Id == id {
				return kindOf(reply, name), silent, nil
			}
		}
	}
	return "no answer", silent, nil
}

// kindOf tells an answer that is one from those that clients would remember as "there is no such name".
func kindOf(reply *dns.Msg, name string) string {
	switch {
	case reply.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[reply.Rcode]
	case !reply.Authoritative:
		return "an answer without authority"
	case len(reply.Answer) == 0:
		return "NODATA"
	}
	var targets []string
	for _, rr := range reply.Answer {
		if cname, ok := rr.(*dns.CNAME); ok && strings.EqualFold(cname.Hdr.Name, name) {
			targets = append(targets, cname.Target)
		}
	}
	if len(targets) != 1 {
		return fmt.Sprintf("%d targets", len(targets))
	}
	if _, err := number(targets[0]); err != nil {
		return "another target"
	}
	return answered
}
