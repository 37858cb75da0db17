package crossfade

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/migration"
)

func configMap(value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "n"},
		"data": map[string]any{"k": value},
	}}
}

// Every place that archive.url can name holds two revisions and gives the newest back.
func TestArchivesInEveryPlace(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := memory.Open(context.Background(), memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"archive", "archive.tar.zst", "s3://backups", "s3://backups/some/folder", "s3://backups/one/file.tar.zst"} {
		t.Run(url, func(t *testing.T) {
			ctx := context.Background()
			m := newMigration(&File{
				File: migration.File{
					Name:    "m",
					Archive: migration.Archive{URL: url, Store: "s", Identity: &migration.SecretRef{Env: "KEY"}},
					Stores:  map[string]migration.Store{"s": {Provider: "memory"}},
				},
				Dir: t.TempDir(),
			}, Options{
				Getenv:     func(string) string { return identity.String() },
				OpenBucket: func(context.Context, Store) (bucket.Bucket, error) { return shared, nil },
			})
			for _, value := range []string{"first", "second"} {
				store, err := m.archiveStore(ctx)
				if err != nil {
					t.Fatal(err)
				}
				opts, err := m.archiveOptions(ctx)
				if err != nil {
					t.Fatal(err)
				}
				w, err := archive.OpenWriter(ctx, store, opts)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Put(ctx, archive.Entry{App: "a"}, configMap(value)); err != nil {
					t.Fatal(err)
				}
				if _, err := w.PutPayload(ctx, "a", strings.NewReader("payload "+value)); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Commit(ctx, archive.Index{Migration: "m"}); err != nil {
					t.Fatal(err)
				}
			}
			reader, err := m.openArchive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if report, err := reader.Verify(ctx); err != nil || report.Revision != 2 || report.Opened == 0 {
				t.Fatalf("verified %+v, %v", report, err)
			}
			obj, err := reader.Object(ctx, reader.Index().Entries[0])
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := unstructured.NestedString(obj.Object, "data", "k"); got != "second" {
				t.Errorf("got %q, want the newest revision", got)
			}
		})
	}
}

func TestPayloadIsStreamedIntoTheImportingHook(t *testing.T) {
	ctx := context.Background()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	opts := archive.Options{Identities: []string{identity.String()}, Recipients: []string{identity.Recipient().String()}}
	store := &archive.Dir{Path: t.TempDir()}
	w, err := archive.OpenWriter(ctx, store, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("row\n"), 3<<20) // 12 MiB: more than one piece
	if _, err := w.PutPayload(ctx, "db", bytes.NewReader(payload)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx, archive.Index{Migration: "m"}); err != nil {
		t.Fatal(err)
	}
	reader, err := archive.Open(ctx, store, opts)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	runner := hook.Runner{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	app := migration.Application{Name: "db", Payload: &migration.Payload{Import: migration.Hook{Command: []string{"dd", "of=imported", "status=none"}}}}
	n, err := importPayload(ctx, reader, runner, app)
	if err != nil || n != int64(len(payload)) {
		t.Fatalf("imported %d bytes, %v", n, err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "imported"))
	if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("the payload changed on its way (%d bytes), %v", len(got), err)
	}

	app.Payload.Import.Command = []string{"false"}
	if _, err := importPayload(ctx, reader, runner, app); err == nil {
		t.Error("an importing hook that fails went unseen")
	}
	app.Name, app.Payload.Import.Command = "none", []string{"dd", "of=/dev/null", "status=none"}
	if _, err := importPayload(ctx, reader, runner, app); err == nil || errors.Is(err, archive.ErrNotExist) {
		t.Errorf("a payload that the archive does not hold: %v", err)
	}
}
