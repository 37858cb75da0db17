package bucket

import "context"

// Copier is the optional ability to copy an object within a server, so that its bytes take no way through here. A bucket that
// has it says so in Capabilities.Copies.
type Copier interface {
	// CopyFrom stores under key what from, a bucket of the same provider and endpoint, has as src: that version, or
	// ErrPrecondition (B4), which a condition of opts that does not hold gives too (B5). All properties are those of opts, which are sent
	// again whatever the size: none is taken over from the source (B10). Of opts it heeds the properties, the conditions and Upload.
	//
	// ErrUnsupported and ErrDenied, as where these credentials may not read the source, say that the object has to be read and
	// written; nothing was stored then.
	CopyFrom(ctx context.Context, key string, from Bucket, src Object, opts PutOptions) (Copied, error)
}

// Copied is what a copy within a server made.
type Copied struct {
	Object
	// Proven says that what the server tells of the parts shows that the bytes are the source's: both are made of parts with the
	// same MD5s. Otherwise it is for the caller to compare Digests with the source's, or the bytes.
	Proven bool
}

// Below is the driver's bucket below those that only choose some of its keys, and what it calls the key.
func Below(b Bucket, key string) (Bucket, string) {
	for {
		s, ok := b.(interface{ part() *sub })
		if !ok {
			return b, key
		}
		b, key = s.part().Bucket, s.part().prefix+key
	}
}
