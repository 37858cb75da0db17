package file

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// sidecar is what lies beside an object. Its form is read by later versions too.
type sidecar struct {
	Key                string            `json:"key"`
	ContentType        string            `json:"contentType,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	Expires            time.Time         `json:"expires,omitzero"`
	WebsiteRedirect    string            `json:"websiteRedirect,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
	Tags               map[string]string `json:"tags,omitempty"`
	StorageClass       string            `json:"storageClass,omitempty"`
}

func sidecarPath(key, etag string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:20])
	return path.Join(privateDir, "objects", name[:2], name+"."+etag+".json")
}

// newSidecar returns nil where there is nothing to keep.
func newSidecar(key string, p bucket.Properties, always bool) (*sidecar, error) {
	s := &sidecar{
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, ContentLanguage: p.ContentLanguage,
		ContentDisposition: p.ContentDisposition, CacheControl: p.CacheControl, Expires: p.Expires,
		WebsiteRedirect: p.WebsiteRedirect, Metadata: p.Metadata, Tags: p.Tags, StorageClass: p.StorageClass,
	}
	if !always && reflect.ValueOf(*s).IsZero() {
		return nil, nil
	}
	s.Key = key
	// JSON replaces what is not UTF-8 in silence.
	texts := []string{p.ContentType, p.ContentEncoding, p.ContentLanguage, p.ContentDisposition, p.CacheControl, p.WebsiteRedirect, p.StorageClass}
	for _, m := range []map[string]string{p.Metadata, p.Tags} {
		for k, v := range m {
			texts = append(texts, k, v)
		}
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("property %q is not UTF-8: %w", text, bucket.ErrUnsupported)
		}
	}
	return s, nil
}

func (s *sidecar) properties() *bucket.Properties {
	return &bucket.Properties{
		ContentType: s.ContentType, ContentEncoding: s.ContentEncoding, ContentLanguage: s.ContentLanguage,
		ContentDisposition: s.ContentDisposition, CacheControl: s.CacheControl, Expires: s.Expires,
		WebsiteRedirect: s.WebsiteRedirect, Metadata: s.Metadata, Tags: s.Tags, StorageClass: s.StorageClass,
	}
}

// readSidecar returns nil where an object has none.
func readSidecar(root *os.Root, key, etag string) (*sidecar, error) {
	content, err := root.ReadFile(sidecarPath(key, etag))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	s := new(sidecar)
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("read sidecar %s: %w", sidecarPath(key, etag), err)
	}
	if s.Key != key {
		return nil, fmt.Errorf("read sidecar %s: it is of the key %q", sidecarPath(key, etag), s.Key)
	}
	return s, nil
}

// write makes the sidecar appear whole. It is as closed as its object.
func (s *sidecar) write(root *os.Root, temp, etag string, perm fs.FileMode) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	name := sidecarPath(s.Key, etag)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	if err := root.WriteFile(temp, append(content, '\n'), perm); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	if err := root.Rename(temp, name); err != nil {
		return fmt.Errorf("write sidecar: %w", err)
	}
	return nil
}
