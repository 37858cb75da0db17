package dnsx

import (
	"errors"

	"github.com/crossfade-project/crossfade/internal/mend"
)

// Sentinels, wrapped by what the functions return.
var (
	// ErrNotPropagated says that at least one address of one server does not yet show the wanted sets, or could not be
	// asked.
	ErrNotPropagated = errors.New("not every name server shows the record")
	// ErrUnreachable says that no server could be asked.
	ErrUnreachable = errors.New("no name server answers")
	// ErrLoop says that CNAMEs lead back to a name of their own chain.
	ErrLoop = errors.New("the chain of CNAMEs is a loop")
	// ErrTooLong says that more than MaxChain CNAMEs follow one another.
	ErrTooLong = errors.New("the chain of CNAMEs is too long")
	// ErrDangling says that a chain of CNAMEs ends at a name without an address.
	ErrDangling = errors.New("the chain of CNAMEs ends at a name without an address")
	// ErrName says that a text is no name of the DNS.
	ErrName = errors.New("not a domain name")
	// ErrReply says that a reply could not be used: malformed, truncated, not to the question.
	ErrReply = errors.New("unusable reply")
)

// An Error is a failure that the user can mend.
type Error = mend.Error
