package body

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Upload is a write in parts that may be gone on with.
type Upload struct {
	// Log is the caller's; nil where the write is not to outlive its process.
	Log *bucket.Upload
	// Have are the parts that the store has already, with their tags.
	Have map[int]string
	// Send stores a part and returns its tag.
	Send func(ctx context.Context, part Part) (tag string, err error)
	// Same says whether a part that the store has under that tag is this one.
	Same func(part Part, tag string) bool
}

// errPart says that bytes of a source that was said not to have changed are others than before, or another number.
var errPart = errors.New("a part of the body is not the one that was read before")

// All sends the parts that the store lacks: first those that were read before and did not arrive, which are read again, then
// those that r has, from where it begins. What the store has is not sent again, even where its acknowledgement was lost.
func (u Upload) All(ctx context.Context, r io.Reader, plan Plan) error {
	if u.Log == nil {
		return Parts(ctx, r, plan, func(ctx context.Context, part Part) error {
			_, err := u.Send(ctx, part)
			return err
		})
	}
	state := u.Log.State
	for number := 1; number <= state.Read; number++ {
		if tag, ok := u.Have[number]; ok && state.Tags[number] == tag {
			continue
		}
		if err := u.again(ctx, number, plan); err != nil {
			return fmt.Errorf("part %d: %w", number, err)
		}
	}
	plan.Before = state.Read
	plan.Read = func(number int) error { return u.Log.Note(bucket.UploadNote{Read: number}) }
	return Parts(ctx, r, plan, u.send)
}

func (u Upload) send(ctx context.Context, part Part) error {
	tag, err := u.Send(ctx, part)
	if err != nil {
		return err
	}
	return u.Log.Note(bucket.UploadNote{Part: part.Number, Tag: tag})
}

// again reads a part that was in flight when the upload was cut off, and sends it where it did not arrive.
func (u Upload) again(ctx context.Context, number int, plan Plan) (err error) {
	offset := int64(number-1) * plan.PartSize
	if offset >= plan.Size {
		return errPart
	}
	data, release, err := plan.memory().Buffer(ctx, plan.Length(number))
	if err != nil {
		return fmt.Errorf("wait for memory: %w", err)
	}
	part := Part{Number: number, Data: data, lease: &lease{release: release}}
	defer part.Done()
	in, err := u.Log.Read(ctx, offset, int64(len(data)))
	if err != nil {
		return fmt.Errorf("read again: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if _, err := io.ReadFull(in, data); err != nil {
		return fmt.Errorf("read again: %w", err)
	}
	if tag, ok := u.Have[number]; ok && u.Same(part, tag) {
		return u.Log.Note(bucket.UploadNote{Part: number, Tag: tag})
	}
	return u.send(ctx, part)
}

// WholeETag is the ETag that S3 gives an object that is made of parts with these ETags: the MD5 of their MD5s, and how many
// there are. It is empty where one of them is no MD5.
func WholeETag(parts []string) string {
	sum := md5.New()
	for _, etag := range parts {
		raw, err := hex.DecodeString(strings.Trim(etag, `"`))
		if err != nil || len(raw) != md5.Size {
			return ""
		}
		_, _ = sum.Write(raw) // a hash takes every write
	}
	return fmt.Sprintf("%x-%d", sum.Sum(nil), len(parts))
}
