package nameserver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// writeBIND writes named.conf and the zones. named runs as the user that started it.
func writeBIND(s Spec) ([]string, error) {
	files := map[string]string{}
	var b strings.Builder
	var keys []string
	for _, k := range slices.Concat([]Key{s.Key}, s.ExtraKeys, s.Views) {
		fmt.Fprintf(&b, "key %q { algorithm %s; secret %q; };\n", k.Name, k.Algorithm, k.Secret)
		keys = append(keys, fmt.Sprintf("key %q;", k.Name))
	}
	allowed := "{ " + strings.Join(keys, " ") + " }"
	fmt.Fprintf(&b, `controls { };
options {
	directory %q; pid-file none; session-keyfile none; lock-file none; managed-keys-directory %q;
	listen-on port %d { %s; }; listen-on-v6 { none; };
	recursion no; allow-query { any; }; dnssec-validation no; empty-zones-enable no; minimal-responses yes;
	allow-transfer %s; notify explicit; notify-delay 0; tcp-clients 1000; request-ixfr yes; max-refresh-time 5; max-retry-time 2;
	notify-source %[4]s; transfer-source %[4]s;
};
`, s.Dir, s.Dir, s.Addr.Port(), s.Addr.Addr(), allowed)
	for _, view := range s.Views {
		prefix := strings.TrimSuffix(view.Name, ".") + "-"
		fmt.Fprintf(&b, "view %q { match-clients { key %q; };\n", prefix+"view", view.Name)
		writeBINDZones(s, &b, files, prefix, allowed)
		b.WriteString("};\n")
	}
	if len(s.Views) > 0 {
		// Whoever has none of the keys sees the last view, as the rig does when it waits for the server.
		fmt.Fprintf(&b, "view \"rest\" { match-clients { any; };\n")
		writeBINDZones(s, &b, files, "rest-", allowed)
		b.WriteString("};\n")
	} else {
		writeBINDZones(s, &b, files, "", allowed)
	}
	files["named.conf"] = b.String()
	if err := writeFiles(s.Dir, files); err != nil {
		return nil, err
	}
	return []string{"/usr/sbin/named", "-g", "-n", "1", "-c", filepath.Join(s.Dir, "named.conf")}, nil
}

// writeBINDZones writes the zone statements, and their files under a prefix: no two zones may share one.
func writeBINDZones(s Spec, b *strings.Builder, files map[string]string, prefix, allowed string) {
	for _, z := range s.Zones {
		name := prefix + zoneFileName(z.Apex)
		if s.Primary.IsValid() {
			fmt.Fprintf(b, "zone %q { type secondary; file %q; primaries { %s port %d key %q; }; allow-notify { %s; }; };\n",
				z.Apex, name, s.Primary.Addr(), s.Primary.Port(), s.Key.Name, s.Primary.Addr())
			continue
		}
		files[name] = zoneFile(z)
		fmt.Fprintf(b, "zone %q { type primary; file %q;", z.Apex, name)
		if s.Sign {
			b.WriteString(" dnssec-policy default; inline-signing yes;")
		}
		if z.Dynamic {
			fmt.Fprintf(b, " allow-update %s;", allowed)
		}
		if len(s.Secondaries) > 0 {
			b.WriteString(" also-notify {")
			for _, to := range s.Secondaries {
				fmt.Fprintf(b, " %s port %d;", to.Addr(), to.Port())
			}
			b.WriteString(" };")
		}
		b.WriteString(" };\n")
	}
}
