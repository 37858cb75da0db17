package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/e2e/rig/store/accounts"
)

const keyStore valueKey = "store"

// TestAccountScripts runs a sync of two places of a real store with an account that lacks one right: at MinIO under a policy of its
// own, at versitygw as a user whom the buckets' policies let in. Each script runs at both.
func TestAccountScripts(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
	for _, kind := range []store.Kind{store.MinIO, store.VersityGW} {
		t.Run(string(kind), func(t *testing.T) {
			server := accountServer(t, kind)
			testscript.Run(t, testscript.Params{
				Dir: filepath.Join("testdata", "accounts"), RequireUniqueNames: true,
				Setup: func(env *testscript.Env) error {
					env.Values[keyStore] = server
					env.Setenv("ROOT_ID", server.AccessKey)
					env.Setenv("ROOT_KEY", server.SecretKey)
					env.Setenv("AWS_REGION", server.Region)
					env.Setenv("HOME", env.WorkDir)
					env.Setenv("LANG", "C.UTF-8")
					return nil
				},
				Condition: func(cond string) (bool, error) { return cond == string(kind), nil },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": cmdExitsAs, "have": cmdHave, "lacking": cmdLacking,
				},
			})
		})
	}
}

func accountServer(t *testing.T, kind store.Kind) *store.Server {
	t.Helper()
	dir := t.TempDir()
	iam := filepath.Join(dir, "iam")
	if err := os.Mkdir(iam, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := store.Start(t.Context(), kind, store.Options{Dir: filepath.Join(dir, "store"), Env: accounts.Iam(iam)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return server
}

// cmdExitsAs is cmdExits, where @from, @to and @both say which ends are asked as root; the others are asked as the account that
// lacking has made, whom the environment names.
func cmdExitsAs(ts *testscript.TestScript, neg bool, args []string) {
	server := ts.Value(keyStore).(*store.Server)
	var filled []string
	for _, arg := range args {
		side, ok := strings.CutPrefix(arg, "@")
		if !ok {
			filled = append(filled, arg)
			continue
		}
		for _, end := range []string{"from", "to"} {
			filled = append(filled, "--"+end+"-endpoint", server.Endpoint)
			if side == end || side == "both" {
				filled = append(filled, "--"+end+"-access-key", "env:ROOT_ID", "--"+end+"-secret-key", "env:ROOT_KEY")
			}
		}
	}
	cmdExits(ts, neg, filled)
}

// cmdHave makes a bucket hold objects and no others: have data a b=other.
func cmdHave(ts *testscript.TestScript, _ bool, args []string) {
	server, ctx := ts.Value(keyStore).(*store.Server), context.Background()
	b, err := s3.Open(ctx, s3.Options{
		Bucket: args[0], Endpoint: server.Endpoint, Region: server.Region, Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
	})
	ts.Check(err)
	ts.Check(b.Make(ctx))
	for obj, err := range b.List(ctx, bucket.ListOptions{}) {
		ts.Check(err)
		ts.Check(b.Delete(ctx, obj))
	}
	for _, arg := range args[1:] {
		key, content, ok := strings.Cut(arg, "=")
		if !ok {
			content = key
		}
		_, err := b.Put(ctx, key, strings.NewReader(content), int64(len(content)), bucket.PutOptions{Properties: bucket.Properties{Tags: map[string]string{"kind": "test"}}})
		ts.Check(err)
	}
}

// cmdLacking makes an account that may do all but one thing, and has the environment name it: lacking s3:GetObject data b.
func cmdLacking(ts *testscript.TestScript, _ bool, args []string) {
	denied := accounts.Denial{Action: args[0], Bucket: args[1]}
	if len(args) > 2 {
		denied.Key = args[2]
	}
	keys, err := accounts.Without(context.Background(), ts.Value(keyStore).(*store.Server), []string{args[1]}, denied)
	ts.Check(err)
	ts.Setenv("AWS_ACCESS_KEY_ID", keys.AccessKey)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", keys.SecretKey)
	ts.Setenv("AWS_SESSION_TOKEN", keys.SessionToken)
}
