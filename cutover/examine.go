package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ZoneReport is what was found out about one zone and its servers.
type ZoneReport struct {
	Zone string `json:"zone"`
	// Serials are what each server said.
	Serials []Serial `json:"serials,omitempty"`
	// Skew is by how much the clock of the server that takes changes is ahead of ours.
	Skew time.Duration `json:"skew"`
	// Probed are the names near which changes were tried under conditions that are false.
	Probed   []string       `json:"probed,omitempty"`
	Refusals []plan.Refusal `json:"refusals,omitempty"`
	Notes    []plan.Note    `json:"notes,omitempty"`
}

// Serial is what one server has of the zone.
type Serial struct {
	Server netip.AddrPort `json:"server"`
	Serial uint32         `json:"serial"`
}

func (r *ZoneReport) refuse(what, why, hint string) {
	r.Refusals = append(r.Refusals, plan.Refusal{What: what, Why: why, Mend: hint})
}

// ExamineZone asks every server of a zone, its parent, and the one that takes changes: do they agree, are the key and its
// clock accepted, may the file's names in it be changed. It changes nothing: what it tries near a name is under conditions that
// cannot hold, or deletes a record that cannot exist.
func ExamineZone(ctx context.Context, opts Options, z Zone) ZoneReport {
	report := ZoneReport{Zone: z.Driver.Apex()}
	examineServers(ctx, opts, z, &report)
	examineDelegation(ctx, z, &report)
	examineClock(ctx, z, &report)
	for _, app := range opts.Applications {
		for _, h := range app.Hostnames {
			name, err := dnsx.Canonical(h.Name)
			if err != nil || h.AtBackend() {
				continue // said where the file is read; or its record is not changed
			}
			if at, err := opts.zoneOf(name); err != nil || at.Driver.Apex() != report.Zone {
				continue
			}
			if err := z.Driver.Probe(ctx, name); err != nil {
				report.refuse(h.Name, "changes of it would not be taken: "+err.Error(), hintOf(err, "check the server, the key and its rights in zone "+report.Zone))
				return report // the next name would meet the same
			}
			report.Probed = append(report.Probed, h.Name)
		}
	}
	return report
}

func hintOf(err error, otherwise string) string {
	var known *mend.Error
	if errors.As(err, &known) && known.Hint != "" {
		return known.Hint
	}
	return otherwise
}

// examineServers compares the serials of all servers.
func examineServers(ctx context.Context, opts Options, z Zone, report *ZoneReport) {
	found, err := opts.names().Discover(ctx, report.Zone, z.source())
	if err != nil {
		report.refuse("servers", err.Error(), hintOf(err, "make every authoritative server and the resolvers reachable from here, or list them under zones"))
		return
	}
	var ahead uint32
	for _, addr := range found.Addrs() {
		answer, err := opts.names().Ask(ctx, addr, report.Zone, "SOA", false)
		if err != nil {
			report.refuse("server "+addr.String(), "it cannot be asked, so nothing could prove that a swap has reached it: "+err.Error(), "open TCP port 53 to it from here, or take it out of the zone's servers")
			continue
		}
		serial, ok := serialOf(answer, report.Zone)
		if !ok {
			report.refuse("server "+addr.String(), fmt.Sprintf("it does not serve the zone (%s)", answer.Rcode), "mend its configuration, or take it out of the delegation")
			continue
		}
		report.Serials = append(report.Serials, Serial{addr, serial})
		if ahead == 0 || newer(serial, ahead) {
			ahead = serial
		}
	}
	for i := range report.Serials {
		s := &report.Serials[i]
		if !opts.catchesUp(ctx, report.Zone, s, ahead) {
			report.refuse("server "+s.Server.String(), fmt.Sprintf("it has serial %d and another has %d: a swap would not be seen there in time", s.Serial, ahead),
				"look at its transfers from the primary (also-notify, allow-transfer, TCP port 53)")
		}
	}
}

// Transfers of a zone that others change all the time are under way at any moment: only who is still behind after
// catchUp lags. It is far shorter than what a swap waits for.
const (
	catchUp      = 5 * time.Second
	catchUpPause = 250 * time.Millisecond
)

// catchesUp asks a server again until it has a serial, and remembers the last one that it had.
func (o Options) catchesUp(ctx context.Context, apex string, s *Serial, ahead uint32) bool {
	for until := o.clock().Now().Add(catchUp); newer(ahead, s.Serial); {
		if !o.clock().Now().Before(until) || o.clock().Sleep(ctx, catchUpPause) != nil {
			return false
		}
		answer, err := o.names().Ask(ctx, s.Server, apex, "SOA", false)
		if err != nil {
			continue
		}
		if serial, ok := serialOf(answer, apex); ok {
			s.Serial = serial
		}
	}
	return true
}

// newer compares serials as RFC 1982 does.
func newer(a, b uint32) bool { return a != b && a-b < 1<<31 }

func serialOf(a dnsx.Answer, apex string) (uint32, bool) {
	set := a.Set(apex, "SOA")
	if !a.Authoritative || len(set.Data) != 1 {
		return 0, false
	}
	var primary, mailbox string
	var serial uint32
	_, err := fmt.Sscan(set.Data[0], &primary, &mailbox, &serial)
	return serial, err == nil
}

// examineDelegation looks the zone up from its parent, as the world's resolvers do. Where the file lists the servers itself,
// what differs is only said.
func examineDelegation(ctx context.Context, z Zone, report *ZoneReport) {
	cut, warnings, err := (&dnsx.Client{}).FindCut(ctx, report.Zone, dnsx.Source{Resolvers: z.Resolvers})
	say := func(text string) {
		report.Notes = append(report.Notes, plan.Note{Level: plan.Warning, What: "delegation", Text: text})
	}
	for _, w := range warnings {
		say(w)
	}
	switch {
	case err != nil && len(z.Servers) > 0:
		say(fmt.Sprintf("it could not be followed from the parent; the servers that the file lists are taken: %v", err))
	case err != nil:
		report.refuse("delegation", err.Error(), hintOf(err, "mend the delegation, or list the zone's servers under zones"))
	case cut.SOA.Zone != report.Zone:
		report.refuse("delegation", "seen from its parent, its names are in "+cut.SOA.Zone, "mend the delegation in the parent, or change the zone "+cut.SOA.Zone+" instead")
	}
}

// examineClock measures how far the server's clock is from ours.
func examineClock(ctx context.Context, z Zone, report *ZoneReport) {
	clocked, ok := z.Driver.(zone.Clocked)
	if !ok {
		return
	}
	skew, allowed, err := clocked.Skew(ctx)
	if err != nil {
		report.refuse("key", err.Error(), hintOf(err, "check the server and the key of zone "+report.Zone))
		return
	}
	report.Skew = skew
	switch {
	case skew.Abs() > allowed:
		report.refuse("clock", fmt.Sprintf("BADTIME: the server's clock is %s, and signatures may be off by %d s at most", aside(skew), int(allowed.Seconds())),
			"set the clock of this machine or of the server (NTP)")
	case skew.Abs() > allowed/2:
		report.Notes = append(report.Notes, plan.Note{Level: plan.Warning, What: "clock", Text: fmt.Sprintf("the server's clock is %s; at %d s its signatures and ours are refused", aside(skew), int(allowed.Seconds()))})
	}
}

// aside says on which side of ours a clock is.
func aside(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("%d s behind ours", int(-skew.Seconds()))
	}
	return fmt.Sprintf("%d s ahead of ours", int(skew.Seconds()))
}
