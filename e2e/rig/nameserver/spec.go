package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Software is a name server's program.
type Software string

// The programs, as Debian packages them.
const (
	BIND     Software = "bind"
	Knot     Software = "knot"
	PowerDNS Software = "powerdns"
)

// Packages lists the Debian packages that a program needs.
func (s Software) Packages() []string {
	switch s {
	case BIND:
		return []string{"bind9"}
	case Knot:
		return []string{"knot"}
	case PowerDNS:
		return []string{"pdns-server", "pdns-backend-sqlite3", "sqlite3"}
	}
	return nil
}

// A Key is a TSIG key that may change and transfer the zones.
type Key struct {
	Name      string // "crossfade."
	Algorithm string // "hmac-sha256"
	Secret    string // base64
}

// A Place is where a server runs.
type Place struct {
	// Addr is where it listens. The address must exist in its namespace, as all of 127.0.0.0/8 does on Linux.
	Addr netip.AddrPort
	// Enter, if set, brings the starting thread into the server's network namespace.
	Enter func() error
	// Record, if set, remembers the process, so that a killed run can be cleaned up after.
	Record *record.Log
}

// A Zone is one zone of a server.
type Zone struct {
	Apex string
	// Records are lines of a zone file below the SOA, names fully qualified or relative to the apex. The SOA and a TTL
	// of 300 s are added.
	Records []string
	// Dynamic lets the key change the zone.
	Dynamic bool
	// Minimum is the SOA's negative TTL in seconds, 5 where it is zero. The SOA's own TTL is the same.
	Minimum int
}

// A Spec describes one authoritative server.
type Spec struct {
	Software Software
	Place
	// Name is for errors and the record.
	Name string
	// Dir is its folder: configuration, zones, journal, log.
	Dir   string
	Key   Key
	Zones []Zone
	// Secondaries get every zone by NOTIFY and IXFR.
	Secondaries []netip.AddrPort
	// Primary makes this server a secondary: it takes its zones from there, and their Records are not read.
	Primary netip.AddrPort
	// ExtraKeys are known too and may do what Key may: for tests of algorithms.
	ExtraKeys []Key
	// Views, for BIND as a primary, makes one view for each key, chosen by that key, with all the zones in each.
	Views []Key
	// Sign, for BIND and Knot as a primary, signs the zones (DNSSEC) with keys that the server makes. BIND keeps the signed
	// zone as a copy, which follows the changes of the other one a little later.
	Sign bool
}

// A Server is a running server.
type Server struct {
	Spec Spec
	proc *process.Process
}

// Start writes the configuration, starts the server and waits until it answers for every zone with authority.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	dir, err := filepath.Abs(spec.Dir)
	if err != nil {
		return nil, fmt.Errorf("start name server %s: %w", spec.Name, err)
	}
	spec.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("start name server %s: %w", spec.Name, err)
	}
	var args []string
	switch spec.Software {
	case BIND:
		args, err = writeBIND(spec)
	case Knot:
		args, err = writeKnot(spec)
	case PowerDNS:
		args, err = writePowerDNS(ctx, spec)
	default:
		err = fmt.Errorf("unknown program %q", spec.Software)
	}
	if err != nil {
		return nil, fmt.Errorf("configure name server %s: %w", spec.Name, err)
	}
	proc, err := process.Start(process.Options{
		Name: spec.Name, Args: args, Dir: dir, Log: filepath.Join(dir, "log"), Enter: spec.Enter, Record: spec.Record,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{Spec: spec, proc: proc}
	if err := process.WaitUntil(ctx, 20*time.Second, s.ready, proc); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for name server %s: %w", spec.Name, err), s.Stop(ctx))
	}
	return s, nil
}

// ready is nil as soon as the server has all its zones.
func (s *Server) ready(ctx context.Context) error {
	client := &dnsx.Client{Timeout: time.Second}
	for _, z := range s.Spec.Zones {
		answer, err := client.Ask(ctx, s.Spec.Addr, z.Apex, "SOA", false)
		if err != nil {
			return err
		}
		if answer.Rcode != "NOERROR" || !answer.Authoritative || len(answer.Answer) == 0 {
			return fmt.Errorf("%s answers %s for %s", s.Spec.Name, answer.Rcode, z.Apex)
		}
	}
	return nil
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort { return s.Spec.Addr }

// Stop ends the server.
func (s *Server) Stop(ctx context.Context) error { return s.proc.Stop(ctx, 5*time.Second) }

// zoneFile writes a zone as every server reads it.
func zoneFile(z Zone) string {
	minimum := z.Minimum
	if minimum == 0 {
		minimum = 5
	}
	var b strings.Builder
	// Refresh and retry are short, so that a lost NOTIFY costs seconds.
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL 300\n@ %d IN SOA ns1 hostmaster 1 5 2 3600 %d\n", z.Apex, minimum, minimum)
	for _, line := range z.Records {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func zoneFileName(apex string) string { return strings.TrimSuffix(apex, ".") + ".zone" }

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
