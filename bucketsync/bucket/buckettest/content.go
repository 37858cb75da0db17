package buckettest

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// sizes are one object in a piece and one in parts.
func (d Driver) sizes() []int64 {
	if d.PartSize == 0 {
		return []int64{1000}
	}
	return []int64{1000, 2*d.PartSize + 1}
}

func checkProperties(t *testing.T, d Driver) {
	b := fresh(t, d)
	caps := b.Describe()
	if caps.Provider == "" || caps.URL == "" {
		t.Errorf("capabilities do not say of what: %+v", caps)
	}
	want := bucket.Properties{
		ContentType: "text/x-test; charset=utf-8", ContentEncoding: "br", ContentLanguage: "de-CH",
		ContentDisposition: `attachment; filename="a b.txt"`, CacheControl: "no-cache, max-age=0",
		Metadata: map[string]string{"owner": "shop", "empty": "", "text": "a=b; c, d?"},
	}
	if caps.Expires {
		want.Expires = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	if caps.WebsiteRedirect {
		want.WebsiteRedirect = "/elsewhere?x=1"
	}
	if caps.Tags {
		want.Tags = map[string]string{"team": "a b", "k+/=._:-": "v+/=._:-", "none": ""}
	}
	for _, size := range d.sizes() {
		put(t, b, "properties", data(1, size), bucket.PutOptions{Properties: want})
		wantProperties(t, *head(t, b, "properties").Properties, want)
		// An overwrite replaces all of them.
		bare := bucket.Properties{ContentType: "text/plain"}
		put(t, b, "properties", data(2, size), bucket.PutOptions{Properties: bare})
		wantProperties(t, *head(t, b, "properties").Properties, bare)
	}
	for name, refused := range map[string]bucket.Properties{
		"Expires": {Expires: time.Unix(2e9, 0)}, "WebsiteRedirect": {WebsiteRedirect: "/x"}, "Tags": {Tags: map[string]string{"a": "b"}},
	} {
		if name == "Expires" && caps.Expires || name == "WebsiteRedirect" && caps.WebsiteRedirect || name == "Tags" && caps.Tags {
			continue
		}
		_, err := b.Put(t.Context(), "refused", strings.NewReader(""), 0, bucket.PutOptions{Properties: refused})
		if !errors.Is(err, bucket.ErrUnsupported) {
			t.Errorf("%s is said not to be held, and putting it gives %v", name, err)
		}
	}
}

func wantProperties(t *testing.T, got, want bucket.Properties) {
	t.Helper()
	for _, p := range []struct{ name, got, want string }{
		{"ContentType", got.ContentType, want.ContentType}, {"ContentEncoding", got.ContentEncoding, want.ContentEncoding},
		{"ContentLanguage", got.ContentLanguage, want.ContentLanguage}, {"ContentDisposition", got.ContentDisposition, want.ContentDisposition},
		{"CacheControl", got.CacheControl, want.CacheControl}, {"WebsiteRedirect", got.WebsiteRedirect, want.WebsiteRedirect},
		{"Expires", got.Expires.UTC().String(), want.Expires.UTC().String()},
	} {
		if p.got != p.want {
			t.Errorf("%s is %q, want %q", p.name, p.got, p.want)
		}
	}
	if !maps.Equal(got.Metadata, want.Metadata) {
		t.Errorf("Metadata is %q, want %q", got.Metadata, want.Metadata)
	}
	if !maps.Equal(got.Tags, want.Tags) {
		t.Errorf("Tags are %q, want %q", got.Tags, want.Tags)
	}
}

func checkETags(t *testing.T, d Driver) {
	b := fresh(t, d)
	for _, size := range d.sizes() {
		content := data(3, size)
		sum := md5.Sum(content)
		want := hex.EncodeToString(sum[:])
		acknowledged := put(t, b, "object", content, bucket.PutOptions{MD5: sum[:]})
		for _, obj := range []bucket.Object{acknowledged, head(t, b, "object")} {
			if obj.ETag != acknowledged.ETag {
				t.Errorf("the ETag is %q in one answer and %q in another", acknowledged.ETag, obj.ETag)
			}
			for _, digest := range obj.Digests {
				if digest.Algorithm == bucket.MD5 && digest.Value != want {
					t.Errorf("%d bytes: the MD5 is given as %s, and is %s", size, digest.Value, want)
				}
				if digest.Value == "" || strings.Contains(digest.Value, "-") {
					t.Errorf("%d bytes: %+v is no digest", size, digest)
				}
			}
		}
	}
	checkWrongMD5(t, d, b)
}

// checkWrongMD5 gives an MD5 that is not the body's: of a body in memory, which the driver may not have hashed, and of another one.
func checkWrongMD5(t *testing.T, d Driver, b bucket.Bucket) {
	t.Helper()
	wrong := md5.Sum([]byte("other"))
	for _, size := range d.sizes() {
		content := data(3, size)
		for name, body := range map[string]io.Reader{"streamed": bytes.NewReader(content), "held": &held{bytes.NewReader(content), content}} {
			_, err := b.Put(t.Context(), "wrong", body, size, bucket.PutOptions{MD5: wrong[:]})
			if err == nil || b.Describe().ChecksMD5 && !errors.Is(err, bucket.ErrDigest) {
				t.Errorf("%d bytes, %s: a body of another MD5 than given ends with %v", size, name, err)
			}
			if _, err := b.Head(t.Context(), "wrong"); !errors.Is(err, bucket.ErrNotExist) {
				t.Errorf("%d bytes, %s: a refused body left an object: %v", size, name, err)
			}
		}
	}
}

// held is a body in memory.
type held struct {
	*bytes.Reader
	raw []byte
}

// Held implements bucket.Held.
func (h *held) Held() []byte { return h.raw }

func checkEncoding(t *testing.T, d Driver) {
	b := fresh(t, d)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, strings.Repeat("text that compresses well ", 4000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content := zipped.Bytes()
	put(t, b, "zipped", content, bucket.PutOptions{Properties: bucket.Properties{ContentEncoding: "gzip", ContentType: "text/plain"}})
	wantContent(t, b, "zipped", content)
	if obj := head(t, b, "zipped"); obj.Size != int64(len(content)) || obj.Properties.ContentEncoding != "gzip" {
		t.Errorf("got %d bytes of encoding %q, want %d of gzip", obj.Size, obj.Properties.ContentEncoding, len(content))
	}
	part, _, err := read(t.Context(), b, "zipped", bucket.ReadOptions{Offset: 10, Length: 20})
	if err != nil || !bytes.Equal(part, content[10:30]) {
		t.Errorf("a range of an encoded object is %x, %v, want %x", part, err, content[10:30])
	}
	// The token of a transfer is not the object's.
	put(t, b, "chunked", content, bucket.PutOptions{Properties: bucket.Properties{ContentType: "text/plain"}})
	wantContent(t, b, "chunked", content)
	if got := head(t, b, "chunked").Properties.ContentEncoding; got != "" {
		t.Errorf("an object without an encoding has %q", got)
	}
}

func checkLengths(t *testing.T, d Driver) {
	b := fresh(t, d)
	for _, size := range append(d.sizes(), 0) {
		old := []byte("as it was")
		put(t, b, "key", old, bucket.PutOptions{})
		content := data(4, size+1)
		short := int64(len(content) + 1)
		for said, body := range map[string]struct {
			size int64
			then io.Reader
		}{
			"long": {size, strings.NewReader("")}, "short": {short, strings.NewReader("")}, "broken": {short, brokenReader{}},
		} {
			reader := func() io.Reader { return io.MultiReader(bytes.NewReader(content), body.then) }
			if _, err := b.Put(t.Context(), "key", reader(), body.size, bucket.PutOptions{}); err == nil {
				t.Errorf("a %s body of about %d bytes is stored", said, size)
			}
			wantContent(t, b, "key", old)
			if _, err := b.Put(t.Context(), "new", reader(), body.size, bucket.PutOptions{}); err == nil {
				t.Errorf("a %s body of about %d bytes is stored", said, size)
			}
		}
	}
	if found := keys(t, b, bucket.ListOptions{}); len(found) != 1 {
		t.Errorf("refused bodies left %q", found)
	}
}

// checkAnswers lets a proxy send other bodies than were asked for.
func checkAnswers(t *testing.T, d Driver) {
	direct := fresh(t, d)
	content := data(6, 10_000)
	put(t, direct, "key", content, bucket.PutOptions{})
	pin := head(t, direct, "key")
	for said, breakIt := range map[string]breaker{"cut off": cutOff, "short": tear, "long": lengthen} {
		for _, opts := range []bucket.ReadOptions{{Pin: pin}, {Pin: pin, Offset: 10}, {Pin: pin, Offset: 10, Length: 5000}} {
			proxy := newProxy(t, d.Endpoint, isRead, 1, breakIt)
			b := open(t, d, At{Bucket: bucketName(direct), Endpoint: proxy.url})
			got, _, err := read(t.Context(), b, "key", opts)
			if err == nil {
				t.Errorf("%s: %d bytes of an answer to %d+%d pass without an error", said, len(got), opts.Offset, opts.Length)
			}
			if proxy.requests() == 0 {
				t.Errorf("%s: the proxy saw no read: the check checks nothing", said)
			}
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the source broke") }

func checkMetadata(t *testing.T, d Driver) {
	b := fresh(t, d)
	for _, metadata := range []map[string]string{
		{"with-hyphen": "1", "under_score": "2", "9lives": "3", "dots.and.more": "4", "class": "5"},
		{"text": "Grüße, 世界", "spaces": " edges ", "looks-encoded": "=?UTF-8?B?YQ==?="},
		{"Upper": "x"},
		{"Owner": "a", "owner": "b"},
		{"a_x002d_b": "literal", "a-b": "hyphen"},
		{"large": strings.Repeat("x", 1900)},
		{"too-large": strings.Repeat("x", 9<<10)},
		{"white space": "x"},
		{"line": "one\ntwo"},
	} {
		want := map[string]string{}
		for key, value := range metadata {
			if b.Describe().MetadataKeys == bucket.MetadataLowerCase {
				key = strings.ToLower(key)
			}
			want[key] = value
		}
		_, err := b.Put(t.Context(), "object", strings.NewReader("x"), 1, bucket.PutOptions{Properties: bucket.Properties{Metadata: metadata}})
		if errors.Is(err, bucket.ErrUnsupported) {
			t.Logf("refused: %.60q", metadata)
			continue
		}
		if err != nil {
			t.Errorf("%.60q: neither stored nor refused: %v", metadata, err)
			continue
		}
		if got := head(t, b, "object").Properties.Metadata; !maps.Equal(got, want) {
			t.Errorf("metadata is %.80q, want %.80q", got, want)
		}
	}
}

func checkOversize(t *testing.T, d Driver) {
	b := fresh(t, d)
	limit := b.Describe().MaxObjectSize
	if limit == 0 {
		t.Fatal("no limit is declared, and the driver is not said to be without one")
	}
	_, err := b.Put(t.Context(), "huge", strings.NewReader("x"), limit+1, bucket.PutOptions{})
	wantError(t, err, bucket.ErrUnsupported)
}

func checkSizes(t *testing.T, d Driver) {
	b := fresh(t, d)
	sizes := []int64{0, 1, 70_000}
	if d.PartSize > 0 {
		sizes = append(sizes, d.PartSize, d.PartSize+1, 3*d.PartSize)
	}
	for _, size := range sizes {
		content := data(5, size)
		put(t, b, "sized", content, bucket.PutOptions{})
		wantContent(t, b, "sized", content)
		obj := head(t, b, "sized")
		if obj.Size != size {
			t.Errorf("head says %d bytes, want %d", obj.Size, size)
		}
		for _, r := range [][2]int64{{0, 1}, {size / 2, 0}, {size / 3, size / 3}, {size - 1, 1}, {0, size}} {
			if r[0] < 0 || r[0]+r[1] > size || size == 0 {
				continue
			}
			opts := bucket.ReadOptions{Pin: obj, Offset: r[0], Length: r[1]}
			want := content[r[0]:]
			if r[1] > 0 {
				want = want[:r[1]]
			}
			got, seen, err := read(t.Context(), b, "sized", opts)
			if err != nil || !bytes.Equal(got, want) || seen.Size != size {
				t.Errorf("%d bytes from %d on of %d: got %d of an object of %d, %v", r[1], r[0], size, len(got), seen.Size, err)
			}
		}
		for _, r := range [][2]int64{{size + 1, 1}, {0, size + 1}} {
			if got, _, err := read(t.Context(), b, "sized", bucket.ReadOptions{Offset: r[0], Length: r[1]}); err == nil {
				t.Errorf("%d bytes from %d on of %d: got %d without an error", r[1], r[0], size, len(got))
			}
		}
	}
	if _, err := b.Head(t.Context(), "absent"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("head of what is not there: %v", err)
	}
	if _, _, err := read(t.Context(), b, "absent", bucket.ReadOptions{}); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("open of what is not there: %v", err)
	}
}
