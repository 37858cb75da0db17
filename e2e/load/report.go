package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Report is everything that a run saw. Times are those at which answers arrived.
type Report struct {
	Started      time.Time      `json:"started"`
	Ended        time.Time      `json:"ended"`
	Totals       Totals         `json:"totals"`
	Targets      []TargetReport `json:"targets"`
	Failures     []Failure      `json:"failures"` // the first 50
	Verification *Verification  `json:"verification,omitempty"`
}

// Totals counts requests, each once however often it was sent.
type Totals struct {
	Requests     int `json:"requests"` // all
	Reads        int `json:"reads"`
	FailedReads  int `json:"failedReads"`
	Writes       int `json:"writes"` // accepted
	Refused      int `json:"refused"`
	FailedWrites int `json:"failedWrites"` // neither accepted nor refused: may be there or not
	Repeats      int `json:"repeats"`      // times that a request was sent again
}

// Failed is the number of requests that failed. Refused writes did not.
func (t Totals) Failed() int { return t.FailedReads + t.FailedWrites }

func (t *Totals) add(other Totals) {
	t.Requests += other.Requests
	t.Reads += other.Reads
	t.FailedReads += other.FailedReads
	t.Writes += other.Writes
	t.Refused += other.Refused
	t.FailedWrites += other.FailedWrites
	t.Repeats += other.Repeats
}

// TargetReport is what happened at one hostname.
type TargetReport struct {
	Target   Target          `json:"target"`
	Totals   Totals          `json:"totals"`
	Clients  []ClientReport  `json:"clients"`
	Sides    map[string]Seen `json:"sides"`            // by X-Side; "" is an answer that named none
	Freeze   *Freeze         `json:"freeze,omitempty"` // nil: no write was accepted
	Timeline []Second        `json:"timeline"`         // seconds in which something happened
	Accepted []string        `json:"accepted"`         // keys of accepted writes, in order
	Unsure   []string        `json:"unsure,omitempty"` // keys of failed writes: they may be there or not
	Outages  []Outage        `json:"outages,omitempty"`
}

// Outage is a row of failed requests of one kind of user, with no good answer between them.
type Outage struct {
	Client string     `json:"client"`
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to,omitempty"` // the next good answer; nil: none has come
	Failed int        `json:"failed"`
}

// ClientReport is what one user saw.
type ClientReport struct {
	Kind     string  `json:"kind"` // ttl or keep
	Totals   Totals  `json:"totals"`
	Lookups  int     `json:"lookups"`
	Connects int     `json:"connects"`
	Slowest  float64 `json:"slowestSeconds"`
	// Sides are the shares of this user's good answers.
	Sides map[string]Seen `json:"sides"`
}

// Seen is a side's share of the answers.
type Seen struct {
	Answers int       `json:"answers"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Freeze is how long an application accepted no write, as its users saw it: to
// the precision of their rate of writes.
type Freeze struct {
	LastBlue   *time.Time `json:"lastBlue,omitempty"`   // last write that blue accepted
	FirstGreen *time.Time `json:"firstGreen,omitempty"` // first write that green accepted
	Seconds    *float64   `json:"seconds,omitempty"`    // between the two; below 0: both accepted writes at a time
	Switches   []Switch   `json:"switches,omitempty"`   // each time that accepted writes changed sides
}

// Switch is two accepted writes in a row on two sides. A move without a return
// has one; more say that both sides wrote in the same period.
type Switch struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Last    time.Time `json:"last"`
	First   time.Time `json:"first"`
	Seconds float64   `json:"seconds"`
}

// Second is what arrived in one second of the run.
type Second struct {
	Second  int            `json:"second"` // since the start
	Sides   map[string]int `json:"sides,omitempty"`
	Failed  int            `json:"failed,omitempty"`
	Refused int            `json:"refused,omitempty"`
}

// Failure is one failed request.
type Failure struct {
	At      time.Time `json:"at"`
	Host    string    `json:"host"`
	Client  string    `json:"client"`
	Op      string    `json:"op"`
	Side    string    `json:"side,omitempty"`
	Address string    `json:"address,omitempty"`
	Reason  string    `json:"reason"`
}

// Accepted are the keys of all accepted writes at host.
func (r Report) Accepted(host string) []string {
	for _, t := range r.Targets {
		if t.Target.Host == host {
			return t.Accepted
		}
	}
	return nil
}

// LongestFreeze is the longest of all targets' freezes, 0 if there was none.
func (r Report) LongestFreeze() time.Duration {
	longest := 0.0
	for _, t := range r.Targets {
		if t.Freeze != nil && t.Freeze.Seconds != nil {
			longest = max(longest, *t.Freeze.Seconds)
		}
	}
	return time.Duration(longest * float64(time.Second))
}

// Save writes the report to a file as JSON, whole or not at all.
func (r Report) Save(path string) error {
	content, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("save load report %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save load report %s: %w", path, err)
	}
	_, err = temporary.Write(append(content, '\n'))
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(temporary.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // the first error is the one to tell
		return fmt.Errorf("save load report %s: %w", path, err)
	}
	return nil
}
