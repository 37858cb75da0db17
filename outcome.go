package crossfade

import (
	"errors"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Refusal is a reason not to begin, and what mends it.
type Refusal = plan.Refusal

// SyncFailure is the result, for programs, of a sync or a verification of two places that failed.
type SyncFailure struct {
	*SyncReport           // what was done until then; nil where it did not begin
	Error       string    `json:"error"`
	Code        int       `json:"code"` // the program's exit code
	Refusals    []Refusal `json:"refusals,omitempty"`
	// Failed is how many objects failed, and Failures are they. Stopped says that the others were not tried any more: Untried at least.
	Failed   int64          `json:"failed,omitempty"`
	Stopped  bool           `json:"stopped,omitempty"`
	Untried  int64          `json:"untried,omitempty"`
	Failures []FailedObject `json:"failures,omitempty"`
}

// FailedObject is an object that could not be copied.
type FailedObject struct {
	Key   string `json:"key"`
	Raw   []byte `json:"rawKey,omitempty"` // of a key that is not UTF-8
	Error string `json:"error"`
}

// FailureOf is the result of what ended with an error. The report may be nil.
func FailureOf(report *SyncReport, err error, code int) *SyncFailure {
	out := &SyncFailure{SyncReport: report, Error: err.Error(), Code: code}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		out.Refusals = refused.Refusals
	}
	if failed, ok := errors.AsType[*bucketsync.FailedError](err); ok {
		out.Failed, out.Stopped, out.Untried = failed.Count, failed.Stopped, failed.Untried
		for _, f := range failed.Failures {
			out.Failures = append(out.Failures, failedObject(f))
		}
	}
	return out
}

func failedObject(f bucketsync.Failure) FailedObject {
	if !utf8.ValidString(f.Key) {
		return FailedObject{Raw: []byte(f.Key), Error: f.Err.Error()}
	}
	return FailedObject{Key: f.Key, Error: f.Err.Error()}
}
