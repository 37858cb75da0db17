package bucketsync

import (
	"errors"

	"github.com/crossfade-project/crossfade/internal/mend"
)

// What a sync keeps for itself (the manifest, the list of uploads, the ledger of losses) is written before and after each object. Where one of
// these files cannot be written, no object can be copied, and none of them is the reason: the first such failure ends the run, and is told once.

// ownFileError says that a file of the sync's own could not be written.
type ownFileError struct{ err error }

func (e *ownFileError) Error() string { return e.err.Error() }
func (e *ownFileError) Unwrap() error { return e.err }

// ownFile marks the failure to write one of the sync's own files; nil stays nil.
func ownFile(err error) error {
	if err == nil {
		return nil
	}
	return &ownFileError{err}
}

// isOwnFile reports whether a file of the sync's own is what failed.
func isOwnFile(err error) bool {
	_, is := errors.AsType[*ownFileError](err)
	return is
}

// mendOwnFile says how to go on where a file of the sync's own could not be written. What failed behind that, when the files were put in order, is
// of the same cause.
func (o Options) mendOwnFile(err error) error {
	first, is := errors.AsType[*ownFileError](err)
	if !is {
		return err
	}
	return &mend.Error{
		Op: "remember what was copied", Err: first,
		Hint: "make room where that file lies, or make it writable, then run the same command again: " +
			o.said("what was copied is found at the destination", "what was copied is found at the destination, also with another directory as --state"),
	}
}
