package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/prometheus"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ExamineRetirement asks every query by which blue is to be shown idle once, before anything is changed: a typing error would show
// when the last application is on green. That there is no data is only said.
func ExamineRetirement(ctx context.Context, opts Options, r *migration.Retirement) (refusals []plan.Refusal, notes []plan.Note) {
	if r == nil {
		return nil, nil
	}
	for _, p := range prometheusEvidence(opts, *r) {
		what := fmt.Sprintf("retirement.prometheus: %q", p.Query.Name)
		limited, cancel := context.WithTimeout(ctx, defaultCheckTimeout)
		_, gap := p.Query.Steps()
		now := p.now().Truncate(time.Millisecond)
		seen, err := p.read(limited, now, now, nil)
		cancel()
		if err == nil {
			err = seen.there(gap)
		}
		text, hint := judgeQuery(err)
		switch {
		case hint != "":
			refusals = append(refusals, plan.Refusal{What: what, Why: text, Mend: hint})
		case text != "":
			notes = append(notes, plan.Note{Level: plan.Warning, What: what, Text: text + "; as long as that is so blue is not idle"})
		}
	}
	return refusals, notes
}

// judgeQuery returns what is to be said of an answer, and a hint where it is a refusal.
func judgeQuery(err error) (say, hint string) {
	var wrong *prometheus.QueryError
	var server *prometheus.ServerError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &wrong):
		return err.Error(), "correct the query; the server's own page shows what it gives"
	case errors.As(err, &server):
		return err.Error(), "check url, and username and password or token"
	case errors.Is(err, prometheus.ErrNoNumber):
		return err.Error(), ""
	}
	return err.Error(), hintOf(err, "see that the server runs and can be reached from here")
}
