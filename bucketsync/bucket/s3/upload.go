package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

// multipart sends an object in parts. Without a log, an upload that fails is aborted.
func (w *write) multipart(ctx context.Context, r io.Reader) (bucket.Object, error) {
	up := body.Upload{Log: w.opts.Upload, Send: w.send, Same: func(part body.Part, tag string) bool { return hex.EncodeToString(part.MD5()) == tag }}
	plan, err := w.begin(ctx, &up, w.b.opts.PartSize)
	if err != nil {
		return bucket.Object{}, err
	}
	obj, err := w.finish(ctx, &up, plan, r)
	if err != nil && up.Log == nil {
		err = errors.Join(err, w.b.abort(ctx, w.key, w.upload))
	}
	return obj, err
}

// begin takes up the upload of an earlier call, or begins one.
func (w *write) begin(ctx context.Context, up *body.Upload, partSize int64) (plan body.Plan, err error) {
	plan = body.NewPlan(w.size, partSize, maxParts, w.b.opts.Workers)
	if up.Log != nil && up.Log.State.ID != "" {
		state := up.Log.State
		w.upload, plan = state.ID, body.NewPlan(w.size, state.PartSize, maxParts, w.b.opts.Workers)
		up.Have, err = w.parts(ctx, plan)
		return plan, err
	}
	if up.Log != nil {
		if err := bucket.NoteOpening(ctx, w.b, w.key, up.Log); err != nil {
			return plan, err
		}
	}
	p := w.opts.Properties
	in := &s3.CreateMultipartUploadInput{
		Bucket: &w.b.opts.Bucket, Key: &w.key,
		ContentType: given(p.ContentType), ContentEncoding: given(headertext.StripChunked(p.ContentEncoding)),
		ContentLanguage: given(p.ContentLanguage), ContentDisposition: given(p.ContentDisposition), CacheControl: given(p.CacheControl),
		Expires: when(p.Expires), WebsiteRedirectLocation: given(p.WebsiteRedirect), Metadata: w.metadata,
		Tagging: tagging(p.Tags), StorageClass: types.StorageClass(p.StorageClass),
	}
	in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus = lockHeaders(p.Lock)
	in.ServerSideEncryption, in.SSEKMSKeyId = keyHeaders(p.Encryption)
	out, err := w.b.client.CreateMultipartUpload(ctx, in, w.tries)
	if err != nil {
		return plan, err
	}
	if w.upload = aws.ToString(out.UploadId); up.Log != nil {
		err = up.Log.Note(bucket.UploadNote{ID: w.upload, PartSize: plan.PartSize})
	}
	return plan, err
}

// tries has an upload that is remembered begun by one request: the answer to it may be lost, and the caller then looks what it
// began before there is another.
func (w *write) tries(o *s3.Options) {
	if w.opts.Upload != nil {
		o.RetryMaxAttempts = 1
	}
}

// send stores a part; its tag is its ETag.
func (w *write) send(ctx context.Context, part body.Part) (string, error) {
	number := int32(part.Number)
	out, err := w.b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &w.b.opts.Bucket, Key: &w.key, UploadId: &w.upload, PartNumber: &number, Body: part.Reader(),
		ContentLength: aws.Int64(int64(len(part.Data))), ContentMD5: aws.String(base64.StdEncoding.EncodeToString(part.MD5())),
	}, unsigned)
	if err != nil {
		return "", fmt.Errorf("send part %d: %w", number, err)
	}
	w.tags[part.Number-1] = unquote(aws.ToString(out.ETag))
	return w.tags[part.Number-1], nil
}

func (w *write) finish(ctx context.Context, up *body.Upload, plan body.Plan, r io.Reader) (bucket.Object, error) {
	w.tags = make([]string, (w.size+plan.PartSize-1)/plan.PartSize)
	for number, tag := range up.Have {
		w.tags[number-1] = tag
	}
	hashed := body.NewHash(r, w.opts.MD5 != nil)
	plan.Budget = w.opts.Budget
	err := up.All(ctx, hashed, plan)
	if err == nil {
		err = body.CheckMD5(hashed.Sum(), w.opts.MD5)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	out, err := w.complete(ctx)
	if err != nil {
		return bucket.Object{}, err
	}
	// The server checked the MD5 of every part, and these were computed over the same bytes.
	return w.object(out.ETag, out.VersionId, hashed.Digests()), nil
}

// complete makes the object of the parts in w.tags.
func (w *write) complete(ctx context.Context) (*s3.CompleteMultipartUploadOutput, error) {
	if log := w.opts.Upload; log != nil {
		if err := log.Note(bucket.UploadNote{Completes: true, ETag: body.WholeETag(w.tags)}); err != nil {
			return nil, err
		}
	}
	parts := make([]types.CompletedPart, len(w.tags))
	for i, tag := range w.tags {
		parts[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: aws.String(quote(tag))}
	}
	return w.b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &w.b.opts.Bucket, Key: &w.key, UploadId: &w.upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		IfNoneMatch: w.ifNoneMatch(), IfMatch: w.ifMatch(),
	})
}

// parts are those that the upload has, of the size that they must have.
func (w *write) parts(ctx context.Context, plan body.Plan) (map[int]string, error) {
	have := map[int]string{}
	pages := s3.NewListPartsPaginator(w.b.client, &s3.ListPartsInput{Bucket: &w.b.opts.Bucket, Key: &w.key, UploadId: &w.upload})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the parts of the unfinished upload: %w", err)
		}
		for _, part := range page.Parts {
			if number := int(aws.ToInt32(part.PartNumber)); aws.ToInt64(part.Size) == plan.Length(number) {
				have[number] = unquote(aws.ToString(part.ETag))
			}
		}
	}
	return have, nil
}

// Abort implements bucket.Resumer.
func (b *Bucket) Abort(ctx context.Context, key, id string) error {
	return b.fail("abort", key, b.abort(ctx, key, id))
}

// abort drops the parts, also where the context is what ended the upload (B15). An upload that is gone needs none.
func (b *Bucket) abort(ctx context.Context, key, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.opts.Bucket, Key: &key, UploadId: &id})
	if gone := kind(err); err != nil && !errors.Is(gone, bucket.ErrUploadGone) && !errors.Is(gone, bucket.ErrNotExist) {
		return fmt.Errorf("abort the unfinished upload %s: %w", id, err)
	}
	return nil
}

// Unfinished implements bucket.Resumer.
func (b *Bucket) Unfinished(ctx context.Context, key string) ([]bucket.Unfinished, error) {
	var found []bucket.Unfinished
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.opts.Bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.fail("list the unfinished uploads of", key, err)
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) != key {
				continue
			}
			one := bucket.Unfinished{ID: aws.ToString(u.UploadId), Begun: aws.ToTime(u.Initiated)}
			parts, err := b.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &b.opts.Bucket, Key: &key, UploadId: u.UploadId, MaxParts: aws.Int32(1)})
			switch {
			case errors.Is(kind(err), bucket.ErrUploadGone):
				continue
			case err != nil:
				return nil, b.fail("list the parts of an unfinished upload of", key, err)
			}
			one.Parts = len(parts.Parts)
			found = append(found, one)
		}
	}
	return found, nil
}
