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
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// ResolverPackages lists the Debian packages that a resolver needs.
func ResolverPackages() []string { return []string{"unbound"} }

// A ResolverSpec describes an Unbound.
type ResolverSpec struct {
	Place
	Name string
	Dir  string
	// Stubs say for a zone whom to ask. The root must be among them, or Unbound would ask the world's.
	Stubs map[string][]netip.AddrPort
	// MaxTTL caps what is remembered, in seconds; zero leaves Unbound's day.
	MaxTTL int
	// MinTTL is for how long, in seconds, everything is remembered at least, against its TTL (cache-min-ttl).
	MinTTL int
	// ServeExpired lets it answer with what has expired while nobody tells it better (serve-expired, RFC 8767).
	ServeExpired bool
}

// A Resolver is a running Unbound. It honours TTLs, down to zero, unless its Spec says otherwise.
type Resolver struct {
	Spec ResolverSpec
	proc *process.Process
}

// StartResolver starts a resolver and waits until it answers for each of its stubs but the root.
func StartResolver(ctx context.Context, spec ResolverSpec) (*Resolver, error) {
	dir, err := filepath.Abs(spec.Dir)
	if err != nil {
		return nil, fmt.Errorf("start resolver %s: %w", spec.Name, err)
	}
	spec.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("start resolver %s: %w", spec.Name, err)
	}
	if len(spec.Stubs["."]) == 0 {
		return nil, fmt.Errorf("start resolver %s: %w", spec.Name, errors.New("it has no root, and would ask the world's"))
	}
	if err := writeFiles(dir, map[string]string{"unbound.conf": unboundConf(spec)}); err != nil {
		return nil, fmt.Errorf("start resolver %s: %w", spec.Name, err)
	}
	proc, err := process.Start(process.Options{
		Name: spec.Name, Args: []string{"/usr/sbin/unbound", "-d", "-p", "-c", filepath.Join(dir, "unbound.conf")}, Dir: dir,
		Log: filepath.Join(dir, "log"), Enter: spec.Enter, Record: spec.Record,
	})
	if err != nil {
		return nil, err
	}
	r := &Resolver{Spec: spec, proc: proc}
	if err := process.WaitUntil(ctx, 20*time.Second, r.ready, proc); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for resolver %s: %w", spec.Name, err), r.Stop(ctx))
	}
	return r, nil
}

func unboundConf(s ResolverSpec) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  interface: %s@%d
  access-control: 0.0.0.0/0 allow
  do-ip6: no
  num-threads: 1
  chroot: ""
  username: ""
  directory: %q
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  do-not-query-localhost: no
  # Unbound answers NXDOMAIN for test. by itself otherwise.
  local-zone: "test." nodefault
  cache-max-negative-ttl: 5
  infra-keep-probing: yes
  infra-host-ttl: 10
  serve-expired: %s
  prefetch: no
`, s.Addr.Addr(), s.Addr.Port(), s.Dir, map[bool]string{true: "yes", false: "no"}[s.ServeExpired])
	if s.MinTTL > 0 {
		fmt.Fprintf(&b, "  cache-min-ttl: %d\n", s.MinTTL)
	}
	if s.MaxTTL > 0 {
		fmt.Fprintf(&b, "  cache-max-ttl: %d\n", s.MaxTTL)
	}
	b.WriteString("remote-control:\n  control-enable: no\n")
	for name, addrs := range s.Stubs {
		fmt.Fprintf(&b, "stub-zone:\n  name: %q\n", name)
		for _, a := range addrs {
			fmt.Fprintf(&b, "  stub-addr: %s@%d\n", a.Addr(), a.Port())
		}
	}
	return b.String()
}

func (r *Resolver) ready(ctx context.Context) error {
	client := &dnsx.Client{Timeout: 2 * time.Second}
	for name := range r.Spec.Stubs {
		if name == "." {
			continue
		}
		answer, err := client.Ask(ctx, r.Spec.Addr, name, "SOA", true)
		if err != nil {
			return err
		}
		if len(answer.Answer) == 0 {
			return fmt.Errorf("%s answers %s for %s", r.Spec.Name, answer.Rcode, name)
		}
	}
	return nil
}

// Addr is where it listens.
func (r *Resolver) Addr() netip.AddrPort { return r.Spec.Addr }

// Stop ends the resolver.
func (r *Resolver) Stop(ctx context.Context) error { return r.proc.Stop(ctx, 5*time.Second) }
