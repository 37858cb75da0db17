package cutover

import (
	"slices"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// withoutBlue returns an application whose checks ask green alone: what compares with blue would use it, just when nobody does.
// What a check limits beside the comparison stays; one that only compares is left out.
func withoutBlue(app migration.Application) migration.Application {
	var checks []migration.Check
	for _, c := range app.Checks {
		switch {
		case c.HTTP != nil && c.HTTP.ComparesBlue():
			alone := *c.HTTP
			alone.SameAsBlue, alone.SameBody, alone.SameHeaders = false, false, nil
			c.HTTP = &alone
		case c.Probes != nil && c.Probes.AsksBlue():
			alone := *c.Probes
			alone.P50, alone.P95, alone.P99 = unrelated(alone.P50), unrelated(alone.P95), unrelated(alone.P99)
			if alone.Errors == nil && len(alone.Percentiles()) == 0 {
				continue
			}
			c.Probes = &alone
		}
		checks = append(checks, c)
	}
	app.Checks = checks
	return app
}

// unrelated is a limit without its relation to blue.
func unrelated(l *migration.Latency) *migration.Latency {
	if l == nil || l.Max == 0 {
		return nil
	}
	return &migration.Latency{Max: l.Max}
}

// leavingBlueAlone returns options whose applications' checks leave blue alone.
func leavingBlueAlone(o Options) Options {
	o.Applications = slices.Clone(o.Applications)
	for i, app := range o.Applications {
		o.Applications[i] = withoutBlue(app)
	}
	return o
}
