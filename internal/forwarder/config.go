package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Config says what a Server does. It is passed to the pod as JSON.
type Config struct {
	// Status is the address at which it tells what it counts.
	Status string `json:"status"`
	Ways   []Way  `json:"ways"`
	// Limit is how many connections each way may have at once; more are reset and counted. Default 4096.
	Limit int `json:"limit,omitempty"`
	// ProxyProtocol sends a header of the PROXY protocol, version 2, before each connection's first byte.
	ProxyProtocol bool `json:"proxyProtocol,omitempty"`
	// Linger is how long it goes on accepting when it is told to end, until nobody is led to it any more; Grace is how long the
	// connections that are open then may take to end. Defaults: 5s and 30s.
	Linger time.Duration `json:"linger,omitempty"`
	Grace  time.Duration `json:"grace,omitempty"`
}

// Way is one port at which clients come.
type Way struct {
	// Name says which way it is to those who read the counts: "demo/shop:80".
	Name string `json:"name"`
	// Protocol is tcp or udp; udp is only ever refused.
	Protocol string `json:"protocol"`
	// Listen is an address: ":20001".
	Listen string `json:"listen"`
	// To are the places that connections are passed on to, in the order in which they are tried. None: connections are reset.
	To []string `json:"to,omitempty"`
}

// Defaults of Config.
const (
	defaultLimit  = 4096
	defaultLinger = 5 * time.Second
	defaultGrace  = 30 * time.Second
)

// Parse reads a Config.
func Parse(text string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return Config{}, fmt.Errorf("read the forwarder's configuration: %w", err)
	}
	return c, c.check()
}

func (c Config) check() error {
	if c.Status == "" || len(c.Ways) == 0 {
		return errors.New("the forwarder's configuration names no status address, or no way")
	}
	seen := map[string]bool{}
	for _, w := range c.Ways {
		switch {
		case w.Name == "" || seen[w.Name]:
			return fmt.Errorf("the forwarder's configuration has a way without a name of its own: %q", w.Name)
		case w.Protocol != "tcp" && w.Protocol != "udp":
			return fmt.Errorf("way %s has the protocol %q, and only tcp and udp are spoken", w.Name, w.Protocol)
		case w.Protocol == "udp" && len(w.To) > 0:
			return fmt.Errorf("way %s: udp is not passed on", w.Name)
		}
		seen[w.Name] = true
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Limit <= 0 {
		c.Limit = defaultLimit
	}
	if c.Linger <= 0 {
		c.Linger = defaultLinger
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	return c
}
