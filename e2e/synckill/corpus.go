package synckill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
)

const (
	partSize = 8 << 20 // the drivers' own
	small    = 40
)

// thing is an object as it must be on both sides.
type thing struct {
	sha256      string
	size        int64
	parts       int // 0 where it is sent at once
	contentType string
	owner       string // of its metadata
	team        string // of its tags
}

// corpus fills the source with large objects, of several parts each, and small ones.
func corpus(ctx context.Context, url string, seed uint64) (map[string]thing, error) {
	things := map[string]thing{}
	sizes := map[string]int64{"large/one": 3*partSize + 12345, "large/two": 2*partSize + 1, "large/three": 3 * partSize, "medium": partSize}
	for i := range small {
		sizes[fmt.Sprintf("small/%02d", i)] = int64(i) * 700
	}
	for key, size := range sizes {
		content := make([]byte, size)
		_, _ = rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, key))).Read(content) // never fails
		sum := sha256.Sum256(content)
		t := thing{sha256: hex.EncodeToString(sum[:]), size: size, contentType: "text/x-" + strings.ReplaceAll(key, "/", "-"), owner: "of " + key, team: "t" + key}
		if size > partSize {
			t.parts = int((size + partSize - 1) / partSize)
		}
		things[key] = t
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, url+"/source/"+key, bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", t.contentType)
		r.Header.Set("X-Amz-Meta-Owner", t.owner)
		r.Header.Set("X-Amz-Tagging", "team="+t.team)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("fill the source: %s, %w", answer.Status, err)
		}
	}
	return things, nil
}

// compareBucket reads a bucket with a client of its own and says what is not as it must be.
func compareBucket(ctx context.Context, client *minio.Core, bucket string, want map[string]thing) error {
	have := map[string]bool{}
	for o := range client.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		have[o.Key] = true
	}
	if err := sameKeys(have, want); err != nil {
		return err
	}
	for key, t := range want {
		body, info, _, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		sum := sha256.New()
		_, err = io.Copy(sum, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		tags, err := client.GetObjectTagging(ctx, bucket, key, minio.GetObjectTaggingOptions{})
		if err != nil {
			return fmt.Errorf("read the tags of %s: %w", key, err)
		}
		got := thing{
			sha256: hex.EncodeToString(sum.Sum(nil)), size: info.Size, parts: t.parts, contentType: info.ContentType,
			owner: info.Metadata.Get("X-Amz-Meta-Owner"), team: tags.ToMap()["team"],
		}
		if got != t {
			return fmt.Errorf("%s is %+v and must be %+v", key, got, t)
		}
	}
	return nil
}

func sameKeys(have map[string]bool, want map[string]thing) error {
	for key := range maps.Keys(want) {
		if !have[key] {
			return fmt.Errorf("%s is missing", key)
		}
		delete(have, key)
	}
	for key := range have {
		return fmt.Errorf("%s is there and was never at the source", key)
	}
	return nil
}

// unfinished says which uploads are under way.
func unfinished(ctx context.Context, client *minio.Core, bucket string, want map[string]thing) error {
	for key := range want { // MinIO tells only those of one key
		page, err := client.ListMultipartUploads(ctx, bucket, key, "", "", "", 0)
		if err != nil {
			return fmt.Errorf("list unfinished uploads: %w", err)
		}
		if len(page.Uploads) > 0 {
			return fmt.Errorf("%d uploads of %s are unfinished", len(page.Uploads), key)
		}
	}
	return nil
}

// compareDirectory reads a directory as the file driver lays it out, with nothing of that driver.
func compareDirectory(dir string, want map[string]thing) error {
	props, err := sidecars(dir)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".crossfade" {
				return fs.SkipDir
			}
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		have[filepath.ToSlash(key)] = true
		return nil
	})
	if err == nil {
		err = sameKeys(have, want)
	}
	if err != nil {
		return err
	}
	for key, t := range want {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key)))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		got := props[key]
		got.sha256, got.size, got.parts = hex.EncodeToString(sum[:]), int64(len(content)), t.parts
		if got != t {
			return fmt.Errorf("%s is %+v and must be %+v", key, got, t)
		}
	}
	for _, of := range []string{"tmp", "uploads"} {
		if err := empty(filepath.Join(dir, ".crossfade", of)); err != nil {
			return err
		}
	}
	return nil
}

// sidecars are the properties that lie beside a directory's files. There must be one for each file.
func sidecars(dir string) (map[string]thing, error) {
	out := map[string]thing{}
	files, err := filepath.Glob(filepath.Join(dir, ".crossfade", "objects", "*", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var s struct {
			Key, ContentType string
			Metadata, Tags   map[string]string
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out[s.Key] = thing{contentType: s.ContentType, owner: s.Metadata["owner"], team: s.Tags["team"]}
	}
	return out, nil
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is left in %s", entries[0].Name(), dir)
	}
	return err
}
