package azure

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// List implements bucket.Lister. Nothing but the prefix narrows what the service lists, so a range is cut out of all. In a hierarchical
// namespace the service refuses a prefix that leads through a blob.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		l := &lister{b: b, opts: opts, yield: yield}
		if err := l.run(ctx); err != nil {
			yield(bucket.Object{}, b.fail("list", "", err))
		}
	}
}

// lister is one listing.
type lister struct {
	b     *Bucket
	opts  bucket.ListOptions
	yield func(bucket.Object, error) bool
	// folder is a directory of which the next entry tells whether something lies in it: what does, follows at once in the service's
	// order. In another one a directory that holds something passes for an empty one, which loses nothing.
	folder *bucket.Object
	left   bool // nobody wants more
}

func (l *lister) run(ctx context.Context) error {
	nested := l.b.hierarchical()
	if nested && l.opts.Folders {
		if err := l.top(ctx); err != nil {
			return err
		}
	}
	for items, err := range l.b.pages(ctx, l.query(nested)) {
		if err != nil {
			return err
		}
		if !nested && len(items) > 0 && typed(items[0]) {
			// Entries have a type from the first page on, and nothing was given away.
			l.b.learn(true)
			return l.run(ctx)
		}
		for _, item := range items {
			if l.entry(item, nested); l.left {
				return nil
			}
		}
	}
	l.settle("")
	return nil
}

// pages gives the entries that the service answers at once.
func (b *Bucket) pages(ctx context.Context, query *container.ListBlobsFlatOptions) iter.Seq2[[]*container.BlobItem, error] {
	return func(yield func([]*container.BlobItem, error) bool) {
		for pages := b.client.NewListBlobsFlatPager(query); pages.More(); {
			page, err := pages.NextPage(ctx)
			if err == nil && (page.Segment == nil || value(page.ContainerName) != b.opts.Container) {
				// An answer without a listing in it would read as one that ends here (B13).
				err = errors.New("the answer is no page of a listing of this container")
			}
			if err != nil {
				yield(nil, err)
				return
			}
			items := page.Segment.BlobItems
			if slices.ContainsFunc(items, func(item *container.BlobItem) bool { return item.Name == nil || item.Properties == nil }) {
				yield(nil, errors.New("an object of the listing has no name or no properties"))
				return
			}
			if !yield(items, nil) {
				return
			}
		}
	}
}

// query asks for what begins with a prefix.
func (b *Bucket) query(prefix string) *container.ListBlobsFlatOptions {
	query := &container.ListBlobsFlatOptions{}
	if prefix != "" {
		query.Prefix = &prefix
	}
	if b.opts.PageSize > 0 {
		size := int32(min(b.opts.PageSize, 5000))
		query.MaxResults = &size
	}
	return query
}

func (l *lister) query(nested bool) *container.ListBlobsFlatOptions {
	query := l.b.query(l.opts.Prefix)
	if nested && l.opts.Folders {
		query.Include = container.ListBlobsInclude{Metadata: true, Permissions: true}
	}
	return query
}

// top looks for the directory that is the prefix itself, whose entry lacks the slash and is not in the listing.
func (l *lister) top(ctx context.Context) error {
	if !strings.HasSuffix(l.opts.Prefix, "/") {
		return nil
	}
	obj, err := l.b.Head(ctx, l.opts.Prefix)
	if err != nil {
		return notExistIsFine(err)
	}
	obj.Properties = nil
	l.folder = &obj
	return nil
}

func listed(item *container.BlobItem) bucket.Object {
	return bucket.Object{
		Key: *item.Name, Size: value(item.Properties.ContentLength),
		ETag: unquote(item.Properties.ETag), Modified: value(item.Properties.LastModified),
		Archived: archived(string(value(item.Properties.AccessTier)), string(value(item.Properties.ArchiveStatus))),
	}
}

func (l *lister) entry(item *container.BlobItem, nested bool) {
	obj := listed(item)
	if nested && isFolder(value(item.Properties.ResourceType), item.Metadata) {
		obj.Key, obj.Size, obj.Archived, obj.Folder = strings.TrimSuffix(obj.Key, "/")+"/", 0, nil, folderOf(item)
	}
	l.settle(obj.Key)
	switch {
	case obj.Folder == bucket.NotFolder:
		l.give(obj)
	case l.opts.Folders:
		l.folder = &obj
	}
}

// settle gives away the directory that waits, now that the next key is known.
func (l *lister) settle(next string) {
	if l.folder == nil {
		return
	}
	obj := *l.folder
	l.folder = nil
	if obj.Folder == bucket.FolderEmpty && strings.HasPrefix(next, obj.Key) {
		obj.Folder = bucket.FolderHolding
	}
	l.give(obj)
}

func (l *lister) give(obj bucket.Object) {
	if !l.left && l.opts.Holds(obj.Key) {
		l.left = !l.yield(obj, nil)
	}
}

func isFolder(kind string, metadata map[string]*string) bool {
	return strings.EqualFold(kind, "directory") || strings.EqualFold(decodeMetadata(metadata)[folderMark], "true")
}

// folderOf tells a directory with properties of its own from a bare one. Who owns it and what its mode is, every path has; entries of an
// access control list beside those are behind the mode's plus sign.
func folderOf(item *container.BlobItem) bucket.Folder {
	p := bucket.Properties{
		ContentType: value(item.Properties.ContentType), ContentEncoding: value(item.Properties.ContentEncoding), ContentLanguage: value(item.Properties.ContentLanguage),
		ContentDisposition: value(item.Properties.ContentDisposition), CacheControl: value(item.Properties.CacheControl), Metadata: decodeMetadata(item.Metadata),
	}
	delete(p.Metadata, folderMark)
	if !bare(p) || strings.HasSuffix(value(item.Properties.Permissions), "+") {
		return bucket.FolderOwn
	}
	return bucket.FolderEmpty
}
