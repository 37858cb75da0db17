package archive

import (
	"errors"
	"fmt"
)

// ErrCorrupt says that an archive is not what it says it is.
var ErrCorrupt = errors.New("the archive is damaged")

// ErrNoIdentity says that something encrypted was asked for and no age identity was given, or none that fits.
var ErrNoIdentity = errors.New("no age identity opens it")

// ErrNoRecipient says that a Secret was to be written and nobody was named who may read it.
var ErrNoRecipient = errors.New("no age recipient is given: set archive.recipients in the migration file")

// ErrEmpty says that a store holds no archive yet.
var ErrEmpty = errors.New("there is no archive here yet")

func corrupt(what, why string) error { return fmt.Errorf("%w: %s: %s", ErrCorrupt, what, why) }
