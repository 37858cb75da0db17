//go:build unix

package pairs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"strings"
)

// Part sizes of the drivers in this test: the least that each takes, so that an object over it stays small.
const (
	partS3    = 5 << 20 // also of minio
	partGCS   = 256 << 10
	partAzure = 100_000
	// small is up to what size the engine holds an object whole.
	small = 4 << 20
)

// plain are objects that every store can hold, in every shape of properties, and in the sizes around each threshold.
func plain() []object {
	var all []object
	add := func(key string, size int, p props) { all = append(all, object{key: key, size: size, props: p}) }
	for i := range 1900 {
		p := props{}
		if i%2 == 0 {
			p.set(contentType, []string{"text/plain", "image/png", "text/html; charset=utf-8", "application/json"}[i/2%4])
		}
		if i%5 == 0 {
			p.set("Cache-Control", fmt.Sprintf("max-age=%d", i))
			p.set("Content-Language", []string{"de-CH", "en, fr"}[i/5%2])
		}
		if i%7 == 0 {
			p.set("Content-Disposition", fmt.Sprintf(`attachment; filename="a b %d.txt"`, i))
		}
		if i%11 == 0 {
			p[metaPrefix+"owner"] = fmt.Sprintf("shop %d", i)
			p[metaPrefix+"empty"] = ""
		}
		add(fmt.Sprintf("plain/%02d/%04d-%s", i%37, i, []string{"x", "a b", "\u00fc", "u\u0308", "世界", "😀", "+&=;,$@!'()", "%20%2F", "~#?"}[i%9]), i%97, p)
	}
	whole := props{
		contentType: "text/x-test; charset=utf-8", "Content-Encoding": "br", "Content-Language": "de-CH",
		"Content-Disposition": `inline; filename="x;y.txt"`, "Cache-Control": "no-cache, max-age=0",
		metaPrefix + "owner": "shop", metaPrefix + "text": "a=b; c, d? \"e\"",
	}
	for _, size := range []int{
		0, 1, 2, partAzure - 1, partAzure, partAzure + 1, 3*partAzure + 1, partGCS - 1, partGCS, partGCS + 1, 2*partGCS + 1,
		small - 1, small, small + 1, partS3 - 1, partS3, partS3 + 1,
	} {
		add(fmt.Sprintf("sizes/%08d", size), size, nil)
		if size <= partGCS+1 || size == partS3+1 {
			add(fmt.Sprintf("sizes/%08d-whole", size), size, whole)
		}
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(strings.Repeat("text that compresses well ", 400))) // a Buffer takes it all
	_ = w.Close()
	for i := range 12 {
		all = append(all, object{key: fmt.Sprintf("gzip/%d.txt", i), body: zipped.Bytes(), props: props{contentType: "text/plain", "Content-Encoding": "gzip"}})
	}
	for i := range 60 {
		p := maps.Clone(whole)
		p[metaPrefix+fmt.Sprintf("x-%d.y_z", i)] = fmt.Sprintf("Grüße, 世界 %d", i)
		p[metaPrefix+fmt.Sprintf("%dlives", i)] = strings.Repeat("ü", i)
		add(fmt.Sprintf("meta/%02d", i), i, p)
	}
	for i := range 40 {
		p := props{contentType: "text/plain"}
		for k := range i%10 + 1 {
			p[tagPrefix+fmt.Sprintf("k%d+/=._:-", k)] = fmt.Sprintf("v %d+/=._:-", i)
		}
		all = append(all, object{trap: "tags", key: fmt.Sprintf("tags/%02d", i), size: i, props: p})
	}
	for i := range 10 {
		all = append(all, object{trap: "an Expires header", key: fmt.Sprintf("expires/%d", i), size: i, props: props{expires: fmt.Sprintf("Wed, 0%d Jan 2030 03:04:05 GMT", i%9+1)}})
		all = append(all, object{trap: "a website redirect", key: fmt.Sprintf("redirect/%d", i), props: props{redirect: fmt.Sprintf("/elsewhere?x=%d", i)}})
	}
	return all
}

// hostile are objects each of which some store cannot hold, or holds in a way of its own. None of them depends on another, but for
// those whose trap is that they do.
func hostile() []object {
	const long = 1024
	segments := func(of string, n int) string {
		s := strings.Repeat(strings.Repeat(of, 199)+"/", n/200+1)
		return s[:n-1] + "e"
	}
	key := func(trap string, keys ...string) (out []object) {
		for _, k := range keys {
			out = append(out, object{trap: trap, key: k, size: len(k) % 50})
		}
		return out
	}
	metas := 0
	meta := func(trap string, all ...props) (out []object) {
		for _, p := range all {
			metas++
			out = append(out, object{trap: trap, key: fmt.Sprintf("properties/%02d", metas), size: metas, props: p})
		}
		return out
	}
	with := func(prefix string, pairs ...string) props {
		p := props{}
		for i := 0; i < len(pairs); i += 2 {
			p[prefix+pairs[i]] = pairs[i+1]
		}
		return p
	}
	many := props{}
	for i := range 11 {
		many[tagPrefix+fmt.Sprint("t", i)] = "v"
	}
	return concat(
		key(trapSlashes, "traps//double", "traps///three", "//", "traps/end//"),
		key(trapLeading, "/leading", "/", "/a/b"),
		key(trapTrailing, "trailing/with/content/", "content/"),
		[]object{
			{trap: trapMarker, key: "folder/"}, {trap: trapMarker, key: "folder/inner/"}, {trap: trapMarker, key: "empty folder/"},
			{trap: trapMarker, key: "described/", props: props{metaPrefix + "owner": "shop"}},
		},
		key("", "folder/x", "folder/inner/y"),
		[]object{{trap: trapHDI, key: "hadoop folder", props: props{metaPrefix + "hdi_isfolder": "true"}}, {trap: trapDollar, key: "hadoop_$folder$"}},
		key("", "beside", "beside-between"), key(trapBeside, "beside/below", "beside/deeper/below"),
		key(trapDots, "dots/./x", "dots/../x", "./x", "../x", "dots/..", "dots/."), key(trapDotAlone, ".", ".."),
		key(trapDotEnd, "ends.", "dir./x", "three..."),
		key("", "nf/\u00fc", "nf/u\u0308", "nf/\u00e9\u0301", "case/KEY", "case/key", "case/Key"),
		key("", segments("k", long), "ü/"+segments("k", long-3)),
		key(trapSegment, strings.Repeat("s", long), "seg/"+strings.Repeat("s", 256)), key("", "seg/"+strings.Repeat("t", 255)),
		key(trapControl, "ctl/\x01", "ctl/\t", "ctl/\x1f\x7f"), key(trapBreak, "ctl/\n", "ctl/a\rb"),
		key(trapBackslash, `back\slash`, `back\\slash\`),
		key("", "order/\uffee", "order/😀", "order/A-B", "order/A/dat1", "order/A.B", "q?x=1&y#z", "per%cent%2F%00", "plus+ space ", " leading space", `quote'"<>&|*:`,
			"-dash", "*glob[x]?{y}", "%=", "x%+/y", "%_", "a%=", "CON", "NUL.txt", ".crossfade/x", ".CROSSFADE/y", "zwj/👩‍👩‍👧", "rtl/שלום"),
		key(trapACME, ".well-known/acme-challenge/x"),
		meta(trapCollide, with(metaPrefix, "Owner", "a", "owner", "b"), with(metaPrefix, "X-Y", "1", "x-y", "2")),
		meta(trapUpper, with(metaPrefix, "Owner", "a", "contentOwner", "b")),
		meta("", with(metaPrefix, "text", "Grüße, 世界", "emoji", "😀", "class", "x", "_", "y"), with(metaPrefix, "a_x002d_b", "literal", "a-b", "hyphen")),
		meta(trapEdges, with(metaPrefix, "spaces", " edges ", "looks", "=?UTF-8?B?YQ==?="), with(metaPrefix, "line", "one\ntwo\r\n\tthree")),
		meta(trapSpace, with(metaPrefix, "white space", "x"), with(metaPrefix, "ключ", "x"), with(metaPrefix, "a:b/c", "x")),
		meta("", with(metaPrefix, "large", strings.Repeat("x", 1900))),
		meta(trap2K, with(metaPrefix, "large", strings.Repeat("x", 3000))),
		meta(trap8K, with(metaPrefix, "large", strings.Repeat("x", 9<<10))),
		meta(trapManyTags, many), meta(trapForeignTag, with(tagPrefix, "straße", "münchen")), meta(trapOddTag, with(tagPrefix, "a", "<b>&;")),
	)
}

// What is hostile about an object, in the words of the tables.
const (
	trapSlashes    = "two slashes in a row"
	trapLeading    = "a slash at the front"
	trapTrailing   = "a slash at the end, with content"
	trapMarker     = "a folder's marker (a slash at the end, zero bytes)"
	trapHDI        = "a Hadoop folder's marker (`hdi_isfolder`)"
	trapDollar     = "a Hadoop folder's marker (`_$folder$`)"
	trapBeside     = "`a/b` beside `a`"
	trapDots       = "`.` or `..` between slashes"
	trapDotAlone   = "`.` or `..` as the whole key"
	trapDotEnd     = "a name between slashes that ends with a dot"
	trapSegment    = "a name between slashes of over 255 bytes"
	trapControl    = "control characters"
	trapBreak      = "line breaks"
	trapBackslash  = "backslashes"
	trapACME       = "`.well-known/acme-challenge/`"
	trapCollide    = "metadata keys that differ in case alone"
	trapUpper      = "metadata keys with capitals"
	trapEdges      = "metadata values with spaces at the edges, line breaks, encoded words"
	trapSpace      = "metadata keys that no header can have (spaces, other scripts)"
	trap2K         = "over 2 KiB of metadata"
	trap8K         = "over 8 KiB of metadata"
	trapManyTags   = "more than ten tags"
	trapForeignTag = "tags beyond ASCII"
	trapOddTag     = "tags with `<>&;`"
)

// isTags says that a trap is one of tags, which a source that knows none cannot set.
func isTags(trap string) bool {
	return trap == trapManyTags || trap == trapForeignTag || trap == trapOddTag
}

func concat(all ...[]object) (out []object) {
	for _, some := range all {
		out = append(out, some...)
	}
	return out
}
