package azure

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the store's checksum
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// A directory has the key of a marker elsewhere: with a slash at its end. One without properties of its own is as good as none:
// it comes with the first blob below it, so that nothing of anybody's is lost where a marker's properties are put on it.

// asFolder makes of what a head told of a path what is under the key, or says that it is the other of blob and directory.
func asFolder(obj *bucket.Object, header http.Header) error {
	p := obj.Properties
	folder := strings.EqualFold(header.Get("x-ms-resource-type"), "directory") || strings.EqualFold(p.Metadata[folderMark], "true")
	if folder != strings.HasSuffix(obj.Key, "/") {
		*obj = bucket.Object{}
		return bucket.ErrNotExist
	}
	rights(p, header, folder)
	if !folder {
		return nil
	}
	delete(p.Metadata, folderMark)
	if len(p.Metadata) == 0 {
		p.Metadata = nil
	}
	p.StorageClass = ""
	obj.Size, obj.Archived, obj.Folder = 0, nil, bucket.FolderOwn
	if bare(*p) {
		obj.Folder = bucket.FolderEmpty
	}
	return nil
}

// rights enters what a path has of an owner, a group, a mode and an access control list that a new one does not have:
// https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-access-control. No other store holds them, and this driver writes none.
func rights(p *bucket.Properties, header http.Header, folder bool) {
	mode, usual := header.Get("x-ms-permissions"), "rw-r-----"
	if folder {
		usual = "rwxr-x---"
	}
	other := func(name, text string, usual ...string) {
		for _, u := range append(usual, "") {
			if text == u {
				return
			}
		}
		if p.Other == nil {
			p.Other = map[string]string{}
		}
		p.Other[name] = text
	}
	other("x-ms-owner", header.Get("x-ms-owner"), "$superuser")
	other("x-ms-group", header.Get("x-ms-group"), "$superuser")
	if !strings.HasSuffix(mode, "+") {
		other("x-ms-permissions", mode, usual)
		return
	}
	acl := header.Get("x-ms-acl")
	if acl == "" {
		acl = mode
	}
	other("x-ms-acl", acl)
}

// openFolder reads a directory as the marker that it is: zero bytes.
func (b *Bucket) openFolder(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	obj, err := b.Head(ctx, key)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	if opts.Pin.ETag != "" && opts.Pin.ETag != obj.ETag {
		return nil, bucket.Object{}, bucket.Wrap("open", b.url, key, bucket.ErrPrecondition, nil)
	}
	if _, _, err := opts.Range(0); err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	obj.Properties = nil
	return io.NopCloser(bytes.NewReader(nil)), obj, nil
}

// putFolder makes a directory, or puts properties on one. A bare one is there for whoever wants it; one with properties of its
// own is somebody's, and stands against IfAbsent as an object does.
func (b *Bucket) putFolder(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	p := opts.Properties
	_, err := headers(p)
	if err := errors.Join(p.Fits(b.Describe()), err, b.fits(p)); err != nil {
		return bucket.Object{}, err
	}
	if size != 0 {
		return bucket.Object{}, fmt.Errorf("%w: %d bytes under a key that ends with a slash, which is a directory's here", bucket.ErrUnsupported, size)
	}
	for range 2 { // a directory may come into being in between, with a blob below it
		now, err := b.Head(ctx, key)
		absent := errors.Is(err, bucket.ErrNotExist)
		switch {
		case err != nil && !absent:
			return bucket.Object{}, err
		case absent && opts.IfMatch.ETag != "", !absent && opts.IfMatch.ETag != "" && opts.IfMatch.ETag != now.ETag, !absent && opts.IfAbsent && !now.Folder.Bare():
			return bucket.Object{}, bucket.ErrPrecondition
		case !absent && now.Folder.Bare() && bare(p):
			return b.emptied(ctx, now, r, opts)
		}
		made := opts
		made.Properties.Metadata, made.Properties.StorageClass = withMark(p.Metadata), ""
		made.IfAbsent, made.IfMatch = absent, bucket.Object{}
		if !absent {
			made.IfMatch = now
		}
		metadata, err := encodeMetadata(made.Properties.Metadata)
		if err != nil {
			return bucket.Object{}, err
		}
		w := &write{b: b, key: key, opts: made, metadata: metadata}
		tag, sum, err := w.single(ctx, r, 0)
		if absent && opts.IfMatch.ETag == "" && errors.Is(kind(err), bucket.ErrPrecondition) {
			continue
		}
		if err != nil {
			return bucket.Object{}, err
		}
		return acknowledged(key, unquote(tag), sum), nil
	}
	return bucket.Object{}, bucket.ErrPrecondition
}

// emptied acknowledges a marker for which nothing has to be written, once its body has shown to be empty.
func (b *Bucket) emptied(ctx context.Context, now bucket.Object, r io.Reader, opts bucket.PutOptions) (bucket.Object, error) {
	part, err := body.Whole(ctx, r, 0, opts.MD5, opts.Budget)
	if err != nil {
		return bucket.Object{}, err
	}
	defer part.Done()
	sum := md5.Sum(nil) //nolint:gosec // the store's checksum
	if err := body.CheckMD5(sum[:], opts.MD5); err != nil {
		return bucket.Object{}, err
	}
	return acknowledged(now.Key, now.ETag, sum[:]), nil
}

func acknowledged(key, tag string, sum []byte) bucket.Object {
	return bucket.Object{Key: key, ETag: tag, Digests: []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}}
}
