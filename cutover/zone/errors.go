package zone

import (
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/mend"
)

// Sentinels that drivers return (wrapped, found with errors.Is).
var (
	// ErrNotExist says that the name has no record of the type.
	ErrNotExist = errors.New("no such record")
	// ErrMoved says that the name no longer holds what the change expects. Nothing was changed.
	ErrMoved = errors.New("the record is not what was expected")
	// ErrConflict says that records stand at the name beside which the new ones cannot stand. Nothing was changed.
	ErrConflict = errors.New("other records stand in the way")
	// ErrFenced says that another writer holds the fence. Nothing was changed. Errors that wrap it are *FencedError.
	ErrFenced = errors.New("the fence is not ours")
	// ErrInvalid says that the request can never be carried out as it is: a CNAME at an apex, a name outside the zone.
	ErrInvalid = errors.New("invalid change")
	// ErrDenied says that the credentials were refused.
	ErrDenied = errors.New("access denied")
	// ErrUncertain says that the change may or may not have been made, now or a little later.
	ErrUncertain = errors.New("it is not known whether the change was made")
	// ErrNotApplied says that the server acknowledged the change and then did not show it.
	ErrNotApplied = errors.New("acknowledged but not applied")
	// ErrConditionsIgnored says that the server accepted a change whose condition was false.
	ErrConditionsIgnored = errors.New("the server ignores conditions")
)

// An Error is a failure that the user can mend.
type Error = mend.Error

// A FencedError says which token was found in the place of ours.
type FencedError struct {
	Fence Fence  // the one that was expected
	Found string // the token that stands there; empty where there is no fence at all
}

// Error implements error.
func (e *FencedError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("%v: %s does not exist", ErrFenced, e.Fence.Name)
	}
	return fmt.Sprintf("%v: %s holds %q, not %q", ErrFenced, e.Fence.Name, e.Found, e.Fence.Token)
}

// Unwrap makes errors.Is find ErrFenced.
func (e *FencedError) Unwrap() error { return ErrFenced }
