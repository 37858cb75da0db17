package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// maxRate bounds all requests together: this package plays a few users, it is
// no tool to overload anything with.
const maxRate = 1000

// Target is one hostname and what its users do there.
type Target struct {
	Host   string  `json:"host"`
	Port   int     `json:"port,omitempty"`   // 0: 80
	Path   string  `json:"path,omitempty"`   // what is read; "": /
	Expect string  `json:"expect,omitempty"` // part of a right answer; "": any body
	Reads  float64 `json:"reads"`            // a second, for each of the two users
	Writes float64 `json:"writes"`           // a second, for each; 0: none. PUT /items/KEY, and read back
	Only   string  `json:"only,omitempty"`   // KindTTL or KindKeep: the one user that there is; "": both
}

// Config says whom to play. Only Targets and Resolver are needed.
type Config struct {
	Targets  []Target
	Resolver Resolver
	Blue     string        // what X-Side says on blue; "": blue
	Green    string        // and on green; "": green
	Timeout  time.Duration // of one request, repetitions included; 0: 5 s
	RunID    string        // part of every key that is written; "": from the clock

	Now    func() time.Time // nil: time.Now
	Ticks  Ticks            // nil: a time.Ticker
	Dial   Dial             // nil: a net.Dialer
	Logger *slog.Logger     // for each failure; nil: nothing is logged
}

// Ticks starts a clock that ticks at an interval, and returns how to stop it. A
// tick that nobody waits for is dropped: a slow answer makes fewer requests, not
// a burst of late ones.
type Ticks func(every time.Duration) (ticks <-chan time.Time, stop func())

// Dial connects to an address, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

func (c Config) withDefaults() (Config, error) {
	if c.Blue == "" {
		c.Blue = "blue"
	}
	if c.Green == "" {
		c.Green = "green"
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.RunID == "" {
		c.RunID = c.Now().UTC().Format("20060102T150405.000Z")
	}
	if c.Ticks == nil {
		c.Ticks = func(every time.Duration) (<-chan time.Time, func()) {
			ticker := time.NewTicker(every)
			return ticker.C, ticker.Stop
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.Timeout}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	targets := make([]Target, len(c.Targets))
	for i, t := range c.Targets {
		targets[i] = t.withDefaults()
	}
	c.Targets = targets
	return c, c.check()
}

func (t Target) withDefaults() Target {
	if t.Port == 0 {
		t.Port = 80
	}
	if t.Path == "" {
		t.Path = "/"
	}
	return t
}

func (c Config) check() error {
	var wrong []error
	if c.Resolver == nil {
		wrong = append(wrong, errors.New("no resolver"))
	}
	if len(c.Targets) == 0 {
		wrong = append(wrong, errors.New("no targets"))
	}
	rate, seen := 0.0, map[string]bool{}
	for _, t := range c.Targets {
		switch {
		case t.Host == "":
			wrong = append(wrong, errors.New("a target has no host"))
		case t.Only != "" && t.Only != KindTTL && t.Only != KindKeep:
			wrong = append(wrong, fmt.Errorf("target %s: there is no kind of user %q", t.Host, t.Only))
		case seen[t.Host]:
			wrong = append(wrong, fmt.Errorf("target %s is there twice", t.Host))
		case t.Reads < 0 || t.Writes < 0 || t.Reads+t.Writes <= 0:
			wrong = append(wrong, fmt.Errorf("target %s: want reads or writes a second above 0", t.Host))
		}
		seen[t.Host] = true
		rate += 2 * (t.Reads + t.Writes)
	}
	if rate > maxRate {
		wrong = append(wrong, fmt.Errorf("%.0f requests a second in all; at most %d", rate, maxRate))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("configure load: %w", err)
	}
	return nil
}
