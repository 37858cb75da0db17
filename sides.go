package crossfade

import (
	"fmt"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Names of the two sides.
const (
	Blue  = "blue"
	Green = "green"
)

// side connects to a side, once.
func (m *Migration) side(name string) (*kube.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.sides[name]; ok {
		return c, nil
	}
	s := m.sideConfig(name)
	c, err := kube.Connect(kube.Options{Kubeconfig: m.file.Resolve(s.Kubeconfig), Context: s.Context, UserAgent: "crossfade/" + m.opts.Tool, Timeout: m.requestLimit})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	// What the kubeconfig holds of credentials is nobody's to read. A key is learned by the lines of its text.
	m.redact.Learn(c.Config.BearerToken, c.Config.Password, string(c.Config.KeyData))
	m.sides[name] = c
	return c, nil
}

func (m *Migration) sideConfig(name string) migration.Side {
	if name == Blue {
		return m.file.Blue
	}
	return m.file.Green
}

// greenNamespace is what green calls a namespace of blue's.
func (m *Migration) greenNamespace(blue string) string {
	if to, ok := m.file.Maps.Namespaces[blue]; ok {
		return to
	}
	return blue
}
