package minio

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// summedForm is the form of an upload whose parts are checked by their CRC.
const summedForm = "crc64nvme"

// multipart sends an object in parts. Without a log, an upload that fails is aborted.
func (w *write) multipart(ctx context.Context, r io.Reader, query minio.PutObjectOptions) (bucket.Object, error) {
	up := body.Upload{Log: w.log, Send: w.send, Same: w.same}
	plan, err := w.begin(ctx, &up, query, w.b.opts.PartSize)
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
func (w *write) begin(ctx context.Context, up *body.Upload, query minio.PutObjectOptions, partSize int64) (plan body.Plan, err error) {
	plan = body.NewPlan(w.size, partSize, maxParts, w.b.opts.Workers)
	if up.Log != nil && up.Log.State.ID != "" {
		state := up.Log.State
		w.upload, w.summed = state.ID, state.Form == summedForm
		plan = body.NewPlan(w.size, state.PartSize, maxParts, w.b.opts.Workers)
		up.Have, err = w.have(ctx, plan)
		return plan, err
	}
	if up.Log != nil {
		if err := bucket.NoteOpening(ctx, w.b, w.key, up.Log); err != nil {
			return plan, err
		}
	}
	if w.upload, w.summed, err = w.create(ctx, query); err != nil || up.Log == nil {
		return plan, err
	}
	note := bucket.UploadNote{ID: w.upload, PartSize: plan.PartSize}
	if w.summed {
		note.Form = summedForm
	}
	return plan, up.Log.Note(note)
}

// create has the parts checked by their CRC, of which the server makes that of the whole. A server from before 2025 does not
// know it and refuses the beginning; its parts are checked by their MD5, which costs the client many times as much.
//
// An upload that is remembered is begun by one request: the answer to it may be lost, and the caller then looks what it began
// before there is another.
func (w *write) create(ctx context.Context, query minio.PutObjectOptions) (id string, summed bool, err error) {
	client := w.b.client
	if w.log != nil {
		client = w.b.once
	}
	if w.copies {
		id, err = client.NewMultipartUpload(ctx, w.b.opts.Bucket, w.key, query)
		return id, false, err
	}
	with := query
	with.UserMetadata = maps.Clone(query.UserMetadata)
	with.UserMetadata["X-Amz-Checksum-Algorithm"] = "CRC64NVME"
	with.UserMetadata[checksumType] = wholeObject
	id, err = client.NewMultipartUpload(ctx, w.b.opts.Bucket, w.key, with)
	if err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusBadRequest {
		id, err = client.NewMultipartUpload(ctx, w.b.opts.Bucket, w.key, query)
		return id, false, err
	}
	return id, true, err
}

// send stores a part.
func (w *write) send(ctx context.Context, part body.Part) (string, error) {
	opts, done, header := minio.PutObjectPartOptions{DisableContentSha256: true}, minio.CompletePart{PartNumber: part.Number}, http.Header{}
	if w.summed {
		done.ChecksumCRC64NVME = base64.StdEncoding.EncodeToString(part.CRC64NVME())
		opts.CustomHeader = http.Header{checksumHeader: {done.ChecksumCRC64NVME}}
		header[checksumHeader] = []string{done.ChecksumCRC64NVME}
	} else {
		opts.Md5Base64 = base64.StdEncoding.EncodeToString(part.MD5())
		header["Content-Md5"] = []string{opts.Md5Base64}
	}
	if answer := w.b.wire.putPart(ctx, w.key, w.upload, part, header); answer != nil {
		done.ETag = strings.Trim(answer.Get("ETag"), `"`)
		w.parts[part.Number-1] = done
		return tagOf(done), nil
	}
	sent, err := w.b.client.PutObjectPart(ctx, w.b.opts.Bucket, w.key, w.upload, part.Number, part.Reader(), int64(len(part.Data)), opts)
	if err != nil {
		return "", fmt.Errorf("send part %d: %w", part.Number, err)
	}
	done.ETag = strings.Trim(sent.ETag, `"`)
	w.parts[part.Number-1] = done
	return tagOf(done), nil
}

// tagOf is how a part is known again: by its ETag, and by its CRC where that checked it.
func tagOf(part minio.CompletePart) string {
	return strings.TrimSpace(part.ETag + " " + part.ChecksumCRC64NVME)
}

// same compares a part with one that the server has, by what checked that when it came.
func (w *write) same(part body.Part, tag string) bool {
	etag, sum, _ := strings.Cut(tag, " ")
	if w.summed {
		return sum == base64.StdEncoding.EncodeToString(part.CRC64NVME())
	}
	return etag == hex.EncodeToString(part.MD5())
}

func (w *write) finish(ctx context.Context, up *body.Upload, plan body.Plan, r io.Reader) (bucket.Object, error) {
	w.parts = make([]minio.CompletePart, (w.size+plan.PartSize-1)/plan.PartSize)
	for number, tag := range up.Have {
		etag, sum, _ := strings.Cut(tag, " ")
		w.parts[number-1] = minio.CompletePart{PartNumber: number, ETag: etag, ChecksumCRC64NVME: sum}
	}
	hashed := body.NewHash(r, w.md5 != nil)
	plan.Budget = w.budget
	err := up.All(ctx, hashed, plan)
	if err == nil {
		err = body.CheckMD5(hashed.Sum(), w.md5)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	info, err := w.complete(ctx)
	if err != nil {
		return bucket.Object{}, err
	}
	if !w.summed {
		// The server checked the MD5 of every part, and these were computed over the same bytes.
		return w.object(info, hashed.Digests()), nil
	}
	sum, err := base64.StdEncoding.DecodeString(info.ChecksumCRC64NVME)
	if err != nil || len(sum) == 0 {
		return w.object(info, nil), nil // nothing is acknowledged: the engine reads it back
	}
	return w.object(info, []bucket.Digest{{Algorithm: bucket.CRC64NVME, Value: hex.EncodeToString(sum)}}), nil
}

// complete makes the object of w.parts.
func (w *write) complete(ctx context.Context) (minio.UploadInfo, error) {
	if w.log != nil {
		tags := make([]string, len(w.parts))
		for i, part := range w.parts {
			tags[i] = part.ETag
		}
		if err := w.log.Note(bucket.UploadNote{Completes: true, ETag: body.WholeETag(tags)}); err != nil {
			return minio.UploadInfo{}, err
		}
	}
	query := w.condition
	if w.summed {
		query.UserMetadata = map[string]string{checksumType: wholeObject}
	}
	return w.b.client.CompleteMultipartUpload(ctx, w.b.opts.Bucket, w.key, w.upload, w.parts, query)
}

// have are the parts that the upload has, of the size that they must have.
func (w *write) have(ctx context.Context, plan body.Plan) (map[int]string, error) {
	have := map[int]string{}
	for marker := 0; ; {
		page, err := w.b.client.ListObjectParts(ctx, w.b.opts.Bucket, w.key, w.upload, marker, 0)
		if err != nil {
			return nil, fmt.Errorf("list the parts of the unfinished upload: %w", err)
		}
		for _, part := range page.ObjectParts {
			if part.Size == plan.Length(part.PartNumber) && (!w.summed || part.ChecksumCRC64NVME != "") {
				have[part.PartNumber] = tagOf(minio.CompletePart{ETag: strings.Trim(part.ETag, `"`), ChecksumCRC64NVME: part.ChecksumCRC64NVME})
			}
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= marker {
			return have, nil
		}
		marker = page.NextPartNumberMarker
	}
}

// Abort implements bucket.Resumer.
func (b *Bucket) Abort(ctx context.Context, key, id string) error {
	return b.fail("abort", key, b.abort(ctx, key, id))
}

// abort drops the parts, also where the context is what ended the upload (B15). An upload that is gone needs none.
func (b *Bucket) abort(ctx context.Context, key, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := b.client.AbortMultipartUpload(ctx, b.opts.Bucket, key, id)
	if err != nil && !errors.Is(kind(err), bucket.ErrUploadGone) {
		return fmt.Errorf("abort the unfinished upload %s: %w", id, err)
	}
	return nil
}

// Unfinished implements bucket.Resumer.
func (b *Bucket) Unfinished(ctx context.Context, key string) ([]bucket.Unfinished, error) {
	var found []bucket.Unfinished
	for keyMarker, idMarker := "", ""; ; {
		page, err := b.client.ListMultipartUploads(ctx, b.opts.Bucket, key, keyMarker, idMarker, "", 0)
		if err != nil {
			return nil, b.fail("list the unfinished uploads of", key, err)
		}
		for _, u := range page.Uploads {
			if u.Key != key {
				continue
			}
			parts, err := b.client.ListObjectParts(ctx, b.opts.Bucket, key, u.UploadID, 0, 1)
			switch {
			case errors.Is(kind(err), bucket.ErrUploadGone):
				continue
			case err != nil:
				return nil, b.fail("list the parts of an unfinished upload of", key, err)
			}
			found = append(found, bucket.Unfinished{ID: u.UploadID, Begun: u.Initiated, Parts: len(parts.ObjectParts)})
		}
		if !page.IsTruncated || page.NextKeyMarker == keyMarker && page.NextUploadIDMarker == idMarker {
			return found, nil
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
