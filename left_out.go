package crossfade

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// begunIn reports whether something of blue was changed for an application, and is not put back yet.
func begunIn(log *journal.Log, app string) bool { return log.Stage("freeze/"+app).Plan != "" }

// leftOut are the applications that the journal knows of and the file does not have any more, as they stand (I8). One that was begun
// counts until it is back on blue; another one until an export was made without it, and for as long as its namespace is to be deleted.
func (m *Migration) leftOut(log *journal.Log) ([]ApplicationStatus, error) {
	if log == nil {
		return nil, nil
	}
	latest, first, last := 0, -1, -1 // outlines: of this run, and of the first and the last export
	for i, r := range log.Records {
		switch {
		case r.Kind == journal.KindNoted && r.Stage == noteOutline:
			latest = i
		case r.Kind == journal.KindPlanned && r.Stage == stageExport:
			if last = latest; first < 0 {
				first = latest
			}
		}
	}
	if first < 0 {
		return nil, nil
	}
	var list []ApplicationStatus
	var read []byte
	for i, r := range slices.Backward(log.Records) {
		if i < first {
			break // what a file said before anything was exported is over
		}
		if r.Kind != journal.KindNoted || r.Stage != noteOutline || bytes.Equal(r.Data, read) {
			continue
		}
		var o outline
		if err := json.Unmarshal(r.Data, &o); err != nil {
			return nil, fmt.Errorf("read what the file said at record %d: %w", i, err)
		}
		read = r.Data
		o.Applications = slices.DeleteFunc(o.Applications, func(a ApplicationStatus) bool {
			return slices.ContainsFunc(m.file.Applications, func(x migration.Application) bool { return x.Name == a.Name }) ||
				slices.ContainsFunc(list, func(x ApplicationStatus) bool { return x.Name == a.Name }) || i < last && m.mayStay(log, a)
		})
		if len(o.Applications) > 0 {
			list = append(list, statusOf(o, log).Applications...)
		}
	}
	slices.SortFunc(list, func(a, b ApplicationStatus) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// mayStay reports whether an application may be left on blue: nothing of it was changed, and its namespace is not deleted.
func (m *Migration) mayStay(log *journal.Log, a ApplicationStatus) bool {
	r := m.file.Retirement
	return !begunIn(log, a.Name) && a.Namespace != "" && (r == nil || !slices.Contains(r.Delete.Namespaces, a.Namespace))
}

// refuseLeftOut says what stands against concluding anything of blue as a whole.
func refuseLeftOut(log *journal.Log, list []ApplicationStatus) []plan.Refusal {
	var refusals []plan.Refusal
	for _, a := range list {
		r := plan.Refusal{
			What: "application " + a.Name, Why: fmt.Sprintf("the file does not have it any more, and it is %s: nobody looks who uses it there", a.State), Mend: "put it back into the file",
		}
		if a.State == OnGreen {
			r.Why = "the file does not have it any more, and it is on green: nobody looks who still uses it on blue"
		}
		if !begunIn(log, a.Name) {
			r.Mend += "; where it is to stay on blue, leave its namespace out of retirement.delete, and say `crossfade run --redo export`"
		}
		refusals = append(refusals, r)
	}
	return refusals
}

// goesBackWithout says what stands against taking back the migration as a whole: what the file lacks would stay where it is, and its fences
// and TTLs would go.
func (m *Migration) goesBackWithout(log *journal.Log) ([]plan.Refusal, error) {
	list, err := m.leftOut(log)
	if err != nil {
		return nil, err
	}
	var refusals []plan.Refusal
	for _, a := range list {
		if begunIn(log, a.Name) {
			refusals = append(refusals, plan.Refusal{
				What: "application " + a.Name, Why: fmt.Sprintf("the file does not have it any more, and it is %s: it would stay so, and lose the fence that is needed to go back", a.State),
				Mend: "put it back into the file; those that are named go back without it: `crossfade rollback APPLICATION`",
			})
		}
	}
	return refusals, nil
}

// hasAll refuses a stage that concludes something of blue as a whole while the file lacks an application.
func (m *Migration) hasAll(s stage) error {
	if !s.concludes {
		return nil
	}
	log, err := m.log()
	if err != nil {
		return err
	}
	list, err := m.leftOut(log)
	if err != nil || len(list) == 0 {
		return err
	}
	return &RefusedError{Stage: s.name, Refusals: refuseLeftOut(log, list)}
}
