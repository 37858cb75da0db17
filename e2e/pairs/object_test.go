//go:build unix

package pairs

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"mime"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// object is what is put into a source.
type object struct {
	trap  string // what is hostile about it, for the tables; empty where nothing is
	key   string
	size  int
	body  []byte // nil is made of key and size
	props props
}

// props are an object's properties by name: headers as HTTP spells them, "website redirect", and with a prefix of their own
// metadata and tags.
type props map[string]string

const (
	redirect    = "website redirect"
	metaPrefix  = "metadata "
	tagPrefix   = "tag "
	expires     = "Expires"
	contentType = "Content-Type"
)

// contentHeaders are what all stores but a few keep.
func contentHeaders() []string {
	return []string{contentType, "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}
}

// part returns the properties with a prefix, without it.
func (p props) part(prefix string) map[string]string {
	var out map[string]string
	for name, value := range p {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}

// set leaves out what is not there, and the types that stores give to objects and folders that have none.
func (p props) set(name, value string) {
	if value == "" && !strings.HasPrefix(name, metaPrefix) && !strings.HasPrefix(name, tagPrefix) {
		return
	}
	if name == contentType && (value == "application/octet-stream" || value == "binary/octet-stream" || value == "application/x-directory") {
		return
	}
	if name == expires {
		when, err := http.ParseTime(value)
		if err == nil {
			value = when.UTC().Format(http.TimeFormat)
		}
	}
	p[name] = value
}

func (o object) content() []byte {
	if o.body != nil {
		return o.body
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", o.key, o.size) // never fails
	var seed [32]byte
	copy(seed[:], h.Sum(nil))
	out := make([]byte, o.size)
	_, _ = rand.NewChaCha8(seed).Read(out) // never fails
	return out
}

// found is what a client finds at a store.
type found struct {
	size  int
	sum   [sha256.Size]byte
	props props
}

func see(body []byte, p props) found { return found{len(body), sha256.Sum256(body), p} }

// client reads and writes a store without any of the project's drivers.
type client interface {
	makeBucket(ctx context.Context, bucket string) error
	put(ctx context.Context, bucket string, o object) error
	keys(ctx context.Context, bucket string) ([]string, error)
	get(ctx context.Context, bucket, key string) (found, error)
}

const atOnce = 8 // requests of a client

// load puts objects into a bucket.
func load(ctx context.Context, c client, bucket string, objects []object) error {
	if err := c.makeBucket(ctx, bucket); err != nil {
		return fmt.Errorf("make %s: %w", bucket, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	if _, ok := c.(viaOS); ok {
		group.SetLimit(1) // what lies below is to be there first
	}
	for _, o := range objects {
		group.Go(func() error {
			if err := c.put(ctx, bucket, o); err != nil {
				return fmt.Errorf("put %.100q: %w", o.key, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// readAll reads everything that a bucket shows.
func readAll(ctx context.Context, c client, bucket string) (map[string]found, error) {
	keys, err := c.keys(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", bucket, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	all := make([]found, len(keys))
	for i, key := range keys {
		group.Go(func() (err error) {
			if all[i], err = c.get(ctx, bucket, key); err != nil {
				return fmt.Errorf("get %.100q: %w", key, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make(map[string]found, len(keys))
	for i, key := range keys {
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s shows %.100q twice", bucket, key)
		}
		out[key] = all[i]
	}
	return out, nil
}

// word is a value as a header carries it: as it is, or as an encoded word of RFC 2047.
func word(value string) string {
	plain := value == strings.TrimSpace(value) && !strings.Contains(value, "=?") &&
		!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
	if plain {
		return value
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(value)) + "?="
}

func unword(value string) string {
	if !strings.HasPrefix(value, "=?") {
		return value
	}
	text, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return value
	}
	return text
}

// expiry is a time as the Expires header has it.
func expiry(text string) time.Time {
	when, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}
	}
	return when
}
