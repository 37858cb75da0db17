package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3page"
)

// KeepsVersions implements bucket.Versioned.
func (b *Bucket) KeepsVersions(ctx context.Context) (bucket.VersionKeeping, error) {
	if b.express() {
		return bucket.VersionKeeping{}, nil
	}
	out, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.opts.Bucket})
	if hasNone(err, "VersioningNotConfigured") {
		return bucket.VersionKeeping{}, nil
	}
	if err != nil {
		return bucket.VersionKeeping{}, b.fail("ask for versioning", "", err)
	}
	return bucket.VersionKeeping{Enabled: out.Status == types.BucketVersioningStatusEnabled, Markers: true}, nil
}

// ListVersions implements bucket.Versioned. S3 lists key by key and of each key the newest first:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html.
func (b *Bucket) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	return bucket.OldestFirst(func(yield func(bucket.Version, error) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: &b.opts.Bucket, EncodingType: types.EncodingTypeUrl}
		if opts.Prefix != "" {
			in.Prefix = &opts.Prefix
		}
		if b.opts.PageSize > 0 {
			in.MaxKeys = aws.Int32(int32(min(b.opts.PageSize, 1000)))
		}
		for {
			page, err := b.versionsPage(ctx, in)
			if err != nil {
				yield(bucket.Version{}, b.fail("list versions", "", err))
				return
			}
			for _, v := range page.versions {
				if opts.Ends(v.Key) {
					return
				}
				if opts.Holds(v.Key) && !yield(v, nil) {
					return
				}
			}
			if !page.more {
				return
			}
			in.KeyMarker, in.VersionIdMarker = page.nextKey, page.nextVersion
		}
	}, older)
}

// older compares two versions of a key. S3 lists them in order, and their times are whole seconds; versitygw does not, and its times of
// markers move, but its ids are ULIDs, which grow: https://github.com/ulid/spec.
func older(a, b bucket.Version) int {
	if ulid(a.Version) && ulid(b.Version) {
		return strings.Compare(a.Version, b.Version)
	}
	return a.Modified.Compare(b.Modified)
}

func ulid(id string) bool {
	return len(id) == 26 && id[0] <= '7' && !strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune("0123456789ABCDEFGHJKMNPQRSTVWXYZ", r) })
}

type versionsPage struct {
	versions             []bucket.Version
	more                 bool
	nextKey, nextVersion *string
}

// versionsPage asks for one page. The SDK takes versions and markers apart, and with that the order between them is lost; so
// the answer is read a second time here.
func (b *Bucket) versionsPage(ctx context.Context, in *s3.ListObjectVersionsInput) (versionsPage, error) {
	var raw []byte
	out, err := b.client.ListObjectVersions(ctx, in, func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, keepAnswer(&raw))
	})
	if err != nil {
		return versionsPage{}, err
	}
	page := versionsPage{more: aws.ToBool(out.IsTruncated), nextKey: out.NextKeyMarker, nextVersion: out.NextVersionIdMarker}
	if aws.ToString(out.Name) != b.opts.Bucket || out.IsTruncated == nil {
		return page, errors.New("the answer is no page of a listing of this bucket")
	}
	if page.more && (aws.ToString(page.nextKey) == "" || aws.ToString(page.nextKey) == aws.ToString(in.KeyMarker) && aws.ToString(page.nextVersion) == aws.ToString(in.VersionIdMarker)) {
		return page, errors.New("a page of the listing says that there is more, and not where")
	}
	encoded := out.EncodingType == types.EncodingTypeUrl
	if encoded && page.nextKey != nil {
		plain, err := url.QueryUnescape(*page.nextKey)
		if err != nil {
			return page, fmt.Errorf("decode key %q: %w", *page.nextKey, err)
		}
		page.nextKey = &plain
	}
	page.versions, err = versionsIn(raw, encoded)
	// Some servers list all markers of a page before all versions of it.
	slices.SortStableFunc(page.versions, func(x, y bucket.Version) int { return strings.Compare(x.Key, y.Key) })
	if err == nil && len(page.versions) != len(out.Versions)+len(out.DeleteMarkers) {
		err = fmt.Errorf("the answer has %d versions, and %d could be read", len(out.Versions)+len(out.DeleteMarkers), len(page.versions))
	}
	return page, err
}

// keepAnswer keeps the body of an answer as it came.
func keepAnswer(into *[]byte) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("keep the answer",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleDeserialize(ctx, in)
				answer, ok := out.RawResponse.(*smithyhttp.Response)
				if err != nil || !ok {
					return out, metadata, err
				}
				raw, err := io.ReadAll(answer.Body)
				if cerr := answer.Body.Close(); err == nil {
					err = cerr
				}
				*into, answer.Body = raw, io.NopCloser(bytes.NewReader(raw))
				return out, metadata, err
			}), middleware.After)
	}
}

// versionsIn reads versions and markers in the order in which they stand.
func versionsIn(raw []byte, encoded bool) ([]bucket.Version, error) {
	var found []bucket.Version
	dec := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the listing: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Version" && start.Name.Local != "DeleteMarker" {
			continue
		}
		var item struct {
			Key          string
			VersionID    string `xml:"VersionId"`
			IsLatest     bool
			LastModified time.Time
			ETag         string
			Size         int64
			StorageClass string
		}
		if err := dec.DecodeElement(&item, &start); err != nil {
			return nil, fmt.Errorf("read the listing: %w", err)
		}
		if encoded {
			if item.Key, err = url.QueryUnescape(item.Key); err != nil {
				return nil, fmt.Errorf("decode a key: %w", err)
			}
		}
		v := bucket.Version{Latest: item.IsLatest, Marker: start.Name.Local == "DeleteMarker"}
		v.Object = bucket.Object{
			Key: item.Key, Version: item.VersionID, Size: item.Size, ETag: unquote(item.ETag), Modified: item.LastModified,
			Archived: archivedListed(s3page.Class{Name: item.StorageClass}),
		}
		if v.Version == "" {
			v.Version = "null" // a server that keeps no versions names none
		}
		found = append(found, v)
	}
}

// HeadVersion implements bucket.Versioned.
func (b *Bucket) HeadVersion(ctx context.Context, key, id string) (bucket.Object, error) {
	if err := bucket.NeedVersion("head version", b.url, key, id); err != nil {
		return bucket.Object{}, err
	}
	obj, err := b.look(ctx, key, &id)
	obj.Version = id
	return obj, err
}

// OpenVersion implements bucket.Versioned.
func (b *Bucket) OpenVersion(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	if err := bucket.NeedVersion("open version", b.url, key, id); err != nil {
		return nil, bucket.Object{}, err
	}
	body, obj, err := b.open(ctx, key, &id, opts)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	if err := bucket.AnsweredVersion("open version", b.url, key, id, obj.Version); err != nil {
		return nil, bucket.Object{}, errors.Join(err, body.Close())
	}
	obj.Version = id
	return body, obj, nil
}

// Mark implements bucket.Versioned.
func (b *Bucket) Mark(ctx context.Context, key string) (bucket.Version, error) {
	out, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.opts.Bucket, Key: &key})
	if err == nil && (!aws.ToBool(out.DeleteMarker) || aws.ToString(out.VersionId) == "") {
		err = errors.New("no delete marker was made: the bucket keeps no versions")
	}
	if err != nil {
		return bucket.Version{}, b.fail("mark as deleted", key, err)
	}
	return bucket.Version{Object: bucket.Object{Key: key, Version: *out.VersionId}, Latest: true, Marker: true}, nil
}

// DeleteVersion implements bucket.Versioned. The SDK leaves out an id that is empty, and the request would be another one.
func (b *Bucket) DeleteVersion(ctx context.Context, key, id string) error {
	if err := bucket.NeedVersion("delete version", b.url, key, id); err != nil {
		return err
	}
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.opts.Bucket, Key: &key, VersionId: &id})
	if errors.Is(kind(err), bucket.ErrNotExist) || noSuchID(err) {
		return nil
	}
	return b.fail("delete version", key, err)
}

// noSuchID says that no version has the id: some servers call one that is gone invalid.
func noSuchID(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "NoSuchVersion" || api.ErrorCode() == "InvalidArgument" && strings.Contains(api.ErrorMessage(), "version id"))
}
