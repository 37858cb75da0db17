package rfc2136

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// A ReplyError is a refusal by the server.
type ReplyError struct {
	// Code is the rcode or the TSIG error: "BADTIME", "BADKEY", "BADSIG", "NOTAUTH", "NOTZONE", "REFUSED", "NXRRSET",
	// "YXRRSET", "NXDOMAIN", "SERVFAIL", … "NOAA" is a reply without authority.
	Code string
	// Skew is, for BADTIME, by how much the server's clock is ahead of ours; negative when it is behind.
	Skew time.Duration
	kind error
}

// Error implements error.
func (e *ReplyError) Error() string {
	switch {
	case e.Code == "BADTIME" && e.Skew > 0:
		return fmt.Sprintf("the server says BADTIME: its clock is %s ahead of ours", e.Skew)
	case e.Code == "BADTIME" && e.Skew < 0:
		return fmt.Sprintf("the server says BADTIME: its clock is %s behind ours", -e.Skew)
	case e.Code == "NOAA":
		return "the server answers without authority"
	}
	return "the server says " + e.Code
}

// Unwrap returns the sentinel of package zone that the code stands for.
func (e *ReplyError) Unwrap() error { return e.kind }

// Hint says what mends it.
func (e *ReplyError) Hint() string {
	switch e.Code {
	case "BADTIME":
		return "set the clock of this machine or of the server: TSIG wants them within the fudge"
	case "BADKEY":
		return "the server does not know the key: compare its name and algorithm with the server's configuration"
	case "BADSIG":
		return "the server has another secret for the key: compare them"
	case "NOTAUTH":
		return "the server is not the zone's primary, or the zone is not there: compare the zone's name and its SOA's primary"
	case "NOTZONE":
		return "the name is not inside the zone: choose the zone that holds it"
	case "REFUSED":
		return "the key is unknown or has no right to change this name and type: see allow-update, update-policy, acl or TSIG-ALLOW-DNSUPDATE"
	case "NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN":
		return "somebody changed the record, or a wildcard answers for it: plan again"
	case "SERVFAIL":
		return "look at the server's log: often its zone file or journal cannot be written"
	case "FORMERR", "NOTIMP":
		return "the server does not speak this part of RFC 2136"
	case "NOAA":
		return "give the address of the zone's primary, not of a resolver"
	}
	return ""
}

func replyError(reply *dns.Msg) *ReplyError {
	code, ok := dns.RcodeToString[reply.Rcode]
	if !ok {
		code = fmt.Sprintf("RCODE%d", reply.Rcode)
	}
	e := &ReplyError{Code: code}
	switch reply.Rcode {
	case dns.RcodeRefused, dns.RcodeNotAuth:
		e.kind = zone.ErrDenied
	case dns.RcodeNotZone, dns.RcodeFormatError, dns.RcodeNotImplemented:
		e.kind = zone.ErrInvalid
	case dns.RcodeNXRrset, dns.RcodeNameError:
		e.kind = zone.ErrMoved
	case dns.RcodeYXRrset, dns.RcodeYXDomain:
		e.kind = zone.ErrConflict
	}
	return e
}

func tsigError(sig *dns.TSIG, skew time.Duration) *ReplyError {
	return &ReplyError{Code: dns.RcodeToString[int(sig.Error)], Skew: skew, kind: zone.ErrDenied}
}

// errorOf says where an error happened and what mends it.
func (d *Driver) errorOf(op string, err error) error {
	out := &zone.Error{Op: op + " at " + d.server.String(), Err: err}
	var reply *ReplyError
	var known *zone.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &reply):
		out.Hint = reply.Hint()
	case errors.Is(err, ErrUnsigned):
		out.Hint = "an unsigned reply proves nothing: look at what stands between here and the server"
	case errors.Is(err, zone.ErrFenced):
		out.Hint = "another run holds this name: end it, or, if it is dead, remove its TXT record by hand"
	}
	return out
}
