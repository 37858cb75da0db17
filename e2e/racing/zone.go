package racing

import (
	"context"
	"fmt"

	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// nameOf is a name that the writers race for.
func nameOf(i int) string { return fmt.Sprintf("app%d.%s", i, Apex) }

// specOf is a server with a zone that is full of others' records: beside the names, below them, and of every kind that a
// careless change could take along.
func specOf(ctx context.Context, opts Options) (nameserver.Spec, error) {
	addr, err := freePort(ctx)
	if err != nil {
		return nameserver.Spec{}, err
	}
	records := []string{
		"@ NS ns1", "ns1 A 127.0.0.1", "@ MX 10 mail", "@ TXT \"v=spf1 -all\"", "@ CAA 0 issue \"ca.test\"", "mail A 192.0.2.25",
		"* A 192.0.2.80", "* TXT \"anything\"", "*.wild CNAME everywhere.lb.test.",
	}
	for i := range opts.Names {
		name := nameOf(i)
		records = append(records,
			fmt.Sprintf("%s %d CNAME %s", name, ttl, target(0, 0)),
			"_owner."+name+" TXT \"another's, below the name\"",
			fmt.Sprintf("cname-app%d TXT \"heritage=external-dns,external-dns/owner=blue\"", i),
			fmt.Sprintf("app%d-mail MX 10 mail", i),
		)
	}
	for i := range 200 {
		records = append(records,
			fmt.Sprintf("other%d A 192.0.2.%d", i, 1+i%250), fmt.Sprintf("other%d AAAA 2001:db8::%x", i, i), fmt.Sprintf("other%d TXT \"one\" \"two\"", i),
			fmt.Sprintf("alias%d CNAME other%d", i, i), fmt.Sprintf("_sip._tcp.other%d SRV 1 2 5060 other%d", i, i),
		)
	}
	return nameserver.Spec{
		Software: opts.Software, Name: "racing-" + string(opts.Software), Dir: opts.Dir, Sign: opts.Sign,
		Key:   nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="},
		Place: nameserver.Place{Addr: addr},
		Zones: []nameserver.Zone{{Apex: Apex, Dynamic: true, Records: records}},
	}, nil
}
