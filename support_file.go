package crossfade

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// file takes the migration file in: as it was understood, in its own order, without comments.
func (s *support) file() {
	raw, err := json.Marshal(s.m.file.File)
	if err == nil {
		raw, err = s.r.JSON(redact.FileFields(), raw)
	}
	var clean migration.File
	if err == nil {
		err = json.Unmarshal(raw, &clean)
	}
	if err == nil {
		raw, err = yaml.Marshal(clean)
	}
	if err != nil {
		s.missing("migration.yaml", err)
		return
	}
	s.add("migration.yaml", "the migration file as it was understood, without comments", raw)
}

// learnAll resolves every secret that can be had without asking a server, so that it is found wherever it turns up.
func (m *Migration) learnAll(ctx context.Context, environ []string) {
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && redact.Names(name) && !filepath.IsAbs(value) {
			m.redact.Learn(value)
		}
	}
	refs := []*migration.SecretRef{m.file.Archive.Identity}
	for _, s := range m.file.Stores {
		refs = append(refs, s.AccessKey, s.SecretKey)
	}
	for _, z := range m.file.Zones {
		for _, c := range z.Credentials() {
			refs = append(refs, c.Ref)
		}
	}
	for _, ref := range refs {
		if ref == nil || ref.Secret != nil {
			continue
		}
		if value, err := m.secret(ctx, ref, ""); err == nil {
			m.redact.Learn(value)
		}
	}
	for _, side := range []string{Blue, Green} {
		_, _ = m.side(side) // connecting reads the kubeconfig and learns its credentials; versions says what is wrong with it
	}
}

// hostNames lists the names of hosts that the file, the sides and this machine have.
func (m *Migration) hostNames() []string {
	list := []string{}
	host := func(address string) {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			address = u.Host
		}
		if h, _, err := net.SplitHostPort(address); err == nil {
			address = h
		}
		list = append(list, address)
	}
	for _, a := range m.file.Applications {
		for _, h := range a.Hostnames {
			list = append(list, h.Name)
			for _, e := range []*migration.Entry{h.Blue, h.Green} {
				if e != nil {
					list = append(list, e.Target)
				}
			}
		}
	}
	for _, z := range m.file.Zones {
		list = append(list, z.Name)
		for _, s := range append(append([]string{}, z.Servers...), z.Resolvers...) {
			host(s)
		}
		if at := z.Endpoint(); at != "" {
			host(at)
		}
	}
	for _, s := range m.file.Stores {
		if s.Endpoint != "" {
			host(s.Endpoint)
		}
	}
	for _, side := range []string{Blue, Green} {
		if c, err := m.side(side); err == nil {
			host(c.Config.Host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		list = append(list, name)
	}
	return list
}
