package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/cors"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/tags"
	"github.com/rogpeppe/go-internal/testscript"
)

// other is another client of the world's S3 than the driver.
func other(ts *testscript.TestScript) *minio.Client {
	client, err := minio.New(strings.TrimPrefix(ts.Getenv("S3"), "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(ts.Getenv("S3_ACCESS"), ts.Getenv("S3_SECRET"), ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	ts.Check(err)
	return client
}

// cmdConfigureS3 gives a bucket of the world's S3 tags and a CORS rule: configure-s3 BUCKET TAG=VALUE ORIGIN.
func cmdConfigureS3(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: configure-s3 BUCKET TAG=VALUE ORIGIN")
	}
	client, ctx := other(ts), context.Background()
	key, value, _ := strings.Cut(args[1], "=")
	tagged, err := tags.NewTags(map[string]string{key: value}, false)
	ts.Check(err)
	ts.Check(client.SetBucketTagging(ctx, args[0], tagged))
	ts.Check(client.SetBucketCors(ctx, args[0], &cors.Config{CORSRules: []cors.Rule{{AllowedMethod: []string{"GET"}, AllowedOrigin: []string{args[2]}}}}))
}

// cmdS3Configured writes what a bucket of the world's S3 has of tags and CORS rules to standard output: s3-configured BUCKET.
func cmdS3Configured(ts *testscript.TestScript, _ bool, args []string) {
	client, ctx := other(ts), context.Background()
	tagged, err := client.GetBucketTagging(ctx, args[0])
	if err != nil {
		_, _ = fmt.Fprintf(ts.Stdout(), "tags: %s\n", minio.ToErrorResponse(err).Code)
	} else {
		raw, err := json.Marshal(tagged.ToMap())
		ts.Check(err)
		_, _ = fmt.Fprintf(ts.Stdout(), "tags: %s\n", raw)
	}
	rules, err := client.GetBucketCors(ctx, args[0])
	ts.Check(err)
	if rules == nil {
		_, _ = fmt.Fprintln(ts.Stdout(), "cors: none")
		return
	}
	for _, rule := range rules.CORSRules {
		_, _ = fmt.Fprintf(ts.Stdout(), "cors: %v from %v\n", rule.AllowedMethod, rule.AllowedOrigin)
	}
}
