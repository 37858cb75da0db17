package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/lease"
)

func scriptBucket(ts *testscript.TestScript, name string) *s3.Bucket {
	b, err := s3.Open(context.Background(), s3.Options{
		Bucket: name, Endpoint: ts.Getenv("S3"), Region: "us-east-1",
		Credentials: s3.Credentials{AccessKey: ts.Getenv("S3_ACCESS"), SecretKey: ts.Getenv("S3_SECRET")},
	})
	ts.Check(err)
	return b
}

// cmdLapse lets the lease in a bucket run out, as if its holder had been silent for long enough: lapse BUCKET KEY.
func cmdLapse(ts *testscript.TestScript, _ bool, args []string) {
	ctx, b := context.Background(), scriptBucket(ts, args[0])
	body, obj, err := b.Open(ctx, args[1], bucket.ReadOptions{})
	ts.Check(err)
	raw, err := io.ReadAll(body)
	ts.Check(errors.Join(err, body.Close()))
	var h lease.Holder
	ts.Check(json.Unmarshal(raw, &h))
	h.Until = time.Now().Add(-time.Hour)
	raw, err = json.Marshal(h)
	ts.Check(err)
	_, err = b.Put(ctx, args[1], bytes.NewReader(raw), int64(len(raw)), bucket.PutOptions{IfMatch: obj})
	ts.Check(err)
}

// cmdHolds demands how many objects of a bucket begin with a prefix: holds BUCKET PREFIX N, or holds BUCKET PREFIX some.
func cmdHolds(ts *testscript.TestScript, _ bool, args []string) {
	var keys []string
	for obj, err := range scriptBucket(ts, args[0]).List(context.Background(), bucket.ListOptions{Prefix: args[1]}) {
		ts.Check(err)
		keys = append(keys, obj.Key)
	}
	n := len(keys)
	if args[2] == "some" && n > 0 || args[2] == strconv.Itoa(n) {
		return
	}
	ts.Fatalf("%s holds %d objects %s…, want %s: %s", args[0], n, args[1], args[2], keys)
}

// cmdJournal damages the journal of the script as a person could: journal cut N removes its last N records, journal forge
// FORMAT KIND adds a record with a right hash.
func cmdJournal(ts *testscript.TestScript, _ bool, args []string) {
	raw, err := os.ReadFile(journalOf(ts))
	ts.Check(err)
	lines := strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
	switch args[0] {
	case "cut":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		ts.Check(os.WriteFile(journalOf(ts), []byte(strings.Join(lines[:len(lines)-n], "")), 0o600))
	case "forge":
		var last struct {
			Hash string `json:"hash"`
		}
		ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &last))
		record := `{"format":` + args[1] + `,"seq":` + strconv.Itoa(len(lines)+1) + `,"time":"2026-01-01T00:00:00Z","kind":"` + args[2] + `","critical":true}`
		sum := sha256.Sum256([]byte(last.Hash + record))
		line := `{"hash":"` + hex.EncodeToString(sum[:]) + `","record":` + record + "}\n"
		ts.Check(os.WriteFile(journalOf(ts), append(raw, line...), 0o600))
	default:
		ts.Fatalf("usage: journal cut N, journal forge FORMAT KIND")
	}
}
