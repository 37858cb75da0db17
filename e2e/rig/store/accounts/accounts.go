// Package accounts makes accounts at real stores that lack a right: at MinIO temporary ones under a policy of their own (AssumeRole), at
// versitygw users whom the policies of buckets let in.
package accounts

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// Keys are what an account signs with.
type Keys struct{ AccessKey, SecretKey, SessionToken string }

// Denial is what an account may not do: an action of S3's policies, on a bucket or, with a key, on an object; "*" is all of them.
type Denial struct{ Action, Bucket, Key string }

// Iam is the environment with which versitygw keeps users, in a directory that exists.
func Iam(dir string) []string { return []string{"VGW_IAM_DIR=" + dir} }

// Without makes an account that may do everything in the buckets but what is denied. At versitygw it makes no buckets, and what is
// said of a bucket replaces what was said before. A bucket that is missing stays without a policy.
func Without(ctx context.Context, server *store.Server, buckets []string, denied ...Denial) (Keys, error) {
	keys, err := Keys{}, fmt.Errorf("%s has no accounts", server.Kind)
	switch server.Kind {
	case store.MinIO:
		keys, err = assumed(ctx, server, denied)
	case store.VersityGW:
		keys, err = user(ctx, server, buckets, denied)
	case store.Azurite, store.FakeGCS:
	}
	if err != nil {
		return keys, fmt.Errorf("make an account at %s: %w", server.Endpoint, err)
	}
	return keys, nil
}

type statement struct {
	Effect    string
	Principal map[string][]string `json:",omitempty"`
	Action    []string
	Resource  []string
}

func policy(statements []statement) (string, error) {
	raw, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	return string(raw), err
}

func (d Denial) resource() string {
	name := "arn:aws:s3:::" + d.Bucket
	if d.Key != "" {
		name += "/" + d.Key
	}
	return name
}

func assumed(ctx context.Context, server *store.Server, denied []Denial) (Keys, error) {
	all := []statement{{Effect: "Allow", Action: []string{"s3:*"}, Resource: []string{"arn:aws:s3:::*"}}}
	for _, d := range denied {
		all = append(all, statement{Effect: "Deny", Action: []string{d.Action}, Resource: []string{d.resource()}})
	}
	text, err := policy(all)
	if err != nil {
		return Keys{}, err
	}
	role, err := credentials.NewSTSAssumeRole(server.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, Policy: text, Location: server.Region, DurationSeconds: 3600,
	})
	if err != nil {
		return Keys{}, err
	}
	value, err := role.GetWithContext(&credentials.CredContext{Client: &http.Client{Timeout: time.Minute}, Context: ctx})
	return Keys{AccessKey: value.AccessKeyID, SecretKey: value.SecretAccessKey, SessionToken: value.SessionToken}, err
}

func user(ctx context.Context, server *store.Server, buckets []string, denied []Denial) (Keys, error) {
	keys := Keys{AccessKey: "user-" + strings.ToLower(rand.Text()), SecretKey: rand.Text()}
	if err := create(ctx, server, keys); err != nil {
		return keys, err
	}
	root, err := minio.New(strings.TrimPrefix(server.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Region: server.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return keys, err
	}
	for _, name := range buckets {
		is, err := root.BucketExists(ctx, name)
		if err != nil {
			return keys, err
		}
		if !is {
			continue
		}
		who := map[string][]string{"AWS": {keys.AccessKey}}
		own := []statement{{Effect: "Allow", Principal: who, Action: []string{"s3:*"}, Resource: []string{"arn:aws:s3:::" + name, "arn:aws:s3:::" + name + "/*"}}}
		for _, d := range denied {
			if d.Bucket == name {
				own = append(own, statement{Effect: "Deny", Principal: who, Action: []string{d.Action}, Resource: []string{d.resource()}})
			}
		}
		text, err := policy(own)
		if err != nil {
			return keys, err
		}
		if err := root.SetBucketPolicy(ctx, name, text); err != nil {
			return keys, fmt.Errorf("write the policy of %s: %w", name, err)
		}
	}
	return keys, nil
}

// create makes a user by versitygw's interface for its administrator.
func create(ctx context.Context, server *store.Server, keys Keys) (err error) {
	raw, err := xml.Marshal(struct {
		XMLName              xml.Name `xml:"Account"`
		Access, Secret, Role string
	}{Access: keys.AccessKey, Secret: keys.SecretKey, Role: "user"})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, server.Endpoint+"/create-user", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	request.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	answer, err := (&http.Client{Timeout: time.Minute}).Do(signer.SignV4(*request, server.AccessKey, server.SecretKey, "", server.Region))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // the status says enough
		return fmt.Errorf("create a user: %s: %s", answer.Status, text)
	}
	return nil
}
