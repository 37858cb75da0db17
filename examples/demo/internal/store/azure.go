package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// azureStore keeps objects as block blobs of one container.
type azureStore struct {
	client    *azblob.Client
	container string
}

func openAzure(where location, c Config) (Store, error) {
	name := c.AccessKey
	if name == "" {
		name = where.account
	}
	key, err := azblob.NewSharedKeyCredential(name, c.SecretKey)
	if err != nil {
		// The error of the SDK may quote the key that it could not read.
		return nil, fmt.Errorf("open container %s: STORE_SECRET_KEY is not the base64 key of an account", where.bucket)
	}
	options := &azblob.ClientOptions{}
	options.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: time.Second}
	client, err := azblob.NewClientWithSharedKeyCredential(azureService(where), key, options)
	if err != nil {
		return nil, fmt.Errorf("open container %s: %w", where.bucket, err)
	}
	return &azureStore{client: client, container: where.bucket}, nil
}

// azureService is the address of the account. Azure names the account in the
// host; a server given by its endpoint has it as the first part of the path.
func azureService(where location) string {
	if where.endpoint == nil {
		return "https://" + where.account + ".blob.core.windows.net/"
	}
	service := strings.TrimRight(where.endpoint.String(), "/")
	if strings.Trim(where.endpoint.Path, "/") == "" {
		service += "/" + where.account
	}
	return service + "/"
}

// Put implements [Store].
func (s *azureStore) Put(ctx context.Context, key string, body []byte) error {
	kind := contentType
	_, err := s.client.UploadBuffer(ctx, s.container, key, body,
		&azblob.UploadBufferOptions{HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &kind}})
	if err != nil {
		return fmt.Errorf("put %s in container %s: %w", key, s.container, err)
	}
	return nil
}

// Get implements [Store].
func (s *azureStore) Get(ctx context.Context, key string) ([]byte, error) {
	answer, err := s.client.DownloadStream(ctx, s.container, key, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, fmt.Errorf("get %s from container %s: %w", key, s.container, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s from container %s: %w", key, s.container, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("get %s from container %s: %w", key, s.container, err)
	}
	return body, nil
}

// List implements [Store].
func (s *azureStore) List(ctx context.Context, prefix string, limit int) ([]string, error) {
	page := int32(min(limit, 5000))
	pager := s.client.NewListBlobsFlatPager(s.container, &container.ListBlobsFlatOptions{Prefix: &prefix, MaxResults: &page})
	var keys []string
	for pager.More() {
		answer, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %q in container %s: %w", prefix, s.container, err)
		}
		for _, item := range answer.Segment.BlobItems {
			if keys = append(keys, *item.Name); len(keys) >= limit {
				return keys, nil
			}
		}
	}
	return keys, nil
}
