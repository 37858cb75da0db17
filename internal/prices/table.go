package prices

import (
	_ "embed" // the table
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/crossfade-project/crossfade/internal/mend"
)

//go:embed table.yaml
var embedded string

// tableFormat is the version of the form; readers refuse a later one.
const tableFormat = 1

// GB is what providers bill a gigabyte by, in bytes: https://aws.amazon.com/s3/faqs/, https://cloud.google.com/storage/pricing.
const GB = 1 << 30

// Table holds prices of several stores.
type Table struct {
	Format   int     `yaml:"format"`
	Date     string  `yaml:"date"` // of the table as a whole: YYYY-MM-DD
	Currency string  `yaml:"currency"`
	Entries  []Entry `yaml:"prices"`
}

// Entry is what one store asks for.
type Entry struct {
	// Of says for people what the figures are of.
	Of       string `yaml:"of" json:"of"`
	Provider string `yaml:"provider" json:"provider,omitempty"`
	// Hosts of servers that are not the provider's own; a * at the beginning stands for anything.
	Hosts   []string `yaml:"hosts" json:"hosts,omitempty"`
	Regions []string `yaml:"regions" json:"regions,omitempty"`
	// Source is the page that the figures are from, Date the day: YYYY-MM-DD.
	Source string `yaml:"source" json:"source"`
	Date   string `yaml:"date" json:"date"`
	// Requests has the price of 1,000 requests of each kind that has one.
	Requests map[Kind]float64 `yaml:"requests" json:"-"`
	// Egress is the price of a GB that leaves the store; nil is not known.
	Egress  *float64 `yaml:"egress" json:"-"`
	Classes []Class  `yaml:"classes" json:"-"`
}

// Class is a storage class, by the provider's own name.
type Class struct {
	Name      string      `yaml:"name"`
	Retrieval []Retrieval `yaml:"retrieval"`
}

// Retrieval is one way to get at objects of a class. The first of a class is the provider's own default.
type Retrieval struct {
	Tier    string  `yaml:"tier" json:"tier"`
	PerGB   float64 `yaml:"perGB" json:"perGB"`
	Per1000 float64 `yaml:"per1000" json:"per1000,omitempty"` // objects
	Takes   string  `yaml:"takes" json:"takes,omitempty"`     // for people
}

// Cost of retrieving so many objects and bytes.
func (r Retrieval) Cost(objects, bytes int64) float64 {
	return r.PerGB*float64(bytes)/GB + r.Per1000*float64(objects)/1000
}

// Kind is a kind of request that is priced by itself.
type Kind string

// The kinds of requests.
const (
	List   Kind = "list"
	Head   Kind = "head"
	Get    Kind = "get"
	Put    Kind = "put"
	Part   Kind = "part" // of an upload in parts; its begin and end are Puts
	Delete Kind = "delete"
)

// Kinds are all kinds, in the order in which they are told.
func Kinds() []Kind { return []Kind{List, Head, Get, Put, Part, Delete} }

// Text is the table that the program brings along, with its comments: the first form of a table of one's own.
func Text() string { return embedded }

// Default is that table, read.
func Default() (*Table, error) { return parse("the table of the program", []byte(embedded)) }

// Read reads a table of the user's.
func Read(path string) (*Table, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &mend.Error{Op: "read the table of prices", Err: err, Hint: "write one with crossfade sync --print-prices, and correct it"}
	}
	return parse(path, raw)
}

func parse(path string, raw []byte) (*Table, error) {
	var t Table
	err := yaml.UnmarshalWithOptions(raw, &t, yaml.Strict())
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return nil, &mend.Error{Op: "read the table of prices " + path, Err: err, Hint: "compare it with crossfade sync --print-prices"}
	}
	return &t, nil
}

func (t *Table) check() error {
	switch {
	case t.Format != tableFormat:
		return fmt.Errorf("format is %d, and this program reads format %d", t.Format, tableFormat)
	case t.Currency == "":
		return errors.New("currency is missing")
	}
	if err := checkDate("date", t.Date); err != nil {
		return err
	}
	for i, e := range t.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("prices[%d] (%s): %w", i, e.Of, err)
		}
	}
	return nil
}

func checkDate(field, date string) error {
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return fmt.Errorf("%s is %q: it must be a day such as 2026-11-21", field, date)
	}
	return nil
}

func (e Entry) check() error {
	switch {
	case e.Of == "":
		return errors.New("of is missing: it says what the figures are of")
	case e.Source == "":
		return errors.New("source is missing: the page that the figures are from")
	case e.Provider == "" && len(e.Hosts) == 0:
		return errors.New("it names neither a provider nor hosts")
	}
	if err := checkDate("date", e.Date); err != nil {
		return err
	}
	for kind, price := range e.Requests {
		if !slices.Contains(Kinds(), kind) {
			return fmt.Errorf("requests: there is no kind %q", kind)
		}
		if !(price >= 0) { // NaN is none either
			return fmt.Errorf("requests: %s is %g: a price is not below 0", kind, price)
		}
	}
	if e.Egress != nil && !(*e.Egress >= 0) {
		return fmt.Errorf("egress is %g: a price is not below 0", *e.Egress)
	}
	for _, c := range e.Classes {
		for _, r := range c.Retrieval {
			if !(r.PerGB >= 0) || !(r.Per1000 >= 0) {
				return fmt.Errorf("class %s: a price is not below 0", c.Name)
			}
		}
	}
	return nil
}

// Store is what prices depend on.
type Store struct {
	Provider string // s3, minio, gcs, azure or file
	Endpoint string // URL of the server; empty is the provider's own
	Region   string // empty is unknown
}

// Find returns the entry that goes for a store, or nil: then nothing is known, which is not the same as free.
func (t *Table) Find(s Store) *Entry {
	for i := range t.Entries {
		if t.Entries[i].fits(s) {
			return &t.Entries[i]
		}
	}
	return nil
}

func (e *Entry) fits(s Store) bool {
	if len(e.Regions) > 0 && !slices.Contains(e.Regions, s.Region) {
		return false
	}
	host := hostOf(s.Endpoint)
	if len(e.Hosts) > 0 {
		return (e.Provider == "" || e.Provider == s.Provider) && slices.ContainsFunc(e.Hosts, func(h string) bool { return hostMatches(h, host) })
	}
	return e.Provider == s.Provider && ownHost(s.Provider, host)
}

// ownHost reports whether a host is one of the provider's own servers.
func ownHost(provider, host string) bool {
	if host == "" {
		return provider != "minio" // whose servers are their owners'
	}
	own := map[string]string{"s3": "*.amazonaws.com", "gcs": "*.googleapis.com", "azure": "*.blob.core.windows.net"}[provider]
	return own != "" && hostMatches(own, host)
}

func hostMatches(pattern, host string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, strings.ToLower(rest))
	}
	return strings.EqualFold(pattern, host)
}

func hostOf(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return endpoint // it fits nothing
	}
	return strings.ToLower(u.Hostname())
}

// Retrieval returns the ways to get at objects of a storage class, or none where nothing is known of it.
func (e *Entry) Retrieval(class string) []Retrieval {
	if e == nil {
		return nil
	}
	for _, c := range e.Classes {
		if strings.EqualFold(c.Name, class) {
			return c.Retrieval
		}
	}
	return nil
}
