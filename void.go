package crossfade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// watchAgain is what makes a new certificate after blue was used.
const watchAgain = "; then let `crossfade run --redo idle` watch blue again and certify it"

// voidedBy are the refusals that follow from looks since the idleness that was concluded within the first records. A use that is on
// record, or a loss in which one may have been, stands against all that was concluded before it, however quiet blue is later (I8, C24).
//
//	finished idle ─ looks of the brown-out ─ finished brown-out ─ certificate ─ looks of retire
//	                a use counts, a loss is watched over there     both count     both count
func voidedBy(log *journal.Log, records int) []plan.Refusal {
	from := 0
	for i, r := range log.Records[:min(records, len(log.Records))] {
		if r.Kind == journal.KindFinished && r.Stage == "idle" {
			from = i + 1
		}
	}
	var list []plan.Refusal
	refusing := false
	for _, r := range log.Records[from:] {
		if r.Stage == stageBrownOut && slices.Contains([]journal.Kind{journal.KindPlanned, journal.KindFinished, journal.KindReset}, r.Kind) {
			refusing = r.Kind == journal.KindPlanned
		}
		var s cutover.Sample
		if r.Kind != journal.KindNoted || r.Stage != noteSample || json.Unmarshal(r.Data, &s) != nil {
			continue
		}
		for _, o := range s.Observations {
			if found, bad := voids(o); bad && (o.Use == cutover.Used || !refusing) {
				found.Why = fmt.Sprintf("at %s, %s", o.At.UTC().Format(time.DateTime+" MST"), found.Why)
				list = append(list, found)
			}
		}
	}
	return list
}

// voids reports whether a look stands against a certificate that was made before it, for good.
func voids(o cutover.Observation) (plan.Refusal, bool) {
	switch {
	case o.Use == cutover.Used:
		return plan.Refusal{
			What: o.Evidence, Why: "blue was used since it was certified: " + strings.Join(append([]string{o.Text}, o.Details...), "; "),
			Mend: "find out who still comes, and move them" + watchAgain,
		}, true
	case o.Use == cutover.Quiet && o.Lost != "":
		return plan.Refusal{What: o.Evidence, Why: "whether blue was used since it was certified is not known: " + o.Lost, Mend: "keep blue still" + watchAgain}, true
	}
	return plan.Refusal{}, false
}

// certificateVoid says why the certificate that was made does not hold any more, and what to do. It is empty while it may hold, and once
// blue is being deleted.
func certificateVoid(log *journal.Log) string {
	s := log.Stage("certificate")
	var cert cutover.Certificate
	if !s.Finished || retireBegan(log) || json.Unmarshal(s.Result, &cert) != nil {
		return ""
	}
	list := voidedBy(log, cert.Journal.Records)
	if len(list) == 0 {
		return ""
	}
	first := list[0]
	return fmt.Sprintf("%s: %s: %s", first.What, first.Why, first.Mend)
}
