package zone

import "context"

// Resumer is the optional ability of a zone that needs several requests for some changes (C18): to tell a change that was
// broken off between two of them from a name that somebody else has changed.
type Resumer interface {
	// Underway says whether the name holds what this change, or its reverse, leaves when it is broken off, under the
	// fence that is there now. Swap with the change goes on from there, and Swap with its reverse goes back.
	Underway(ctx context.Context, change Change) (bool, error)
}

// Underway says whether a change was broken off between two of its requests; most zones know no such state.
func Underway(ctx context.Context, z Zone, change Change) (bool, error) {
	if resumer, ok := z.(Resumer); ok {
		return resumer.Underway(ctx, change)
	}
	return false, nil
}
