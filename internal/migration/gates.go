package migration

import (
	"slices"
	"time"
)

// When says when a check is asked.
type When string

// Times of a check. Without one, http, tcp, tls, grpc and command are sent to green's address before and after the swap, and probes
// and prometheus are asked after it.
const (
	// WhenBefore is before the swap only, at green's address under the real hostname.
	WhenBefore When = "before"
	// WhenAfter is after the swap only, end to end: at the addresses that resolvers give for the hostname.
	WhenAfter When = "after"
	// WhenBoth is before the swap at green's address, and after it end to end.
	WhenBoth When = "both"
)

// Kinds counts the things that a check says to try, which must be one.
func (c Check) Kinds() int {
	return count(c.HTTP != nil, c.TCP != nil, c.TLS != nil, c.GRPC != nil, c.Probes != nil, c.Prometheus != nil, len(c.Command) > 0)
}

// gathers reports whether a check judges what has come together over a while.
func (c Check) gathers() bool { return c.Probes != nil || c.Prometheus != nil }

// SecretRefs are the secrets that a check refers to, by field.
func (c Check) SecretRefs() map[string]*SecretRef {
	refs := map[string]*SecretRef{}
	ofHTTP := func(h *HTTPCheck, at string) {
		for name, ref := range h.SecretHeaders {
			refs[at+".secretHeaders."+name] = &ref
		}
	}
	switch {
	case c.HTTP != nil:
		ofHTTP(c.HTTP, "http")
	case c.Probes != nil:
		ofHTTP(&c.Probes.HTTP, "probes.http")
	case c.Prometheus != nil:
		refs["prometheus.password"], refs["prometheus.token"] = c.Prometheus.Password, c.Prometheus.Token
	}
	return refs
}

// Before reports whether a check is asked before the swap.
func (c Check) Before() bool {
	if c.When == "" {
		return !c.gathers()
	}
	return c.When != WhenAfter
}

// After reports whether a check is asked after the swap.
func (c Check) After() bool { return c.When != WhenBefore }

// EndToEnd reports whether a check goes through resolvers after the swap.
func (c Check) EndToEnd() bool { return c.When == WhenAfter || c.When == WhenBoth }

// GRPCCheck asks the standard health service (grpc.health.v1).
type GRPCCheck struct {
	// Hostname to ask under, as authority and SNI; default the application's first.
	Hostname string `yaml:"hostname,omitempty" json:"hostname,omitempty"`
	// Port of the entry. Default the hostname's.
	Port int `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// Service to ask about. Empty is the server as a whole.
	Service string `yaml:"service,omitempty" json:"service,omitempty"`
	// Plaintext speaks HTTP/2 without TLS.
	Plaintext bool `yaml:"plaintext,omitempty" json:"plaintext,omitempty"`
}

// Defaults of probes.
const (
	DefaultProbeSamples = 100
	DefaultProbesARound = 10
)

// ProbesCheck sends requests of its own in every round, and judges how long they take and how many fail.
type ProbesCheck struct {
	// HTTP is the request that is sent again and again. Its status decides whether one has failed.
	HTTP HTTPCheck `yaml:"http" json:"http"`
	// Samples is how many requests must have been made before anything is judged; the last so many are. Default 100.
	Samples int `yaml:"samples,omitempty" json:"samples,omitempty" jsonschema:"minimum=2,maximum=10000"`
	// PerRound is how many requests each round sends to each address. Default 10.
	PerRound int `yaml:"perRound,omitempty" json:"perRound,omitempty" jsonschema:"minimum=1,maximum=1000"`
	// Errors is the share of requests that may fail, from 0 to 1. Without it none is judged.
	Errors *float64 `yaml:"errors,omitempty" json:"errors,omitempty" jsonschema:"minimum=0,maximum=1"`
	// P50, P95 and P99 limit the median and the upper percentiles of how long an answer takes.
	P50 *Latency `yaml:"p50,omitempty" json:"p50,omitempty"`
	P95 *Latency `yaml:"p95,omitempty" json:"p95,omitempty"`
	P99 *Latency `yaml:"p99,omitempty" json:"p99,omitempty"`
}

// Latency limits one percentile. At least one of Max and Ratio is set.
type Latency struct {
	// Max is the longest that it may be.
	Max Duration `yaml:"max,omitempty" json:"max,omitempty"`
	// Ratio is how many times blue's, measured in the same rounds, it may be.
	Ratio *float64 `yaml:"ratio,omitempty" json:"ratio,omitempty" jsonschema:"minimum=0,maximum=1000"`
	// Floor is what it may be whatever blue's is, so that a ratio between very short times decides nothing.
	Floor Duration `yaml:"floor,omitempty" json:"floor,omitempty"`
}

// Percentile is a limit with the share of requests that it is about.
type Percentile struct {
	Name  string
	Share float64
	// Needs is how few requests can tell it from the longest of all.
	Needs int
	Latency
}

// Percentiles are those that are limited.
func (p ProbesCheck) Percentiles() []Percentile {
	var list []Percentile
	for _, x := range []struct {
		limit *Latency
		Percentile
	}{{p.P50, Percentile{Name: "p50", Share: 0.50, Needs: 2}}, {p.P95, Percentile{Name: "p95", Share: 0.95, Needs: 20}}, {p.P99, Percentile{Name: "p99", Share: 0.99, Needs: 100}}} {
		if x.limit != nil {
			x.Latency = *x.limit
			list = append(list, x.Percentile)
		}
	}
	return list
}

// AsksBlue reports whether something is compared with blue.
func (p ProbesCheck) AsksBlue() bool {
	return slices.ContainsFunc(p.Percentiles(), func(x Percentile) bool { return x.Ratio != nil })
}

// Needed is how many requests are needed, and Round how many a round sends.
func (p ProbesCheck) Needed() int {
	if p.Samples == 0 {
		return DefaultProbeSamples
	}
	return p.Samples
}

// Round is how many requests a round sends.
func (p ProbesCheck) Round() int {
	if p.PerRound == 0 {
		return DefaultProbesARound
	}
	return p.PerRound
}

// PrometheusCheck asks a Prometheus, or what has its API, for one number and judges it.
type PrometheusCheck struct {
	// URL of the server, without /api/v1.
	URL string `yaml:"url" json:"url"`
	// Username for basic authentication.
	Username string `yaml:"username,omitempty" json:"username,omitempty"`
	// Password refers to the password that goes with the username.
	Password *SecretRef `yaml:"password,omitempty" json:"password,omitempty"`
	// Token refers to a bearer token.
	Token *SecretRef `yaml:"token,omitempty" json:"token,omitempty"`
	// Headers are sent with every query: the tenant, where the server has tenants.
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// Query must give one number: a scalar, or a vector with one series.
	Query string `yaml:"query" json:"query"`
	// Max is the largest number that passes.
	Max *float64 `yaml:"max,omitempty" json:"max,omitempty"`
	// Min is the smallest number that passes.
	Min *float64 `yaml:"min,omitempty" json:"min,omitempty"`
	// Baseline compares the number with blue's.
	Baseline *Baseline `yaml:"baseline,omitempty" json:"baseline,omitempty"`
	// Samples demands that enough was counted to mean something.
	Samples *EnoughSamples `yaml:"samples,omitempty" json:"samples,omitempty"`
	// Age demands that what was counted is new.
	Age *SampleAge `yaml:"age,omitempty" json:"age,omitempty"`
}

// Baseline compares a number with blue's. At least one of Max and Min is set.
type Baseline struct {
	// Query gives blue's number. Empty takes the check's own query, once, just before the first name moves.
	Query string `yaml:"query,omitempty" json:"query,omitempty"`
	// MaxRatio is how many times blue's number green's may be.
	MaxRatio *float64 `yaml:"maxRatio,omitempty" json:"maxRatio,omitempty" jsonschema:"minimum=0,maximum=1000000"`
	// MinRatio is how many times blue's number green's must be.
	MinRatio *float64 `yaml:"minRatio,omitempty" json:"minRatio,omitempty" jsonschema:"minimum=0,maximum=1000000"`
	// Floor is what green's number may be whatever blue's is: three times no error is no error.
	Floor *float64 `yaml:"floor,omitempty" json:"floor,omitempty"`
}

// EnoughSamples is a number that must not be too small.
type EnoughSamples struct {
	// Query gives how much was counted: requests, or samples.
	Query string `yaml:"query" json:"query"`
	// Min is how much that must be.
	Min float64 `yaml:"min" json:"min"`
}

// SampleAge is how old the newest sample may be.
type SampleAge struct {
	// Query gives the time of the newest sample in seconds since 1970, as max(timestamp(SELECTOR)).
	Query string `yaml:"query" json:"query"`
	// Max is how old it may be.
	Max Duration `yaml:"max" json:"max"`
}

// soakRounds is how many rounds of checks surely fit into the time for which a soak may last, with the arithmetic's parts.
func (f *File) soakRounds() int {
	soak := max(f.Cutover.Soak.D(), f.SoakFloor())
	return int(2 * soak / f.Cutover.Interval.Or(5*time.Second))
}
