package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Store keeps objects in one bucket of a server that speaks S3.
type s3Store struct {
	client *minio.Client
	bucket string
}

func openS3(where location, c Config) (Store, error) {
	host, secure := "s3.amazonaws.com", true
	if where.endpoint != nil {
		host, secure = where.endpoint.Host, where.endpoint.Scheme == "https"
	}
	region := where.region
	if region == "" {
		region = "us-east-1" // known, so that no request asks the server for it
	}
	client, err := minio.New(host, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure:       secure,
		Region:       region,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   3,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s at %s: %w", where.bucket, host, err)
	}
	return &s3Store{client: client, bucket: where.bucket}, nil
}

// Put implements [Store].
func (s *s3Store) Put(ctx context.Context, key string, body []byte) error {
	_, err := s.client.PutObject(ctx, s.bucket, key, bytes.NewReader(body), int64(len(body)),
		minio.PutObjectOptions{ContentType: contentType, DisableMultipart: true})
	if err != nil {
		return fmt.Errorf("put %s in bucket %s: %w", key, s.bucket, err)
	}
	return nil
}

// Get implements [Store].
func (s *s3Store) Get(ctx context.Context, key string) ([]byte, error) {
	object, err := s.client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.readError(key, err)
	}
	body, err := io.ReadAll(object)
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, s.readError(key, err)
	}
	return body, nil
}

func (s *s3Store) readError(key string, err error) error {
	var answer minio.ErrorResponse
	// A missing bucket is a wrong configuration, not a missing object.
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket {
		return fmt.Errorf("get %s from bucket %s: %w", key, s.bucket, ErrNotFound)
	}
	return fmt.Errorf("get %s from bucket %s: %w", key, s.bucket, err)
}

// List implements [Store].
func (s *s3Store) List(ctx context.Context, prefix string, limit int) ([]string, error) {
	// The lister's goroutine ends when its context does: reading stops at limit.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var keys []string
	for object := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: min(limit, 1000)}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list %q in bucket %s: %w", prefix, s.bucket, object.Err)
		}
		if keys = append(keys, object.Key); len(keys) >= limit {
			break
		}
	}
	return keys, nil
}
