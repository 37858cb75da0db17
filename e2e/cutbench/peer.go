package cutbench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peer moves names with nsupdate, as a person or a script does today: one process and one message, without a fence, a check or a
// look afterwards.
type peer struct{ key, server string }

func newPeer(opts Options, dns *names) (*peer, error) {
	p := &peer{key: filepath.Join(opts.Dir, "nsupdate.key"), server: fmt.Sprintf("%s %d", dns.addrs[0].Addr(), dns.addrs[0].Port())}
	text := fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", benchKey.Name, benchKey.Algorithm, benchKey.Secret)
	return p, os.WriteFile(p.key, []byte(text), 0o600)
}

// move moves the name beside an application's, under the eyes of the same client.
func (p *peer) move(ctx context.Context, dns *names, a app, m *moves) error {
	seen := watch(ctx, dns.addrs, a.peer, greenTarget)
	began := time.Now()
	err := p.update(ctx, fmt.Sprintf("zone %s\nprereq yxrrset %s CNAME %s\nupdate add %s %d CNAME %s\n", a.zone, a.peer, blueTarget, a.peer, nameTTL, greenTarget))
	if err != nil {
		return err
	}
	last, err := seen.last()
	if err != nil {
		return err
	}
	m.add(&m.peers, last.Sub(began))
	return nil
}

// mark changes a record of a zone that nobody asks for.
func (p *peer) mark(ctx context.Context, zone string) error {
	return p.update(ctx, fmt.Sprintf("zone %s\nupdate add mark.%s 60 TXT %q\n", zone, zone, time.Now().Format(time.RFC3339Nano)))
}

func (p *peer) update(ctx context.Context, text string) error {
	cmd := exec.CommandContext(ctx, "nsupdate", "-v", "-k", p.key)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("server %s\n%ssend\n", p.server, text))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nsupdate: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
