package ports

import (
	"fmt"
	"strings"
)

// Env returns the map as lines of an environment file: SHOP_WEB_HTTP_NODE_PORT=30016, and _OLD with blue's number. Names
// that would be the same get the number of blue at their end.
func (m Map) Env() []string {
	count := map[string]int{}
	for _, line := range m {
		count[envName(line.Want)]++
	}
	var out []string
	for _, line := range m {
		name := envName(line.Want)
		if count[name] > 1 {
			name += fmt.Sprintf("_%d", line.Port)
		}
		out = append(out, fmt.Sprintf("%s=%d", name, line.New), fmt.Sprintf("%s_OLD=%d", name, line.Port))
	}
	return out
}

func envName(w Want) string {
	parts := []string{w.Namespace, w.Service}
	if w.Name != "" {
		parts = append(parts, w.Name)
	}
	suffix := "NODE_PORT"
	if w.Use == HealthCheck {
		suffix = "HEALTH_CHECK_NODE_PORT"
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, strings.Join(append(parts, suffix), "_"))
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
