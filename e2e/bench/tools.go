package bench

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// The contenders.
const (
	ours   = "crossfade"
	rclone = "rclone"
	mc     = "mc"
)

// Tools are the paths of the contenders' programs.
type Tools map[string]string

// Peers builds the peers, the first time, and adds crossfade.
func Peers(ctx context.Context, in *install.Installer, crossfade string) (Tools, error) {
	tools := Tools{ours: crossfade}
	for name, program := range map[string]string{
		rclone: "github.com/rclone/rclone@v1.72.1",
		mc:     "github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9",
	} {
		path, err := in.GoProgram(ctx, program)
		if err != nil {
			return nil, err
		}
		tools[name] = path
	}
	return tools, nil
}

// A place is a bucket at a server that runs here.
type place struct {
	server *store.Server
	bucket string
}

// operation is what a contender is asked to do with two places.
type operation string

const (
	// copyAll makes the destination equal, with every copy's hash checked.
	copyAll operation = "copy"
	// compareSizes lists both sides and compares keys and sizes.
	compareSizes operation = "compare"
	// compareKeys compares keys that are in no store.
	compareKeys operation = "keys"
)

// command is how a contender is called. The settings of the peers are those that were fastest here.
func (t Tools) command(name string, op operation, from, to place, state string) (env, argv []string) {
	switch name {
	case rclone:
		env = append(rcloneRemote("FROM", from), rcloneRemote("TO", to)...)
		argv = []string{t[name], "copy", "from:" + from.bucket, "to:" + to.bucket, "-q", "--config", "", "--transfers", "32", "--checkers", "32", "--fast-list"}
		if op == compareSizes {
			argv = append(argv, "--size-only")
		}
	case mc:
		env = []string{mcHost("from", from), mcHost("to", to), "MC_CONFIG_DIR=" + state}
		argv = []string{t[name], "mirror", "--quiet", "--json", "from/" + from.bucket, "to/" + to.bucket}
	default:
		env = []string{"FROM_ID=" + from.server.AccessKey, "FROM_KEY=" + from.server.SecretKey, "TO_ID=" + to.server.AccessKey, "TO_KEY=" + to.server.SecretKey}
		verb := []string{"sync", "--yes"}
		if op == compareSizes {
			verb = []string{"verify", "--mode", "size"}
		}
		argv = append([]string{t[ours]}, verb...)
		argv = append(argv, "--state", state)
		argv = append(argv, end("from", from)...)
		argv = append(argv, end("to", to)...)
		argv = append(argv, address(from), address(to))
	}
	return env, argv
}

// address is a place as crossfade names it.
func address(p place) string {
	switch p.server.Kind {
	case store.Azurite:
		return "az://" + p.server.AccessKey + "/" + p.bucket
	case store.FakeGCS:
		return "gs://" + p.bucket
	case store.MinIO:
		return "minio+http://" + strings.TrimPrefix(p.server.Endpoint, "http://") + "/" + p.bucket
	case store.VersityGW:
	}
	return "s3://" + p.bucket
}

// end is the flags of one place.
func end(side string, p place) []string {
	flag := func(name, value string) string { return "--" + side + "-" + name + "=" + value }
	key := flag("secret-key", "env:"+strings.ToUpper(side)+"_KEY")
	switch p.server.Kind {
	case store.FakeGCS:
		return []string{flag("endpoint", p.server.Endpoint), flag("anonymous", "true")}
	case store.Azurite:
		return []string{flag("endpoint", p.server.Endpoint), key}
	case store.MinIO:
		return []string{flag("region", p.server.Region), flag("access-key", "env:"+strings.ToUpper(side)+"_ID"), key}
	case store.VersityGW:
	}
	return []string{flag("endpoint", p.server.Endpoint), flag("region", p.server.Region), flag("access-key", "env:"+strings.ToUpper(side)+"_ID"), key}
}

// rcloneRemote configures a remote by the environment.
func rcloneRemote(name string, p place) []string {
	values := map[string]string{"TYPE": "s3", "PROVIDER": "Minio", "ENDPOINT": p.server.Endpoint, "ACCESS_KEY_ID": p.server.AccessKey, "SECRET_ACCESS_KEY": p.server.SecretKey, "REGION": p.server.Region}
	switch p.server.Kind {
	case store.Azurite:
		values = map[string]string{"TYPE": "azureblob", "ACCOUNT": p.server.AccessKey, "KEY": p.server.SecretKey, "ENDPOINT": p.server.Endpoint + "/" + p.server.AccessKey}
	case store.FakeGCS:
		values = map[string]string{"TYPE": "google cloud storage", "ENDPOINT": p.server.Endpoint + "/storage/v1/", "ANONYMOUS": "true", "CHUNK_SIZE": "256Ki"}
	case store.MinIO, store.VersityGW:
	}
	var env []string
	for key, value := range values {
		env = append(env, fmt.Sprintf("RCLONE_CONFIG_%s_%s=%s", name, key, value))
	}
	return env
}

// mcHost is an alias of mc.
func mcHost(alias string, p place) string {
	u := url.URL{Scheme: "http", User: url.UserPassword(p.server.AccessKey, p.server.SecretKey), Host: strings.TrimPrefix(p.server.Endpoint, "http://")}
	return "MC_HOST_" + alias + "=" + u.String()
}
