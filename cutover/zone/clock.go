package zone

import (
	"context"
	"time"
)

// Clocked is the optional ability to tell how far the clock of the server that takes changes is from ours: where changes are
// signed with their time, one that is too far off is refused.
type Clocked interface {
	// Skew asks the server and returns by how much its clock is ahead of ours, to the second, negative when it is behind, and
	// how much it may be off. A server that refuses the question because of its clock is no error.
	Skew(ctx context.Context) (skew, allowed time.Duration, err error)
}
