package nameserver

import (
	"fmt"
	"path/filepath"
	"strings"
)

// writeKnot writes knot.conf and the zones.
func writeKnot(s Spec) ([]string, error) {
	files := map[string]string{}
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  listen: %s@%d\n  rundir: %q\n  udp-workers: 1\n  tcp-workers: 2\n  background-workers: 1\n", s.Addr.Addr(), s.Addr.Port(), s.Dir)
	fmt.Fprintf(&b, "log:\n  - target: stderr\n    any: info\ndatabase:\n  storage: %q\n", s.Dir)
	b.WriteString("key:\n")
	var ids []string
	for _, k := range append([]Key{s.Key}, s.ExtraKeys...) {
		fmt.Fprintf(&b, "  - id: %s\n    algorithm: %s\n    secret: %q\n", k.Name, k.Algorithm, k.Secret)
		ids = append(ids, k.Name)
	}
	fmt.Fprintf(&b, "acl:\n  - id: changes\n    key: [%s]\n    action: [update, transfer]\n", strings.Join(ids, ", "))
	b.WriteString("remote:\n")
	var remotes []string
	for i, to := range s.Secondaries {
		fmt.Fprintf(&b, "  - id: secondary%d\n    address: %s@%d\n", i, to.Addr(), to.Port())
		remotes = append(remotes, fmt.Sprintf("secondary%d", i))
	}
	if s.Primary.IsValid() {
		fmt.Fprintf(&b, "  - id: primary\n    address: %s@%d\n    key: %s\n", s.Primary.Addr(), s.Primary.Port(), s.Key.Name)
	}
	b.WriteString("zone:\n")
	for _, z := range s.Zones {
		fmt.Fprintf(&b, "  - domain: %s\n    storage: %q\n    file: %s\n", z.Apex, s.Dir, zoneFileName(z.Apex))
		if s.Primary.IsValid() {
			b.WriteString("    master: primary\n    acl: changes\n")
			continue
		}
		files[zoneFileName(z.Apex)] = zoneFile(z)
		// The journal alone keeps changes: the zone file stays as the rig wrote it.
		b.WriteString("    zonefile-sync: -1\n    zonefile-load: difference-no-serial\n    journal-content: all\n")
		if s.Sign {
			b.WriteString("    dnssec-signing: on\n")
		}
		if z.Dynamic {
			b.WriteString("    acl: changes\n")
		}
		if len(remotes) > 0 {
			fmt.Fprintf(&b, "    notify: [%s]\n", strings.Join(remotes, ", "))
		}
	}
	files["knot.conf"] = b.String()
	if err := writeFiles(s.Dir, files); err != nil {
		return nil, err
	}
	return []string{"/usr/sbin/knotd", "-c", filepath.Join(s.Dir, "knot.conf")}, nil
}
