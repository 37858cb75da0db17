package zone

import (
	"context"
	"errors"
	"time"
)

// An RRset is all records of one type at one name.
type RRset struct {
	// Name is fully qualified, in A-labels and lower case, with its dot: "shop.apps.test.".
	Name string `json:"name"`
	// Type is its mnemonic: "CNAME", "A", "AAAA", "TXT".
	Type string `json:"type"`
	// TTL is in seconds.
	TTL uint32 `json:"ttl"`
	// Data holds each record's data in presentation form, names fully qualified: "blue.lb.test.", "192.0.2.1". Its
	// order means nothing.
	Data []string `json:"data"`
}

// A Fence is a TXT record whose token only the present writer of a name knows to be right. A change carries it as a
// condition, so that a writer that was thought dead cannot change the name any more (C7).
type Fence struct {
	// Name is where the TXT stands; FenceName computes it. Empty means no fence: only for changes of names that
	// nobody else knows of yet.
	Name string `json:"name,omitempty"`
	// Token is the text of the TXT. It is no secret: everybody can look it up.
	Token string `json:"token,omitempty"`
}

// A Change replaces Old by New at one name.
type Change struct {
	// Name is the name that changes. Every set of Old and New stands there.
	Name string `json:"name"`
	// Old is what the name is expected to hold, of every type that the change touches: the CNAME alone, or the A and
	// the AAAA together. Empty means that nothing stands there yet.
	Old []RRset `json:"old"`
	// New is what the name holds after the change. A type of Old that New lacks is removed in the same change. Types
	// that neither names are left as they are, and the change is refused where they cannot stand beside New.
	New []RRset `json:"new"`
	// Fence must hold its token when the change is made.
	Fence Fence `json:"fence,omitzero"`
	// Remove must be set where New is empty: the name loses its answer. Only for names that Crossfade made (I2, I3).
	Remove bool `json:"remove,omitempty"`
	// With are sets at other places that change in the same message and under the same conditions, or not at all. A zone
	// that cannot do that, see Joint, refuses the change with ErrInvalid.
	With []Companion `json:"with,omitempty"`
}

// A Companion is one TXT set that is replaced together with a Change: it says something about the name, such as who owns
// it, and must never disagree with it. It may stand at the changed name itself, beside an address.
type Companion struct {
	// Old must be there exactly, as Change.Old must.
	Old RRset `json:"old"`
	// New has the same name and type. Neither is empty: a companion is not made and not removed.
	New RRset `json:"new"`
}

// Reverse is the change that takes c back, with the same fence.
func (c Change) Reverse() Change {
	back := Change{Name: c.Name, Old: c.New, New: c.Old, Fence: c.Fence, Remove: len(c.Old) == 0}
	for _, w := range c.With {
		back.With = append(back.With, Companion{Old: w.New, New: w.Old})
	}
	return back
}

// Strength says how much of a promise a swap is.
type Strength string

// The strengths, the strongest first.
const (
	// Atomic: conditions and change are one message; every server of the zone goes from old to new without a state
	// between (RFC 2136 section 3.7).
	Atomic Strength = "atomic"
	// Transactional: the change is one transaction at the provider, its conditions are the exact old records, and the
	// provider spreads it to its servers later, each going from old to new at once.
	Transactional Strength = "transactional"
	// Weak: servers may show something else than old or new for a while, or the condition is checked before the change
	// and not with it.
	Weak Strength = "weak"
)

// A Result says what a Swap did.
type Result struct {
	// Strength is the zone's, or Weak where the server broke its promise in this one change and was corrected.
	Strength Strength `json:"strength"`
	// Applied is false when the name held New already, and nothing was sent.
	Applied bool `json:"applied"`
	// Attempts counts the messages that were sent.
	Attempts int `json:"attempts"`
	// Recovered is set when the server's acknowledgement never came (or was not to be trusted) and reading back at the
	// primary proved that the change had been made (C4).
	Recovered bool `json:"recovered,omitempty"`
	// After is what the primary answered when it was asked afterwards.
	After []RRset `json:"after"`
	// Gap is for how long at most the name had no answer, or a part of the new one, at the provider, where the change
	// took several requests: from before the first was sent until the last was acknowledged. Servers and caches may show
	// it for longer.
	Gap time.Duration `json:"gap,omitempty"`
}

// Reader reads at the place where changes are made: a zone's primary or a provider's API, never a cache.
type Reader interface {
	// Lookup returns the set of one type at a name, with the TTL of the zone. It does not follow a CNAME: at a name
	// that holds one, only the type CNAME exists. ErrNotExist says that there is none; any other error says that
	// nothing is known. A wildcard may have made the answer: only a Swap's conditions see the zone itself.
	Lookup(ctx context.Context, name, typ string) (RRset, error)
}

// Gatherer is the optional ability to read several types of a name in one request, for providers that count requests.
type Gatherer interface {
	// Gather returns the sets that the name has of some types, each as Lookup would return it; none is no error.
	Gather(ctx context.Context, name string, types ...string) ([]RRset, error)
}

// LookupAll returns the sets that a name has of some types, in their order, with as few requests as the zone can.
func LookupAll(ctx context.Context, z Reader, name string, types ...string) ([]RRset, error) {
	if g, ok := z.(Gatherer); ok {
		return g.Gather(ctx, name, types...)
	}
	var sets []RRset
	for _, typ := range types {
		set, err := z.Lookup(ctx, name, typ)
		switch {
		case errors.Is(err, ErrNotExist):
		case err != nil:
			return nil, err
		default:
			sets = append(sets, set)
		}
		if set.Type == "CNAME" {
			break // nothing stands beside it (RFC 1034 section 3.6.2)
		}
	}
	return sets, nil
}

// Swapper changes records.
type Swapper interface {
	// Strength is what Swap can promise here. It makes no request.
	Strength() Strength

	// Swap replaces change.Old by change.New.
	//
	// Conditions. The name must hold exactly Old (data and, as it was read just before, TTL), nothing that conflicts
	// with New, and the fence its token. Else nothing changes and the error is ErrMoved, ErrConflict or ErrFenced. A
	// name that holds New already is success with Applied false, whatever Old says, as long as the fence is ours: so
	// Swap may be repeated after a kill, and twice in a row is once.
	//
	// Atomicity. As Strength says. With Atomic, no query ever sees the name without an answer, with both answers, or
	// with a part of New.
	//
	// Success. Nil means that the primary was read after the change and held New. An acknowledgement alone is not
	// success: some servers say yes and ignore a record (C5).
	//
	// Time-outs. No answer does not mean not applied. Swap reads back before it tries again; where it can't find out,
	// it returns ErrUncertain: the change may have been made, or may be made later. Call Swap again to find out.
	//
	// Cancellation. Before the change is sent, nothing has changed and the context's error is returned. After that,
	// Swap still takes a bounded time to read back, so that the caller learns what became of it.
	//
	// Concurrency. Swap may be called by several goroutines. Of two changes of one name with the same Old, one wins and
	// the other one gets ErrMoved.
	//
	// Wildcards. A change with an empty Old is refused with ErrInvalid where it would put a new level into the tree
	// under a wildcard: the wildcard would no longer answer for that level (RFC 4592 section 2.2.2, C12).
	//
	// Example: a TTL is lowered with New equal to Old but for the TTL; a cutover has Old = CNAME to blue and New =
	// CNAME to green; at an apex, Old and New each hold an A and an AAAA set.
	Swap(ctx context.Context, change Change) (Result, error)
}

// Fencer writes and removes fences.
type Fencer interface {
	// Claim makes fence.Token the token of the name guarded. previous is the token that is taken over, or empty where
	// there must be no fence yet. It is a compare-and-swap: of two claims with the same previous one wins, and the
	// other one gets a *FencedError that names the token it found. A fence that holds fence.Token already is success.
	// From then on, every change with the previous token is refused.
	//
	// The guarded name must hold a record of its own: a fence beside a name that only a wildcard answers for could put
	// an empty node into the zone and so end that wildcard's answers (C12).
	Claim(ctx context.Context, guarded string, fence Fence, previous string) error
	// Release removes the fence if it holds fence.Token. One that is gone already is success; one with another token
	// is a *FencedError and stays.
	Release(ctx context.Context, fence Fence) error
}

// Prober finds out whether the server keeps its side of the contract, without changing anything.
type Prober interface {
	// Probe asks for changes that could do no harm, near a name, under conditions that are false, and fails with
	// ErrConditionsIgnored where one is accepted (C7). It also asks for one under a true condition, to learn whether
	// the credentials suffice. Run it before the first change.
	Probe(ctx context.Context, name string) error
}

// Zone is one zone at one provider: what every driver gives.
type Zone interface {
	Reader
	Swapper
	Fencer
	Prober
	// Apex is the zone's name.
	Apex() string
}

// Joint is the optional ability to carry out Change.With: in the one message, or the one transaction, that changes the name.
type Joint interface {
	// Together says whether Swap can. It makes no request.
	Together() bool
}

// Together says whether a zone carries out companions.
func Together(z Zone) bool {
	joint, ok := z.(Joint)
	return ok && joint.Together()
}

// Lister is the optional ability to read a whole zone: for counting its records, and for proof that nothing in it
// still points at blue.
type Lister interface {
	// List returns every set of the zone, or an error: never a part of it (C11). A set that the provider computes from
	// another name has the type ALIAS, and as its data the name that it follows.
	List(ctx context.Context) ([]RRset, error)
}
