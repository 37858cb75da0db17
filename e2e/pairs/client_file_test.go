//go:build unix

package pairs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// viaOS reads and writes a directory as docs/buckets.md describes it.
type viaOS struct{ root string }

// beside is a sidecar.
type beside struct {
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
}

func (c viaOS) makeBucket(_ context.Context, bucket string) error {
	return os.MkdirAll(filepath.Join(c.root, bucket), 0o755)
}

// put writes files in any order: a file that is in the way of a directory moves aside, one whose name a directory has lies aside.
func (c viaOS) put(_ context.Context, bucket string, o object) error {
	path := filepath.Join(c.root, bucket)
	names := escapeKey(o.key)
	for _, name := range names[:len(names)-1] {
		path = filepath.Join(path, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return fmt.Errorf("%s is a file: load what lies below first", path)
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	path = filepath.Join(path, names[len(names)-1])
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path += "%="
	}
	if err := os.WriteFile(path, o.content(), 0o644); err != nil || len(o.props) == 0 {
		return err
	}
	sidecar, err := c.sidecar(bucket, o.key, path)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(beside{
		Key: o.key, ContentType: o.props[contentType], ContentEncoding: o.props["Content-Encoding"], ContentLanguage: o.props["Content-Language"],
		ContentDisposition: o.props["Content-Disposition"], CacheControl: o.props["Cache-Control"], Expires: expiry(o.props[expires]),
		WebsiteRedirect: o.props[redirect], Metadata: o.props.part(metaPrefix), Tags: o.props.part(tagPrefix),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(sidecar), 0o755); err != nil {
		return err
	}
	return os.WriteFile(sidecar, raw, 0o600)
}

// sidecar is where an object's properties lie: the name holds the key and which version of the file they are of.
func (c viaOS) sidecar(bucket, key, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("this system's files have no numbers")
	}
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:20])
	return filepath.Join(c.root, bucket, ".crossfade", "objects", name[:2], fmt.Sprintf("%s.%x-%x-%x.json", name, info.ModTime().UnixNano(), info.Size(), stat.Ino)), nil
}

func (c viaOS) keys(_ context.Context, bucket string) ([]string, error) {
	var keys []string
	dir := filepath.Join(c.root, bucket)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel == ".crossfade" {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			keys = append(keys, unescapePath(rel))
		}
		return nil
	})
	return keys, err
}

func (c viaOS) get(_ context.Context, bucket, key string) (found, error) {
	names := escapeKey(key)
	path := filepath.Join(append([]string{c.root, bucket}, names...)...)
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		path += "%="
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return found{}, err
	}
	sidecar, err := c.sidecar(bucket, key, path)
	if err != nil {
		return found{}, err
	}
	p := props{}
	raw, err := os.ReadFile(sidecar)
	if errors.Is(err, fs.ErrNotExist) {
		return see(body, p), nil
	}
	var b beside
	if err := errors.Join(err, json.Unmarshal(raw, &b)); err != nil {
		return found{}, err
	}
	if b.Key != key {
		return found{}, fmt.Errorf("the sidecar is of %q", b.Key)
	}
	p.set(contentType, b.ContentType)
	p.set("Content-Encoding", b.ContentEncoding)
	p.set("Content-Language", b.ContentLanguage)
	p.set("Content-Disposition", b.ContentDisposition)
	p.set("Cache-Control", b.CacheControl)
	p.set(redirect, b.WebsiteRedirect)
	if !b.Expires.IsZero() {
		p.set(expires, b.Expires.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	}
	for key, value := range b.Metadata {
		p.set(metaPrefix+key, value)
	}
	for key, value := range b.Tags {
		p.set(tagPrefix+key, value)
	}
	return see(body, p), nil
}

// escapeKey are the names of directories and, last, of the file, that a key has.
func escapeKey(key string) []string {
	var names []string
	for i, segment := range strings.Split(key, "/") {
		switch {
		case segment == "":
			names = append(names, "%_")
			continue
		case segment == "." || segment == "..":
			names = append(names, strings.ReplaceAll(segment, ".", "%2E"))
			continue
		case i == 0 && strings.EqualFold(segment, ".crossfade"):
			names = append(names, "%2E"+segment[1:])
			continue
		}
		var name strings.Builder
		for at, r := range segment {
			unit := string(r)
			rest := segment[at:]
			if r < ' ' || r == 0x7f || r == '%' && (rest == "%_" || rest == "%=" || rest == "%+" || isEscape(rest)) {
				unit = fmt.Sprintf("%%%02X", r)
			}
			if name.Len()+len(unit) > 250 {
				names = append(names, name.String()+"%+")
				name.Reset()
			}
			name.WriteString(unit)
		}
		names = append(names, name.String())
	}
	return names
}

// isEscape says that a text begins with a percent sign and the two digits of a byte that some system wants escaped.
func isEscape(text string) bool {
	if len(text) < 3 || strings.ToUpper(text[1:3]) != text[1:3] {
		return false
	}
	raw, err := hex.DecodeString(text[1:3])
	return err == nil && text[0] == '%' && (raw[0] <= ' ' || raw[0] == 0x7f || slices.Contains([]byte(`%.\:*?"<>|`), raw[0]))
}

func unescapePath(rel string) string {
	names := strings.Split(rel, "/")
	var key strings.Builder
	for i, name := range names {
		goesOn := false
		if i == len(names)-1 {
			name = strings.TrimSuffix(name, "%=")
		} else {
			name, goesOn = strings.CutSuffix(name, "%+")
		}
		for name != "" && name != "%_" {
			size := 1
			if isEscape(name) {
				raw, _ := hex.DecodeString(name[1:3]) // isEscape has tried it
				key.Write(raw)
				size = 3
			} else {
				key.WriteByte(name[0])
			}
			name = name[size:]
		}
		if i < len(names)-1 && !goesOn {
			key.WriteByte('/')
		}
	}
	return key.String()
}
