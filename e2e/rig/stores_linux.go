package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// The ports of the two stores at the machine's address in the rig's subnet, and the account at the Azure one.
const (
	s3Port       = "7070"
	azurePort    = "10000"
	azureAccount = "devstoreaccount1"
	s3Region     = "us-east-1"
)

func (r *Rig) startS3(ctx context.Context) error {
	var err error
	r.S3, err = store.Start(ctx, store.VersityGW, store.Options{
		Address: net.JoinHostPort(r.Network.Host.String(), s3Port), Dir: r.path("stores", "s3"), Log: r.log, Record: r.record,
	})
	if err != nil {
		return err
	}
	return r.writeKeys(map[string]string{"s3.access": r.S3.AccessKey, "s3.secret": r.S3.SecretKey})
}

func (r *Rig) startAzure(ctx context.Context) error {
	var err error
	r.Azure, err = store.Start(ctx, store.Azurite, store.Options{
		Address: net.JoinHostPort(r.Network.Host.String(), azurePort), Dir: r.path("stores", "azure"), Log: r.log, Record: r.record,
		AccessKey: azureAccount,
	})
	if err != nil {
		return err
	}
	return r.writeKeys(map[string]string{"azure.key": r.Azure.SecretKey})
}

func (r *Rig) stopStores(ctx context.Context) error {
	var failed []error
	for _, s := range []*store.Server{r.S3, r.Azure} {
		if s != nil {
			failed = append(failed, s.Stop(ctx))
		}
	}
	return errors.Join(failed...)
}

// S3Client is a client of blue's store.
func (i *Info) S3Client() (*minio.Client, error) {
	endpoint, err := url.Parse(i.S3)
	if err != nil {
		return nil, fmt.Errorf("open blue's store: %w", err)
	}
	access, secret, err := i.S3Keys()
	if err != nil {
		return nil, err
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: s3Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("open blue's store: %w", err)
	}
	return client, nil
}

// MakeBucket makes a bucket in blue's store. One that is there already is an error.
func (i *Info) MakeBucket(ctx context.Context, name string) error {
	client, err := i.S3Client()
	if err != nil {
		return err
	}
	if err := client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s3Region}); err != nil {
		return fmt.Errorf("make bucket %s: %w", name, err)
	}
	return nil
}

// removeBucket removes a bucket with all that is in it from both stores. One that is not there is no error.
func (i *Info) removeBucket(ctx context.Context, name string) error {
	blue, err := i.S3Client()
	if err != nil {
		return err
	}
	there, err := blue.BucketExists(ctx, name)
	if err == nil && there {
		err = blue.RemoveBucketWithOptions(ctx, name, minio.RemoveBucketOptions{ForceDelete: true})
		if err != nil { // a server that does not know how to force it
			err = emptyBucket(ctx, blue, name)
		}
	}
	if err != nil {
		return fmt.Errorf("remove bucket %s: %w", name, err)
	}
	green, err := i.AzureClient()
	if err != nil {
		return err
	}
	if _, err := green.DeleteContainer(ctx, name, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerNotFound) {
		return fmt.Errorf("remove container %s: %w", name, err)
	}
	return nil
}

func emptyBucket(ctx context.Context, client *minio.Client, name string) error {
	for object := range client.ListObjects(ctx, name, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		if err := client.RemoveObject(ctx, name, object.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	return client.RemoveBucket(ctx, name)
}

// S3Keys are the keys of blue's store.
func (i *Info) S3Keys() (access, secret string, err error) {
	access, err = i.key("s3.access")
	if err != nil {
		return "", "", err
	}
	secret, err = i.key("s3.secret")
	return access, secret, err
}

// AzureClient is a client of green's store.
func (i *Info) AzureClient() (*azblob.Client, error) {
	secret, err := i.key("azure.key")
	if err != nil {
		return nil, err
	}
	cred, err := azblob.NewSharedKeyCredential(azureAccount, secret)
	if err != nil {
		return nil, fmt.Errorf("open green's store: %w", err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(i.Azure+"/"+azureAccount, cred, nil)
	if err != nil {
		return nil, fmt.Errorf("open green's store: %w", err)
	}
	return client, nil
}

// key reads one of the rig's secrets.
func (i *Info) key(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(i.Keys, name))
	if err != nil {
		return "", fmt.Errorf("read the rig's keys: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// writeKeys writes secrets that the migration file refers to.
func (r *Rig) writeKeys(keys map[string]string) error {
	if err := os.MkdirAll(r.path("keys"), 0o700); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	for name, text := range keys {
		if err := os.WriteFile(filepath.Join(r.path("keys"), name), []byte(text+"\n"), 0o600); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
	}
	return nil
}
