package migration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// What a clone carries along, or may delete, cannot keep the backup or the journal.
func TestArchiveAndStateStayOutOfWhatIsCloned(t *testing.T) {
	const text = `
version: 1
name: move
reason: hosts
blue: {context: blue}
green: {context: green}
archive: {url: "%s"%s}
state: {%s}
stores:
  disk: {provider: file}
  far: {provider: s3, endpoint: "https://s3.test:9000", region: x}
  same: {provider: minio, endpoint: "https://S3.test:9000/", region: x, accessKey: {env: OTHER}}
  other: {provider: s3, endpoint: "https://other.test", region: x}
  blob: {provider: azure, account: a}
buckets:
  - {name: local, from: {store: disk, bucket: blue-data}, to: {store: disk, bucket: ./green-data, prefix: sub/}}
  - {name: remote, from: {store: far, bucket: src, prefix: app/}, to: {store: far, bucket: dst}}
  - {name: blobs, from: {store: far, bucket: third}, to: {store: blob, bucket: box}}
applications:
  - {name: web, namespace: shop, wave: 1, writes: none, buckets: [local]}
`
	for _, c := range []struct {
		archive, store, state string
		want                  string // the field that is wrong, or none
	}{
		{"archive", "", "directory: state", ""},
		{"blue-data/archive", "", "directory: state", "archive.url"},
		{"./blue-data/../blue-data/a.tar.zst", "", "directory: state", "archive.url"},
		{"blue-data", "", "directory: state", "archive.url"},
		{"blue-database", "", "directory: state", ""},
		{"green-data/sub/archive", "", "directory: state", "archive.url"},
		{"green-data/other", "", "directory: state", ""},
		{"file://./blue-data/x", "", "directory: state", "archive.url"},
		{"archive", "", "directory: blue-data/state", "state.directory"},
		{"s3://src/app/archive", "far", "directory: state", "archive.url"},
		{"s3://src/app", "far", "directory: state", "archive.url"},
		{"s3://src/archive", "far", "directory: state", ""},
		{"s3://dst/archive", "far", "directory: state", "archive.url"},
		{"s3://dst", "far", "directory: state", "archive.url"},
		{"s3://dst/archive", "other", "directory: state", ""},
		// The same server under another name, with other keys.
		{"minio://s3.test:9000/dst/archive", "same", "directory: state", "archive.url"},
		{"az://a/box/archive", "blob", "directory: state", "archive.url"},
		{"az://a/another/archive", "blob", "directory: state", ""},
		{"archive", "", "directory: state, url: \"s3://dst/state\", store: far", "state.url"},
		{"archive", "", "directory: state, url: \"s3://src/app/state\", store: same", "state.url"},
		{"archive", "", "directory: state, url: \"s3://elsewhere/state\", store: far", ""},
		{"archive", "", "directory: state, url: green-data/sub/state", "state.url"},
	} {
		store := ""
		if c.store != "" {
			store = ", store: " + c.store
		}
		_, err := migration.Parse("f.yaml", fmt.Appendf(nil, text, c.archive, store, c.state))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("archive %s, state {%s}: %v", c.archive, c.state, err)
		case c.want != "" && (err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), ": "+c.want+": the ") || !strings.Contains(err.Error(), "which is cloned")):
			t.Errorf("archive %s, state {%s}: %v, want %s to be refused", c.archive, c.state, err, c.want)
		}
	}
}

func TestABucketIsNotClonedIntoItself(t *testing.T) {
	for to, refused := range map[string]bool{
		"{store: disk, bucket: data}":             true,
		"{store: disk, bucket: data/copy}":        true,
		"{store: disk, bucket: .}":                true,
		"{store: disk, bucket: data-copy}":        false,
		"{store: far, bucket: data}":              false,
		"{store: disk, bucket: data, prefix: a/}": true,
	} {
		text := strings.Replace(valid, "applications:", "stores: {disk: {provider: file}, far: {provider: s3, region: x}}\nbuckets:\n  - {name: d, from: {store: disk, bucket: data}, to: "+to+"}\napplications:", 1)
		_, err := migration.Parse("f.yaml", []byte(text))
		if (err != nil) != refused && !strings.Contains(fmt.Sprint(err), "state") && !strings.Contains(fmt.Sprint(err), "archive") {
			t.Errorf("to %s: %v, want refused: %v", to, err, refused)
		}
	}
}
