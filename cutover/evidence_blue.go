package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// BlueEvidenceOptions say where a use of blue would show.
type BlueEvidenceOptions struct {
	Options
	Retirement migration.Retirement
	// Helper is this project's image as blue's nodes can pull it.
	Helper string
	// HelperNamespace holds the short-lived pods. Default kube-system.
	HelperNamespace string
	// Held are the names, as the TTL stage left them.
	Held []Held
	// Forwards are the plans of the forwardings that are in force, by application.
	Forwards map[string]*plan.Plan
	// Once is set for a single look: the nodes are then watched for a few seconds, and not for the interval.
	Once bool
}

// BlueEvidence returns all the evidence that a migration has of blue's idleness: the connections through its nodes, every
// counter that an application declares, and the names. It reads blue's entries.
func BlueEvidence(ctx context.Context, opts BlueEvidenceOptions) ([]Evidence, error) {
	if opts.Blue.Kube == nil {
		return nil, errors.New("collect evidence of blue: no cluster was given")
	}
	ignore, err := ignoredBy(opts.Retirement)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	evidence := append(accessLogs(opts, ignore), routeEvidence(opts)...)
	for _, p := range prometheusEvidence(opts.Options, opts.Retirement) {
		evidence = append(evidence, p)
	}
	for _, app := range opts.Applications {
		found, err := FindEntries(ctx, opts.Options, app.Name)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if opts.atBackend(app.Name, e.Hostname) {
				continue // its entry goes on serving, for green
			}
			if len(e.Blue.Addresses) == 0 {
				return nil, &Error{Op: "collect evidence of blue", Hint: "name blue's address for the hostname", Err: fmt.Errorf("no address of %s on blue is known: %s", e.Hostname, e.Blue.Missing)}
			}
			entries = append(entries, e.Blue)
		}
		if p := opts.Forwards[app.Name]; p != nil {
			passed, err := NewForwardEvidence(opts.Options, app.Name, p, ignore)
			if err != nil {
				return nil, err
			}
			evidence = append(evidence, passed)
		}
		if app.Requests != nil {
			evidence = append(evidence, RequestEvidence{Kube: opts.Blue.Kube, App: app, Namespace: opts.Blue.namespace(app.Namespace), Clock: opts.clock()})
		}
	}
	if len(entries) == 0 {
		return evidence, nil
	}
	reader := PodFlows{
		Kube: opts.Blue.Kube, Migration: opts.Migration, Image: opts.Helper, Namespace: opts.HelperNamespace,
		For: watchFor(opts.Retirement.Interval.Or(defaultIdleInterval)), Log: opts.log(), Clock: opts.clock(),
	}
	if opts.Once {
		reader.For = 0
	}
	watched := entries
	if opts.Helper != "" { // without it nothing can be watched
		if watched, err = withNodePorts(ctx, opts.Blue, entries); err != nil {
			return nil, err
		}
	}
	return append(evidence,
		FlowEvidence{Reader: reader, Entries: watched, Ignore: ignore, Clock: opts.clock()},
		NameEvidence{Options: opts.Options, Held: inZones(opts.Held), Entries: entries, Unlisted: opts.Retirement.Unlisted},
	), nil
}

// ignoredBy are the addresses of probes and scanners that the file names.
func ignoredBy(r migration.Retirement) ([]netip.Prefix, error) {
	var ignore []netip.Prefix
	for _, text := range r.Ignore {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("retirement.ignore: %w", err)
		}
		ignore = append(ignore, prefix.Masked())
	}
	return ignore, nil
}

// inZones are the names that the DNS moves.
func inZones(held []Held) []Held {
	var names []Held
	for _, h := range held {
		if h.Route == nil {
			names = append(names, h)
		}
	}
	return names
}

// accessLogs are those of the file.
func accessLogs(opts BlueEvidenceOptions, ignore []netip.Prefix) []Evidence {
	var hostnames, stay, namespaces []string
	for _, app := range opts.Applications {
		for _, h := range app.Hostnames {
			if h.AtBackend() {
				stay = append(stay, h.Name) // users ask blue's ingress for it, and green answers: its rules are evidence of their own
				continue
			}
			hostnames = append(hostnames, h.Name)
		}
		if len(app.Hostnames) > 0 {
			namespaces = append(namespaces, opts.Blue.namespace(app.Namespace))
		}
	}
	var logs []Evidence
	for _, log := range opts.Retirement.AccessLogs {
		logs = append(logs, AccessLogEvidence{Kube: opts.Blue.Kube, Log: log, Hostnames: hostnames, Stay: stay, Namespaces: namespaces, Ignore: ignore, Clock: opts.clock()})
	}
	return logs
}

// watchFor lets a pod watch for nearly the whole interval. Reset connections stay in the table for ten seconds, which is
// longer than the start of the next pod takes.
func watchFor(interval time.Duration) time.Duration {
	const start = 5 * time.Second
	return max(time.Second, interval-start)
}
