package bucket

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is what a driver returns when a request fails. Errors.Is finds its kind, one of the sentinels, and its cause.
type Error struct {
	Op   string // "list", "head", "open", "put", "delete", "check", "make", "abort", "copy" and the like
	Key  string // empty where the whole bucket is meant
	URL  string // of the bucket, without credentials
	Kind error  // one of the sentinels, or nil
	Err  error  // the cause in the provider's own words, or nil
	Hint string // what mends it, where the user can
}

// Error implements error.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Op)
	if e.Key != "" {
		fmt.Fprintf(&text, " %q", e.Key)
	}
	text.WriteString(" in " + e.URL)
	if e.Kind != nil {
		text.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil {
		text.WriteString(": " + e.Err.Error())
	}
	if e.Hint != "" {
		text.WriteString(" (" + e.Hint + ")")
	}
	return text.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	return []error{e.Kind, e.Err}
}

// Wrap builds the error of a request from what the driver found out. It returns nil for a nil cause, takes over the
// kind of a cause that has one already, and adds the hint that goes with the kind.
func Wrap(op, url, key string, kind, cause error) error {
	if cause == nil && kind == nil {
		return nil
	}
	for _, known := range []error{ErrNotExist, ErrPrecondition, ErrUnsupported, ErrDenied, ErrArchived, ErrKeyNeeded, ErrLocked, ErrSlowDown, ErrUploadGone, ErrDigest} {
		if kind == nil && errors.Is(cause, known) {
			return &Error{Op: op, URL: url, Key: key, Err: cause, Hint: hint(known, key)}
		}
	}
	return &Error{Op: op, URL: url, Key: key, Kind: kind, Err: cause, Hint: hint(kind, key)}
}

// Lacks names in an error of Wrap the right that was missing, in the provider's own words, where it is a denial. Any other error
// stays as it is, and so does one without a right to name.
func Lacks(right string, err error) error {
	var denied *Error
	if right == "" || !errors.Is(err, ErrDenied) || !errors.As(err, &denied) {
		return err
	}
	said := *denied
	said.Hint = "allow this account " + right
	return &said
}

// KindOfStatus is the sentinel that the HTTP status of an answer stands for, where its body says nothing more exact, or nil.
func KindOfStatus(status int) error {
	switch status {
	case http.StatusNotFound:
		return ErrNotExist
	case http.StatusPreconditionFailed:
		return ErrPrecondition
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrDenied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return ErrSlowDown
	case http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable:
		return ErrUnsupported
	}
	return nil
}

func hint(kind error, key string) string {
	switch {
	case errors.Is(kind, ErrDenied):
		return "check the credentials and what they allow"
	case errors.Is(kind, ErrNotExist) && key == "":
		return "check the bucket's name, or make it"
	case errors.Is(kind, ErrArchived):
		return "restore it at its provider, or leave it out"
	case errors.Is(kind, ErrKeyNeeded):
		return "leave it out, and copy it with a tool that is given the key; or write it anew at the source without one"
	case errors.Is(kind, ErrLocked):
		return "let its lock end, or lift it there"
	}
	return ""
}
