package rfc2136

import (
	"context"
	"errors"
	"time"

	"github.com/miekg/dns"
)

// Skew implements zone.Clocked: a signed reply carries the server's time, and so does its refusal (RFC 8945 section 5.2.3).
func (d *Driver) Skew(ctx context.Context) (skew, allowed time.Duration, err error) {
	allowed = time.Duration(d.fudge) * time.Second
	msg := new(dns.Msg)
	msg.SetQuestion(d.apex, dns.TypeSOA)
	msg.RecursionDesired = false
	asked := d.now()
	reply, err := d.exchange(ctx, msg)
	answered := d.now()
	var refused *ReplyError
	switch {
	case errors.As(err, &refused) && refused.Code == "BADTIME":
		return refused.Skew, allowed, nil
	case err != nil:
		return 0, allowed, d.errorOf("ask for the time", err)
	}
	signed := time.Unix(int64(reply.IsTsig().TimeSigned), 0)
	switch {
	case signed.After(answered):
		skew = signed.Sub(answered)
	case signed.Add(time.Second).Before(asked):
		skew = -asked.Sub(signed.Add(time.Second))
	}
	return skew.Round(time.Second), allowed, nil
}
