package cutover

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// judgeAround looks at what stands around a name's records and decides with them what a client reaches: signatures, wildcards,
// HTTPS records, CAA.
func judgeAround(ctx context.Context, s NameState, opts InspectOptions, found *Inspection) {
	judgeSignatures(s, opts.Options, found)
	judgeNeighbours(s, found)
	if !opts.WithoutGreen {
		judgeCAA(ctx, s, opts.Options, found)
	}
}

// resigned is the share of a signature's life that signers leave over before they sign anew: one with less left was forgotten.
// BIND renews with 5 of 14 days left, Knot with 7 of 14 (their manuals: dnssec-policy signatures-refresh, rrsig-refresh); those
// that sign each answer never let it run down.
const resigned = 5

// judgeSignatures demands of a signed zone that every server shows good signatures over the name's sets, which outlast the
// cutover (C15): a client that validates has no answer else.
func judgeSignatures(s NameState, opts Options, found *Inspection) {
	if !s.Delegation.Signed {
		if s.Delegation.Secure {
			found.refuse(s.Hostname, "its zone "+s.Zone+" is not signed, and its parent "+s.Delegation.Parent+" has a DS for it: nobody who validates gets an answer", "take the DS out of the parent, or sign the zone")
		}
		return
	}
	const mendSigner = "look at the zone's signer and at the transfers of the server; a zone that is meant to be unsigned has neither DNSKEY nor a DS at its parent"
	now := opts.now()
	needs := time.Duration(s.TTL)*time.Second + 2*(opts.propagation()+opts.margin())
	for _, bad := range unsigned(s.Views) {
		found.refuse(s.Hostname, "its zone is signed, and not every server shows that: "+bad, mendSigner)
	}
	for _, v := range s.Views {
		who := strings.TrimSpace(v.Server + " " + v.Addr.String())
		if len(v.Sets) == 0 && v.Unknown == "" {
			found.refuse(s.Hostname, who+" does not have the record that the primary has, and so no signature over it", "wait until it follows the primary, or mend its transfers")
		}
		for _, sig := range v.Signatures {
			left := sig.Left(now)
			switch {
			case sig.Problem != "":
			case left < needs:
				found.refuse(s.Hostname, fmt.Sprintf("%s: its signature over the %s set ends in %s, and the cutover's waits take %s", who, sig.Type, cli.Duration(left), cli.Duration(needs)), mendSigner)
			case left < sig.Until.Sub(sig.From)/resigned:
				found.warn(s.Hostname, fmt.Sprintf("%s: its signature over the %s set ends in %s; a signer at work renews it earlier", who, sig.Type, cli.Duration(left)))
			}
		}
	}
	if !s.Delegation.Secure && s.Delegation.Parent != "" {
		found.warn(s.Hostname, "its zone "+s.Zone+" is signed and has no DS at its parent "+s.Delegation.Parent+": nobody validates it")
	}
}

// judgeNeighbours looks at other sets of the name, and at the wildcard that would answer in its place.
func judgeNeighbours(s NameState, found *Inspection) {
	for _, w := range s.Delegation.Wildcard {
		if slices.ContainsFunc(s.Records, func(r zone.RRset) bool { return r.Type == w.Type }) {
			found.warn(s.Hostname, fmt.Sprintf("%s %s stands beside it: were the name's own record gone, clients would get %s and no error", w.Name, w.Type, strings.Join(w.Data, " ")))
		}
	}
	for _, set := range s.Delegation.Records {
		if set.Type != "HTTPS" && set.Type != "SVCB" {
			continue
		}
		addrs, targets, err := dnsx.Hints(set)
		if err != nil {
			found.refuse(s.Hostname, fmt.Sprintf("its %s record could not be understood: %v", set.Type, err), "take the record away until the name has moved")
			continue
		}
		blue := slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(s.Blue.Addresses, a) })
		switch {
		case len(blue) > 0:
			found.refuse(s.Hostname, fmt.Sprintf("its %s record hints at blue's address %s: browsers would stay there whatever the address records say", set.Type, blue[0]), "take ipv4hint and ipv6hint out of the record, with its TTL waited out, and put green's in after the swap")
		case s.Blue.Target != "" && slices.Contains(targets, s.Blue.Target):
			found.refuse(s.Hostname, fmt.Sprintf("its %s record leads to blue's %s: browsers would stay there whatever the address records say", set.Type, s.Blue.Target), "let the record lead to the name itself (target \".\"), with its TTL waited out")
		default:
			found.warn(s.Hostname, fmt.Sprintf("its %s record stays as it is: %s", set.Type, strings.Join(set.Data, "; ")))
		}
	}
}

// caaDomains are CAA domains of well-known authorities, by what stands in the organisation of their certificates' issuers. The table
// decides nothing: what it lacks or has wrong costs or saves a warning.
func caaDomains(organisation string) []string {
	for _, known := range []struct {
		name    string
		domains []string
	}{
		{"let's encrypt", []string{"letsencrypt.org"}},
		{"google trust services", []string{"pki.goog"}},
		{"digicert", []string{"digicert.com"}},
		{"sectigo", []string{"sectigo.com", "comodoca.com"}},
		{"zerossl", []string{"sectigo.com"}},
		{"amazon", []string{"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}},
		{"globalsign", []string{"globalsign.com"}},
	} {
		if strings.Contains(strings.ToLower(organisation), known.name) {
			return known.domains
		}
	}
	return nil
}

// judgeCAA compares who may issue for the name once it leads to green with who issued green's certificate: it is the next
// renewal that would fail, weeks after the swap.
func judgeCAA(ctx context.Context, s NameState, opts Options, found *Inspection) {
	if s.Delegation.CAAUnread != "" {
		return // a warning of the discovery says so
	}
	caa, err := opts.caaAfter(ctx, s)
	if err != nil {
		found.warn(s.Hostname, fmt.Sprintf("which CAA governs it once it leads to green could not be read: %v", err))
		return
	}
	if caa == nil {
		return
	}
	allowed, restricted := dnsx.Issuers(*caa, strings.HasPrefix(s.Hostname, "*."))
	if !restricted {
		return
	}
	organisation, err := greenIssuer(ctx, s)
	if err != nil {
		return // whether green has a certificate is its checks' business
	}
	domains := caaDomains(organisation)
	where := fmt.Sprintf("the CAA at %s allows %s", caa.Name, orNobody(allowed))
	switch {
	case domains == nil:
		found.warn(s.Hostname, fmt.Sprintf("%s: see that the issuer of green's certificate (%s) is among them, or its renewal fails", where, organisation))
	case !slices.ContainsFunc(domains, func(d string) bool { return slices.Contains(allowed, d) }):
		found.warn(s.Hostname, fmt.Sprintf("%s, and green's certificate is from %s: its renewal will fail; allow %s", where, organisation, domains[0]))
	}
}

func orNobody(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

// caaAfter is the CAA set that governs the name once it leads to green: a CNAME's target is asked first.
func (o Options) caaAfter(ctx context.Context, s NameState) (*dnsx.RRset, error) {
	if s.Address() || s.Green.Target == "" {
		return s.Delegation.CAA, nil
	}
	z, err := o.zoneOf(s.Hostname)
	if err != nil {
		return nil, err
	}
	return o.names().CAAVia(ctx, s.Delegation, s.Green.Target, z.source())
}

// greenIssuer is the organisation that issued the certificate which green shows under the name. It need not be one that this
// machine trusts.
func greenIssuer(ctx context.Context, s NameState) (string, error) {
	if len(s.Green.Addresses) == 0 {
		return "", fmt.Errorf("green has no address")
	}
	ctx, cancel := context.WithTimeout(ctx, defaultCheckTimeout)
	defer cancel()
	// Who issued it is asked, not whether it holds: the checks do that. Nothing is sent, and nothing that is read is trusted.
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: strings.TrimSuffix(s.Hostname, "."), InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.Green.Addresses[0].String(), strconv.Itoa(s.Green.Port)))
	if err != nil {
		return "", err
	}
	// Nothing was sent that a failed close could lose.
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return "", fmt.Errorf("it shows no certificate")
	}
	issuer := secure.ConnectionState().PeerCertificates[0].Issuer
	if len(issuer.Organization) > 0 {
		return issuer.Organization[0], nil
	}
	return issuer.CommonName, nil
}
