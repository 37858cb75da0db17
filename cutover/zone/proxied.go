package zone

import "context"

// Proxier is the optional ability of a zone whose provider may answer for a name with addresses of its own and pass
// the requests on to what the record holds (C19). Nobody who asks the DNS can see where such a name leads: a change is
// verified by reading it back where it was made, and by what the application answers. The TTL of its sets says how long
// the provider's own servers may go on as before, and is not anybody's to change.
type Proxier interface {
	// Proxied says whether that is so for a name now. It reads where changes are made.
	Proxied(ctx context.Context, name string) (bool, error)
}
