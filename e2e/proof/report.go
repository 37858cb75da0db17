package proof

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// A Result is how one scenario ended.
type Result struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took"`
	// Wanting is what does not hold; empty for a scenario that held.
	Wanting []string `json:"wanting,omitempty"`
	Figures []Figure `json:"figures,omitempty"`
	// Requests of the users, those that failed, the writes that were accepted, refused in a freeze, and lost.
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	Writes   int `json:"writes"`
	Refused  int `json:"refused"`
	Lost     int `json:"lost"`
	// Asked is how often name servers were asked, Denied how often one said that there is nothing.
	Asked  int `json:"asked"`
	Denied int `json:"denied"`
}

// A Figure is something that a scenario measured.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Held reports whether everything that the scenario wants holds.
func (r Result) Held() bool { return len(r.Wanting) == 0 }

// Report is all that was played, in the order of the list of scenarios.
type Report struct {
	Results []Result `json:"results"`
	// Title is what the last line begins with.
	Title string        `json:"title"`
	Took  time.Duration `json:"took"`
	// Points lets the last line count points that converged to the unbroken run's end, which is none itself.
	Points bool `json:"points,omitempty"`
}

// Unbroken is the scenario whose end the others' are compared with.
const Unbroken = "unbroken"

// OK is true when every scenario held.
func (r *Report) OK() bool { return r.held() == len(r.Results) && len(r.Results) > 0 }

func (r *Report) held() int {
	held := 0
	for _, x := range r.Results {
		if x.Held() {
			held++
		}
	}
	return held
}

// Print writes the table, what is wanting, and as the last line what it comes to.
func (r *Report) Print(w io.Writer) error {
	rows := [][]string{}
	for _, x := range r.Results {
		verdict := "held"
		if !x.Held() {
			verdict = "NOT HELD"
		}
		var figures []string
		for _, f := range x.Figures {
			figures = append(figures, f.Name+" "+f.Value)
		}
		rows = append(rows, []string{
			x.Name, verdict, fmt.Sprintf("%.0f", x.Took.Seconds()), fmt.Sprint(x.Requests), fmt.Sprint(x.Failed),
			fmt.Sprint(x.Writes), fmt.Sprint(x.Refused), fmt.Sprint(x.Lost), fmt.Sprintf("%d of %d", x.Denied, x.Asked), strings.Join(figures, ", "),
		})
	}
	columns := []string{"SCENARIO", "", "SECONDS", "REQUESTS", "FAILED", "WRITES", "REFUSED", "LOST", "NAMES DENIED", "MEASURED"}
	if err := cli.Table(w, columns, rows); err != nil {
		return err
	}
	for _, x := range r.Results {
		for _, what := range x.Wanting {
			if _, err := fmt.Fprintf(w, "%s: %s\n", x.Name, what); err != nil {
				return err
			}
		}
	}
	played, held, form := len(r.Results), r.held(), "%s: %d scenarios, %d held, in %s\n"
	if r.Points {
		form = "%s: %d points, %d converged, in %s\n"
		for _, x := range r.Results {
			if x.Name == Unbroken {
				played--
				if x.Held() {
					held--
				}
			}
		}
	}
	_, err := fmt.Fprintf(w, form, r.Title, played, held, r.Took.Round(time.Second))
	return err
}
