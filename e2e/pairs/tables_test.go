//go:build unix

package pairs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/buckets.md anew")

const (
	guide = "../../docs/buckets.md"
	begin = "<!-- made by the test of the pairs: begin -->\n"
	end   = "<!-- made by the test of the pairs: end -->"
)

// tables gather what the pairs show.
type tables struct {
	mu     sync.Mutex
	ran    map[[2]string]bool
	losses map[[2]string][]string
	traps  map[[2]string]string // provider, trap: "kept" or "refused"
}

func newTables() *tables {
	return &tables{ran: map[[2]string]bool{}, losses: map[[2]string][]string{}, traps: map[[2]string]string{}}
}

func (s *tables) pair(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran[[2]string{from, to}] = true
}

func (s *tables) loss(from, to, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [2]string{from, to}
	if !slices.Contains(s.losses[at], what) {
		s.losses[at] = append(s.losses[at], what)
		slices.Sort(s.losses[at])
	}
}

func (s *tables) trap(to, trap string, refused bool) {
	if trap == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traps[[2]string{to, trap}] = map[bool]string{true: "refused", false: "kept"}[refused]
}

// words are what the guide says for the ledger's.
func words(ledger []string) string {
	if len(ledger) == 0 {
		return "all kept"
	}
	var out []string
	for _, l := range ledger {
		out = append(out, map[string]string{
			"lost Expires": "`Expires`", "lost tags": "tags", "lost website redirect": "redirect", "mapped metadata key": "case of metadata keys",
		}[l])
	}
	return "not " + strings.Join(out, ", ")
}

func title(provider string) string {
	switch provider {
	case fakeS3:
		return "Amazon S3"
	case fakeLake:
		return "Azure, hierarchical"
	}
	return provider
}

func (s *tables) text() string {
	var b strings.Builder
	b.WriteString("`s3` is versitygw here, standing for every server of the protocol but Amazon's; for that stands a fake that holds what its\n" +
		"documents say. `gcs` is fake-gcs-server and `azure` is Azurite: emulators, and for an Azure account with a hierarchical namespace\n" +
		"stands a fake too. Read by other clients than the ones that copied.\n\n")
	b.WriteString("Content-Type, -Encoding, -Language and -Disposition, Cache-Control and user metadata go between all of them. What differs, for\n" +
		"objects that have such a property:\n\n| from ╲ to |")
	columns := everySide()
	for _, to := range columns {
		fmt.Fprintf(&b, " %s |", title(to))
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(columns)+1) + "\n")
	for _, from := range columns {
		fmt.Fprintf(&b, "| **%s** |", title(from))
		for _, to := range columns {
			fmt.Fprintf(&b, " %s |", words(s.losses[[2]string{from, to}]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhat not every destination can hold is kept, or refused: keys and sizes in the plan, properties in that of `--dry-run` and `--strict`, and else as the object is copied:\n\n| what |")
	for _, to := range columns {
		fmt.Fprintf(&b, " %s |", title(to))
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(columns)+1) + "\n")
	var done []string
	for _, o := range hostile() {
		if o.trap == "" || slices.Contains(done, o.trap) {
			continue
		}
		done = append(done, o.trap)
		fmt.Fprintf(&b, "| %s |", o.trap)
		for _, to := range columns {
			said := s.traps[[2]string{to, o.trap}]
			if o.trap == trapUpper && said == "kept" && slices.Contains(s.losses[[2]string{"file", to}], "mapped metadata key") {
				said = "in lower case"
			}
			if strings.Contains(o.trap, "tags") && slices.Contains(s.losses[[2]string{"file", to}], "lost tags") {
				said = "lost"
			}
			fmt.Fprintf(&b, " %s |", said)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// compare holds the guide against what was seen.
func (s *tables) compare(t *testing.T) {
	t.Helper()
	if n := len(everySide()); len(s.ran) != n*n {
		t.Logf("only %d pairs ran: the guide is left alone", len(s.ran))
		return
	}
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	now, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", guide)
	}
	if now == s.text() {
		return
	}
	if !*update {
		t.Fatalf("%s says other than was seen; if that is meant, run this test with -update. Seen was\n%s", guide, s.text())
	}
	if err := os.WriteFile(guide, []byte(before+begin+s.text()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
