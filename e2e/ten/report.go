package ten

import (
	"fmt"
	"io"
	"time"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// An Application is what was seen of one.
type Application struct {
	Name string `json:"name"`
	Wave int    `json:"wave"`
	TTL  uint32 `json:"ttl"`
	// Drained is set where blue closes the connections that clients keep.
	Drained  bool `json:"drained"`
	Requests int  `json:"requests"`
	Failed   int  `json:"failed"`
	// Moved is the time from the swap to blue's last answer to the client that honours TTLs, Kept to that to the one that keeps its
	// connection, which was opened so often.
	Moved    time.Duration `json:"moved"`
	Kept     time.Duration `json:"kept"`
	Connects int           `json:"connects"`
}

// Report is all that was seen.
type Report struct {
	Applications []Application `json:"applications"`
	// Looks at blue found its last users; Explained is what they said of each.
	Looks     int      `json:"looks"`
	Explained []string `json:"explained"`
	// Wanting is what does not hold.
	Wanting []string      `json:"wanting,omitempty"`
	Took    time.Duration `json:"took"`
}

// OK is true when everything held.
func (r *Report) OK() bool { return len(r.Wanting) == 0 && len(r.Applications) > 0 }

// Failed counts requests that failed.
func (r *Report) Failed() int {
	failed := 0
	for _, a := range r.Applications {
		failed += a.Failed
	}
	return failed
}

// Print writes a line for each application, what is wanting, and as the last line what it comes to.
func (r *Report) Print(w io.Writer) error {
	var rows [][]string
	requests, drained, stayed, longest := 0, 0, 0, time.Duration(0)
	for _, a := range r.Applications {
		keeps := fmt.Sprintf("blue for %.1f s, then drained", a.Kept.Seconds())
		if a.Drained {
			drained++
		} else {
			stayed++
			keeps = fmt.Sprintf("stays with blue: %.1f s", a.Kept.Seconds())
		}
		rows = append(rows, []string{
			a.Name, fmt.Sprint(a.Wave), fmt.Sprintf("%d s", a.TTL), fmt.Sprint(a.Requests), fmt.Sprint(a.Failed),
			fmt.Sprintf("%.1f s", a.Moved.Seconds()), keeps, fmt.Sprint(a.Connects),
		})
		requests += a.Requests
		longest = max(longest, a.Moved)
	}
	columns := []string{"APPLICATION", "WAVE", "TTL", "REQUESTS", "FAILED", "BLUE'S LAST, HONOURING TTLS", "KEEPING THE CONNECTION", "CONNECTS"}
	if err := cli.Table(w, columns, rows); err != nil {
		return err
	}
	for _, text := range r.Explained {
		if _, err := fmt.Fprintln(w, "holds the certificate up:", text); err != nil {
			return err
		}
	}
	for _, what := range r.Wanting {
		if _, err := fmt.Fprintln(w, "NOT HELD:", what); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "ten: %d applications, %d requests, %d failed, clients that honour TTLs on green within %.1f s, %d kept connections drained, %d stayed with blue and held its retirement up, in %s\n",
		len(r.Applications), requests, r.Failed(), longest.Seconds(), drained, stayed, r.Took.Round(time.Second))
	return err
}
