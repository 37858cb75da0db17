package s3fake

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Synthetic is a bucket of N objects that exist only in listings and heads.
type Synthetic struct {
	N int
	// Key of the i-th object; keys ascend in the order of their bytes.
	Key func(i int) string
	// Size and ETag of the i-th object. The same i gives the same.
	Size func(i int) int64
	ETag func(i int) string
}

// Fill makes a bucket of synthetic objects.
func (s *Server) Fill(bucket string, synthetic Synthetic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket] = &contents{synthetic: &synthetic}
}

// at is the index of the first key that is not less than key.
func (f *Synthetic) at(key string) int {
	return sort.Search(f.N, func(i int) bool { return f.Key(i) >= key })
}

func (f *Synthetic) object(key string) *object {
	if i := f.at(key); i < f.N && f.Key(i) == key {
		return &object{body: make([]byte, f.Size(i)), etag: f.ETag(i), modified: syntheticTime(), header: http.Header{}}
	}
	return nil
}

func syntheticTime() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// entry is one object of a listing.
type entry struct {
	key, etag      string
	size           int64
	modified       time.Time
	class, restore string
}

// page returns up to limit entries after a key (of the order), under a prefix, and whether there are more.
func (c *contents) page(prefix, after string, limit int, order Order) ([]entry, bool) {
	if c.synthetic != nil {
		return c.synthetic.page(prefix, after, limit)
	}
	keys := c.sorted()
	if order != InOrder {
		keys = slices.Clone(keys)
		less := lessIn(order)
		sort.SliceStable(keys, func(i, k int) bool { return less(keys[i], keys[k]) })
	}
	first := 0
	if after != "" {
		less := lessIn(order)
		first = sort.Search(len(keys), func(i int) bool { return less(after, keys[i]) })
	} else if order == InOrder {
		first = sort.SearchStrings(keys, prefix)
	}
	var found []entry
	for _, key := range keys[first:] {
		if !strings.HasPrefix(key, prefix) {
			if order == InOrder && key > prefix {
				break
			}
			continue
		}
		if len(found) == limit {
			return found, true
		}
		o := c.objects[key]
		found = append(found, entry{key, o.etag, int64(len(o.body)), o.modified, cmp.Or(o.header.Get("X-Amz-Storage-Class"), "STANDARD"), o.header.Get("X-Amz-Restore")})
	}
	return found, false
}

func (f *Synthetic) page(prefix, after string, limit int) ([]entry, bool) {
	i := f.at(max(prefix, after))
	if i < f.N && f.Key(i) == after && after != "" {
		i++
	}
	found := make([]entry, 0, limit)
	for ; i < f.N; i++ {
		key := f.Key(i)
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if len(found) == limit {
			return found, true
		}
		found = append(found, entry{key, f.ETag(i), f.Size(i), syntheticTime(), "STANDARD", ""})
	}
	return found, false
}

func lessIn(order Order) func(a, b string) bool {
	switch order {
	case UTF16:
		return func(a, b string) bool { return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b))) < 0 }
	case FoldersLast:
		fold := func(s string) string { return strings.ReplaceAll(s, "/", "\U0010FFFF") }
		return func(a, b string) bool { return fold(a) < fold(b) }
	case Shuffled:
		mix := func(s string) string {
			h := fnv.New64a()
			_, _ = h.Write([]byte(s)) // never fails
			return fmt.Sprintf("%016x%s", h.Sum64(), s)
		}
		return func(a, b string) bool { return mix(a) < mix(b) }
	case InOrder:
	}
	return func(a, b string) bool { return a < b }
}

// list answers ListObjectsV2. The answer is put together by hand: it is what a benchmark of listings asks for.
func (s *Server) list(w http.ResponseWriter, r request, fault Fault) error {
	limit := 1000
	if text := r.query.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fail(http.StatusBadRequest, "InvalidArgument", "max-keys %q", text)
		}
		limit = min(limit, n)
	}
	after := r.query.Get("start-after")
	if token := r.query.Get("continuation-token"); token != "" {
		raw, err := hex.DecodeString(token)
		if err != nil {
			return fail(http.StatusBadRequest, "InvalidArgument", "continuation-token %q", token)
		}
		after = string(raw)
	}
	prefix := r.query.Get("prefix")
	found, more, err := s.page(r.bucket, prefix, after, limit, fault.Order)
	if err != nil {
		return err
	}
	last := ""
	if more {
		last = found[len(found)-1].key
	}
	found = fault.shown(found)

	restores := r.Header.Get("x-amz-optional-object-attributes") == "RestoreStatus"
	name := escaped
	if r.query.Get("encoding-type") == "url" {
		name = escapedInURL
	}
	var out bytes.Buffer
	out.Grow(len(found)*256 + 512)
	out.WriteString(xml.Header + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	fmt.Fprintf(&out, "<Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys><IsTruncated>%t</IsTruncated>",
		escaped(r.bucket), name(prefix), len(found), limit, more)
	if r.query.Get("encoding-type") == "url" {
		out.WriteString("<EncodingType>url</EncodingType>")
	}
	if more {
		out.WriteString("<NextContinuationToken>" + hex.EncodeToString([]byte(last)) + "</NextContinuationToken>")
	}
	var modified string
	for i, e := range found {
		if i == 0 || e.modified != found[i-1].modified {
			modified = e.modified.Format("2006-01-02T15:04:05.000Z")
		}
		out.WriteString("<Contents><Key>")
		out.WriteString(name(e.key))
		out.WriteString("</Key><LastModified>")
		out.WriteString(modified)
		out.WriteString("</LastModified><ETag>&quot;")
		out.WriteString(e.etag)
		out.WriteString("&quot;</ETag><Size>")
		out.WriteString(strconv.FormatInt(e.size, 10))
		if e.class == "STANDARD" {
			out.WriteString("</Size><StorageClass>STANDARD</StorageClass></Contents>")
			continue
		}
		if !restores {
			e.restore = ""
		}
		out.WriteString("</Size>" + e.listedAs() + "</Contents>")
	}
	out.WriteString("</ListBucketResult>")
	w.Header().Set("Content-Type", "application/xml")
	if fault.Cut != 0 {
		w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	}
	send(w, out.Bytes(), fault.Cut)
	return nil
}

// shown is what a List with this fault shows of a page.
func (f Fault) shown(page []entry) []entry {
	if f.Hide == "" && !f.Twice && f.Lie == 0 {
		return page
	}
	var out []entry
	for _, e := range page {
		if e.key == f.Hide {
			continue
		}
		e.size += f.Lie
		out = append(out, e)
		if f.Twice {
			out = append(out, e)
		}
	}
	return out
}

// page is that of a bucket. What a synthetic one has never changes, so that its pages are made side by side.
func (s *Server) page(bucket, prefix, after string, limit int, order Order) ([]entry, bool, error) {
	s.mu.Lock()
	b, err := s.held(bucket)
	if err != nil || b.synthetic == nil {
		defer s.mu.Unlock()
	} else {
		s.mu.Unlock()
	}
	if err != nil {
		return nil, false, err
	}
	found, more := b.page(prefix, after, limit, order)
	return found, more, nil
}

// escapedInURL is a key as S3 writes it where it was asked to encode it.
func escapedInURL(key string) string {
	if !strings.ContainsFunc(key, func(r rune) bool { return !plain(r) && r != '/' }) {
		return key
	}
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

// plain are the signs that stand for themselves, in a URL as in XML.
func plain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.' || r == '~'
}

func escaped(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) && r != '/' }) {
		return text
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}
