package crossfade

import (
	"context"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// secret resolves a reference of the file, and remembers its value as one that nobody may read. A nil reference is the
// empty secret: the provider's usual chain.
func (m *Migration) secret(ctx context.Context, ref *migration.SecretRef, what string) (string, error) {
	value, err := m.resolve(ctx, ref, what)
	m.redact.Learn(value)
	return value, err
}

func (m *Migration) resolve(ctx context.Context, ref *migration.SecretRef, what string) (string, error) {
	switch {
	case ref == nil:
		return "", nil
	case ref.Env != "":
		v := m.opts.Getenv(ref.Env)
		if v == "" {
			return "", fmt.Errorf("%s: the environment variable %s is not set", what, ref.Env)
		}
		return v, nil
	case ref.File != "":
		raw, err := os.ReadFile(m.file.Resolve(ref.File))
		if err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		return strings.TrimRight(string(raw), "\r\n"), nil
	default:
		return m.kubeSecret(ctx, ref.Secret, what)
	}
}

func (m *Migration) kubeSecret(ctx context.Context, ref *migration.KubeSecretRef, what string) (string, error) {
	client, err := m.side(ref.Side)
	if err != nil {
		return "", err
	}
	s, err := client.Typed.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("%s: read Secret %s/%s on %s: %w", what, ref.Namespace, ref.Name, ref.Side, err)
	}
	v, ok := s.Data[ref.Key]
	if !ok {
		return "", fmt.Errorf("%s: Secret %s/%s on %s has no key %s", what, ref.Namespace, ref.Name, ref.Side, ref.Key)
	}
	return string(v), nil
}
