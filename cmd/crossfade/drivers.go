package main

import (
	"context"
	"fmt"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
)

// openBucket opens a bucket with the driver of its provider.
func openBucket(ctx context.Context, s crossfade.Store) (bucket.Bucket, error) {
	b, err := openWhole(ctx, s)
	if err != nil {
		return nil, err
	}
	return bucket.Sub(b, s.Prefix), nil
}

func openWhole(ctx context.Context, s crossfade.Store) (bucket.Bucket, error) {
	switch s.Provider {
	case "s3":
		return s3.Open(ctx, s3.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Region: s.Region,
			Credentials: s3.Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "minio":
		return minio.Open(ctx, minio.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Region: s.Region,
			Credentials: minio.Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "gcs":
		return gcs.Open(ctx, gcs.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Project: s.Project,
			Credentials: gcs.Credentials{ServiceAccount: []byte(s.SecretKey), Anonymous: s.Anonymous},
		})
	case "azure":
		return azure.Open(ctx, azure.Options{
			Silence: s.Silence,
			Account: s.Account, Container: s.Bucket, Endpoint: s.Endpoint,
			Credentials: azure.Credentials{AccountKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "file":
		return file.Open(ctx, file.Options{Dir: s.Bucket})
	}
	return nil, fmt.Errorf("there is no driver for provider %q", s.Provider)
}

// openZone opens a zone with the one driver that there is.
func openZone(_ context.Context, z crossfade.ZoneConfig) (zone.Zone, error) {
	return rfc2136.New(rfc2136.Options{
		Apex: z.Name, Server: z.Server, Key: rfc2136.Key{Name: z.Key, Algorithm: z.Algorithm, Secret: z.Secret}, Log: z.Log,
	})
}
