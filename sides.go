package crossfade

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/silence"
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
	return m.connect(name, m.file.Resolve(s.Kubeconfig), s.Context)
}

// readAs connects to a side in another way than the file says. What is left empty is the file's.
func (m *Migration) readAs(name string, at InitSide) error {
	if at == (InitSide{}) {
		return nil
	}
	if at.Kubeconfig == "" {
		at.Kubeconfig = m.file.Resolve(m.sideConfig(name).Kubeconfig)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.connect(name, at.Kubeconfig, at.Context)
	return err
}

// connect connects to a side and keeps the connection; m.mu is held.
func (m *Migration) connect(name, kubeconfig, kubeContext string) (*kube.Client, error) {
	c, err := kube.Connect(kube.Options{Kubeconfig: kubeconfig, Context: kubeContext, UserAgent: "crossfade/" + m.opts.Tool, Silence: m.silence(), Timeout: m.requestLimit})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	// What the kubeconfig holds of credentials is nobody's to read. A key is learned by the lines of its text.
	m.redact.Learn(c.Config.BearerToken, c.Config.Password, string(c.Config.KeyData))
	m.sides[name] = c
	return c, nil
}

// silence is how long any server may say nothing; who waits is told before.
func (m *Migration) silence() silence.Limit { return silenceLimit(m.opts.Silence, m.opts.Log) }

// silenceLimit bounds how long a server may say nothing, and says that it is waited for.
func silenceLimit(limit time.Duration, log *slog.Logger) silence.Limit {
	return silence.Limit{For: limit, Notice: func(address string, silent, limit time.Duration) {
		log.Info("waiting", "for", address, "because", fmt.Sprintf("it has said nothing for %s", silent), "limit", limit)
	}}
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
