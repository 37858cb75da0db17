package nameserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const powerDNSSchema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"

// writePowerDNS writes pdns.conf and fills a database of its own with the package's tools.
func writePowerDNS(ctx context.Context, s Spec) ([]string, error) {
	if s.Primary.IsValid() || len(s.Secondaries) > 0 {
		return nil, errors.New("the rig runs PowerDNS alone, without secondaries")
	}
	database := filepath.Join(s.Dir, "pdns.sqlite3")
	conf := fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%s
local-address=%s
local-port=%d
socket-dir=%s
dnsupdate=yes
allow-dnsupdate-from=
daemon=no
guardian=no
disable-syslog=yes
receiver-threads=1
distributor-threads=1
loglevel=4
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
security-poll-suffix=
`, database, s.Addr.Addr(), s.Addr.Port(), s.Dir)
	files := map[string]string{"pdns.conf": conf}
	for _, z := range s.Zones {
		files[zoneFileName(z.Apex)] = zoneFile(z)
	}
	if err := writeFiles(s.Dir, files); err != nil {
		return nil, err
	}
	// The database is always a new one: the server's state is what the Spec says.
	if err := os.Remove(database); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	commands := [][]string{{"sqlite3", database, ".read " + powerDNSSchema}}
	util := func(args ...string) {
		commands = append(commands, append([]string{"pdnsutil", "--config-dir=" + s.Dir}, args...))
	}
	keys := append([]Key{s.Key}, s.ExtraKeys...)
	for _, k := range keys {
		util("import-tsig-key", strings.TrimSuffix(k.Name, "."), k.Algorithm, k.Secret)
	}
	for _, z := range s.Zones {
		util("load-zone", z.Apex, filepath.Join(s.Dir, zoneFileName(z.Apex)))
		if z.Dynamic {
			// Without this, or with an address in allow-dnsupdate-from, a zone would take updates without any key.
			util("set-meta", z.Apex, "ALLOW-DNSUPDATE-FROM", "0.0.0.0/0")
		}
		for _, k := range keys {
			util("add-meta", z.Apex, "TSIG-ALLOW-AXFR", strings.TrimSuffix(k.Name, "."))
			if z.Dynamic {
				util("add-meta", z.Apex, "TSIG-ALLOW-DNSUPDATE", strings.TrimSuffix(k.Name, "."))
			}
		}
	}
	for _, c := range commands {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			// The arguments hold the key's secret: the program's own words must do.
			return nil, fmt.Errorf("run %s: %w: %s", c[0], err, strings.TrimSpace(string(out)))
		}
	}
	return []string{"/usr/sbin/pdns_server", "--config-dir=" + s.Dir}, nil
}
