package azure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// An account has a flat or a hierarchical namespace (Data Lake Storage Gen2). In a hierarchical one directories are there by
// themselves, and the API of blobs, which this driver speaks with both, works with restrictions:
//
//   - A listing has directories beside blobs, and goes by the parts of paths: A, A/dat1, A-B
//     (https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues,
//     https://github.com/Azure/azure-sdk-for-go/issues/24210).
//   - A directory is shown with ResourceType and hdi_isfolder (https://learn.microsoft.com/rest/api/storageservices/list-blobs).
//   - A path is a blob or a directory. A write makes the directories above it; Delete Blob takes a directory only where it is empty, and
//     none that the blob lay in.
//   - There are no index tags (https://learn.microsoft.com/azure/storage/blobs/storage-feature-support-in-storage-accounts).
//   - A path has at most 63 parts, of which the host and the container are two
//     (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
//   - A blob that the other API made (Path - Create) cannot be written over in blocks, only with one Put Blob.
//   - A name with a slash at its end is taken where a directory is made, and is no URI elsewhere
//     (https://github.com/rclone/rclone/issues/7047).

// namespace is what is known of an account's.
type namespace = uint32

const (
	unknown namespace = iota
	flat
	hierarchical
)

// folderMark is the key of metadata with which the service shows directories, and takes an empty blob for one.
const folderMark = "hdi_isfolder"

func (b *Bucket) hierarchical() bool { return b.space.Load() == hierarchical }

// Probe implements bucket.Prober. Get Account Information tells the namespace to the account's key and to signatures
// (https://learn.microsoft.com/rest/api/storageservices/get-account-information). To others a listing does, whose entries have a
// ResourceType only in a hierarchical one. An empty container tells nothing: then the account is taken for flat until an entry is seen.
func (b *Bucket) Probe(ctx context.Context) error {
	if b.space.Load() != unknown {
		return nil
	}
	info, err := b.client.GetAccountInfo(ctx, nil)
	if err == nil && info.IsHierarchicalNamespaceEnabled != nil {
		b.learn(*info.IsHierarchicalNamespaceEnabled)
		return nil
	}
	one := int32(1)
	page, err := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{MaxResults: &one}).NextPage(ctx)
	if err == nil && page.Segment != nil && len(page.Segment.BlobItems) > 0 {
		b.learn(typed(page.Segment.BlobItems[0]))
	}
	return ctx.Err()
}

func (b *Bucket) learn(nested bool) {
	if nested {
		b.space.Store(hierarchical)
	} else {
		b.space.Store(flat)
	}
}

// typed reports whether an entry of a listing says whether it is a file or a directory.
func typed(item *container.BlobItem) bool {
	return item != nil && item.Properties != nil && value(item.Properties.ResourceType) != ""
}

// maxNested is how many names a key has in a hierarchical namespace.
const maxNested = 61

// limit takes from the capabilities what a hierarchical namespace lacks.
func limit(caps *bucket.Capabilities) {
	caps.Tags, caps.NoneBelow, caps.FoldersEmpty = false, true, true
	caps.KeyProblem = nestedKeyProblem
	problem := caps.PropertyProblem
	caps.PropertyProblem = func(p bucket.Properties) string {
		if err := markProblem(p); err != nil {
			return bucket.Problem(err)
		}
		return problem(p)
	}
}

func nestedKeyProblem(key string) string {
	if problem := keyProblem(key); problem != "" {
		return problem
	}
	path := strings.TrimSuffix(key, "/")
	if path == "" || strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.HasSuffix(path, "/") {
		return "the key holds an empty name between slashes, which a hierarchical namespace may leave out"
	}
	if n := strings.Count(path, "/") + 1; n > maxNested {
		return fmt.Sprintf("the key has %d names between slashes, a hierarchical namespace takes %d", n, maxNested)
	}
	return ""
}

// markProblem: what has the mark of a directory becomes one, under another key than it had.
func markProblem(p bucket.Properties) error {
	for key, text := range p.Metadata {
		if strings.EqualFold(key, folderMark) && strings.EqualFold(text, "true") {
			return fmt.Errorf("%w: the metadata %s, which makes a directory of an object in a hierarchical namespace", bucket.ErrUnsupported, folderMark)
		}
	}
	return nil
}

// fits says why an object cannot have properties that the service would take.
func (b *Bucket) fits(p bucket.Properties) error {
	if !b.hierarchical() {
		return nil
	}
	return markProblem(p)
}

// isFolderKey reports whether a key is a directory's.
func (b *Bucket) isFolderKey(key string) bool { return b.hierarchical() && strings.HasSuffix(key, "/") }

// name is that of a key's blob or directory in every request but one that makes a directory.
func (b *Bucket) name(key string) string {
	if b.isFolderKey(key) {
		return strings.TrimSuffix(key, "/")
	}
	return key
}

func notExistIsFine(err error) error {
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	return err
}

// bare reports whether properties are none, or those that stores give to directories by themselves.
func bare(p bucket.Properties) bool {
	switch p.ContentType {
	case "", "application/octet-stream", "binary/octet-stream", "application/x-directory":
	default:
		return false
	}
	return len(p.Metadata) == 0 && p.ContentEncoding == "" && p.ContentLanguage == "" && p.ContentDisposition == "" && p.CacheControl == "" &&
		p.Lock == (bucket.Lock{}) && p.Encryption == (bucket.Encryption{}) && p.Other["x-ms-acl"] == ""
}

// withMark is metadata with that of a directory.
func withMark(metadata map[string]string) map[string]string {
	marked := maps.Clone(metadata)
	if marked == nil {
		marked = map[string]string{}
	}
	marked[folderMark] = "true"
	return marked
}
