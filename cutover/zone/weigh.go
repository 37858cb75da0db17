package zone

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Weigher is the optional ability of a zone whose provider answers by weight: while it lasts, a part of all questions for a name gets
// the one side of a change as its answer, and the rest the other.
//
// A split lies between Old and New of a change, and is left in three ways: Weigh with another share, Swap with the change, Swap with
// its reverse. Each is one change at the provider, under the fence. Whoever reads the name as if it held plain sets, by Lookup or
// Gather, gets ErrConflict while it is split: a split is never taken for one of its sides.
type Weigher interface {
	Resumer
	// Weigh makes the name answer with w.To of 100 answers from New. The name must answer with w.From of 100 now, else nothing
	// changes and the error is ErrMoved; a name that has w.To already is success with Applied false. For the rest, all of
	// Swap's contract holds.
	Weigh(ctx context.Context, w Weighing) (Result, error)
	// Share reads, where changes are made, how many of 100 answers are New: 0 where the name holds Old alone, 100 where it holds New
	// alone. Anything else that it holds is ErrMoved, weights that make no whole per cent among it.
	Share(ctx context.Context, change Change) (int, error)
	// JudgeWeighing returns the ErrInvalid that Weigh would return whatever the zone holds. It makes no request.
	JudgeWeighing(w Weighing) error
}

// A Weighing moves a name from one share to another.
type Weighing struct {
	// Change has the two sides of the split, and the fence. Its companions do not move with a share, and it has none.
	Change
	// From and To are how many of 100 answers are New. To is from 0 to 99: what is to answer with New alone is swapped.
	From int `json:"from"`
	To   int `json:"to"`
}

// Sides of a split, in the identifiers that a provider asks for and in texts.
const (
	ShareOld = "blue"
	ShareNew = "green"
)

// NormalWeighing checks a weighing as Change.Normal checks a change. Both sides must be of the same types: a question for one type gets
// an answer of that type from either.
func NormalWeighing(w Weighing, apex string) (Weighing, error) {
	change, err := w.Normal(apex)
	if err != nil {
		return w, err
	}
	w.Change = change
	fail := func(hint, format string, args ...any) (Weighing, error) {
		return w, &Error{Op: "split the answers of " + w.Name, Hint: hint, Err: fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)}
	}
	switch {
	case w.From < 0 || w.From > 100 || w.To < 0 || w.To > 99:
		return fail("give shares from 1 to 99", "%d and %d are no shares", w.From, w.To)
	case len(w.With) > 0:
		return fail("", "other records cannot be shared out with it")
	case len(w.Old) == 0 || len(w.Old) != len(w.New):
		return fail("give both sides records of the same types", "one side has %s, the other %s", Describe(w.Old), Describe(w.New))
	}
	for _, old := range w.Old {
		i := slices.IndexFunc(w.New, func(s RRset) bool { return s.Type == old.Type })
		switch {
		case i < 0:
			return fail("give both sides records of the same types", "one side has %s, the other %s", Describe(w.Old), Describe(w.New))
		case w.New[i].TTL != old.TTL:
			return fail("give both the same TTL", "the %s sets have the TTLs %d and %d", old.Type, old.TTL, w.New[i].TTL)
		case dnsx.RRset(old).SameData(dnsx.RRset(w.New[i])):
			return fail("let the sides differ", "both sides have the %s set %v", old.Type, old.Data)
		}
	}
	return w, nil
}

// AsWeigher returns the zone's ability to split a name's answers, or false.
func AsWeigher(z Zone) (Weigher, bool) {
	w, ok := z.(Weigher)
	return w, ok
}
