package transaction

import (
	"context"
	"errors"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// A Set is a set as the provider holds it.
type Set struct {
	// RRset is in canonical form. Of a special set only name and type are sure.
	zone.RRset
	// Special says, as the end of "it is …", what makes the set more than a name, a type, a TTL and data: a routing policy, an
	// alias. Such a set is never changed, but for a split between the two sides of a change.
	Special string
	// Shares are the answers of a set that is split by weight, in the form in which this project splits one, and by nothing else:
	// no health checks, whole weights. Such a set is special too, and has no Data. Empty for every other set.
	Shares []Share
	// Native is the provider's own form of it, so that a removal holds exactly what was read. Nil where it was never read.
	Native any
}

// A Share is one answer of a split, with its weight among the others.
type Share struct {
	// Side is zone.ShareOld or zone.ShareNew in a set that is added. In one that was read it may be empty.
	Side   string
	Weight int
	Data   []string
}

// Refusals of a change, by a provider. In all of them nothing was changed; every other error leaves that open.
var (
	// ErrCondition says that a removal was not exactly what is there, or an addition met what is there.
	ErrCondition = errors.New("the provider found something else than expected")
	// ErrBusy says that the provider turned the change away unread, again and again.
	ErrBusy = errors.New("the provider is asked too often")
)

// A Provider is the API of one zone. Its methods may be called by several goroutines at once.
type Provider interface {
	// At returns every set at one name as the API has it now: no cache, no wildcard.
	At(ctx context.Context, name string) ([]Set, error)
	// InTree says whether a name holds a set or stands above one. Where that cannot be found out at a bounded cost, false is
	// right: a change is then refused that could have been made.
	InTree(ctx context.Context, name string) (bool, error)
	// Change removes and adds sets in one change: all or none. What is added is plain, or has two Shares. It returns the change's ID. An error that is ErrCondition,
	// ErrBusy, zone.ErrDenied or zone.ErrInvalid says that nothing was changed, now or later.
	Change(ctx context.Context, remove, add []Set) (string, error)
	// Spread says whether a change has reached the provider's servers.
	Spread(ctx context.Context, id string) (bool, error)
}
