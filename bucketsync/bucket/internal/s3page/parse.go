package s3page

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Page is one answer to ListObjectsV2.
type Page struct {
	Name    string
	Objects []bucket.Object
	// More says that the listing goes on, and Next where.
	More bool
	Next string
	// Classes are the storage classes of objects, by their place among Objects, where it is not the usual one.
	Classes map[int]Class
}

// Class is where an object is kept.
type Class struct {
	Name string
	// Restoring says that a copy to read is being made, and Restored that there is one.
	Restoring, Restored bool
}

// errNoPage says that an answer is something else than a page of a listing, or not all of one.
var errNoPage = errors.New("the answer is no page of a listing")

// Parse reads an answer. Every text of the page's objects lies in one piece of memory, which lives as long as any of them.
func Parse(raw []byte) (Page, error) {
	p := parser{in: raw}
	if err := p.page(); err != nil {
		return Page{}, fmt.Errorf("%w: at byte %d: %w", errNoPage, p.at, err)
	}
	return p.out, nil
}

type parser struct {
	in    []byte
	at    int
	texts strings.Builder // what keys, tags and names are parts of
	out   Page
	url   bool // keys are encoded as in a URL
	key   bool // the last object has one
	more  string
}

// token is a tag, without what it has beside its name.
type token struct {
	name       []byte
	end, empty bool // </name>, <name/>
}

var errEnd = errors.New("it ends too early")

// next passes over text and finds the tag behind it.
func (p *parser) next() (text []byte, t token, err error) {
	begin := p.at
	for {
		open := bytes.IndexByte(p.in[p.at:], '<')
		if open < 0 {
			p.at = len(p.in)
			return nil, t, errEnd
		}
		p.at += open
		text = p.in[begin:p.at]
		rest := p.in[p.at+1:]
		switch {
		case bytes.HasPrefix(rest, []byte("?")):
			err = p.pass("?>")
		case bytes.HasPrefix(rest, []byte("!--")):
			err = p.pass("-->")
		case bytes.HasPrefix(rest, []byte("!")):
			err = errors.New("it holds a definition or a section, which no store writes")
		default:
			t, err = p.tag(rest)
			return text, t, err
		}
		if err != nil {
			return nil, t, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return nil, t, errors.New("a text is interrupted")
		}
		begin = p.at
	}
}

func (p *parser) pass(end string) error {
	i := bytes.Index(p.in[p.at:], []byte(end))
	if i < 0 {
		return errEnd
	}
	p.at += i + len(end)
	return nil
}

func (p *parser) tag(rest []byte) (t token, err error) {
	end := bytes.IndexByte(rest, '>')
	if end < 0 {
		return t, errEnd
	}
	body := rest[:end]
	p.at += end + 2
	if len(body) > 0 && body[0] == '/' {
		t.end, body = true, body[1:]
	}
	if len(body) > 0 && body[len(body)-1] == '/' {
		t.empty, body = true, body[:len(body)-1]
	}
	if i := blank(body); i >= 0 {
		if bytes.IndexByte(body[i:], '<') >= 0 || bytes.Count(body[i:], []byte{'"'})%2 != 0 || bytes.Count(body[i:], []byte{'\''})%2 != 0 {
			return t, errors.New("an attribute holds a sign that ends a tag")
		}
		body = body[:i]
	}
	if len(body) == 0 || t.end && t.empty || bytes.IndexByte(body, '<') >= 0 {
		return t, errors.New("a tag has no name")
	}
	t.name = body
	return t, nil
}

// blank is where a tag's name ends, or -1.
func blank(tag []byte) int {
	for i, c := range tag {
		if c <= ' ' {
			return i
		}
	}
	return -1
}

// leastObject is about what an object takes in an answer at least.
const leastObject = 160

// page reads the root and everything in it.
func (p *parser) page() error {
	text, root, err := p.next()
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))) > 0 || root.end || root.empty || string(root.name) != "ListBucketResult" {
		return fmt.Errorf("it begins with %.40q", p.in[:min(p.at, len(p.in))])
	}
	p.texts.Grow(len(p.in) / 3)
	p.out.Objects = make([]bucket.Object, 0, min(1000, len(p.in)/leastObject))
	if err := p.children(root, (*parser).field); err != nil {
		return err
	}
	if len(bytes.TrimSpace(p.in[p.at:])) > 0 {
		return errors.New("something comes behind its end")
	}
	return p.finish()
}

// finish checks the whole and decodes what could not be before: the encoding is told anywhere.
func (p *parser) finish() error {
	switch p.more {
	case "true":
		p.out.More = true
	case "false":
	default:
		return fmt.Errorf("it does not say whether there is more, but %q", p.more)
	}
	if !p.url {
		return nil
	}
	for i := range p.out.Objects {
		o := &p.out.Objects[i]
		if strings.IndexByte(o.Key, '%') < 0 && strings.IndexByte(o.Key, '+') < 0 {
			continue
		}
		key, err := p.unescapeURL(o.Key)
		if err != nil {
			return err
		}
		o.Key = key
	}
	return nil
}

// children calls each for every tag in an element, until its end. What each does not know it passes over.
func (p *parser) children(of token, each func(p *parser, t token) error) error {
	for {
		text, t, err := p.next()
		if err != nil {
			return err
		}
		if t.end {
			if !bytes.Equal(t.name, of.name) {
				return fmt.Errorf("<%.40s> ends with </%.40s>", of.name, t.name)
			}
			return nil
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return fmt.Errorf("there is a text beside <%.40s>", t.name)
		}
		if t.empty {
			continue
		}
		if err := each(p, t); err != nil {
			return err
		}
	}
}

// field reads one element of the root.
func (p *parser) field(t token) (err error) {
	switch string(t.name) {
	case "Name":
		p.out.Name, err = p.text(t)
	case "NextContinuationToken":
		p.out.Next, err = p.text(t)
	case "IsTruncated":
		p.more, err = p.text(t)
		p.more = strings.TrimSpace(p.more)
	case "EncodingType":
		var how string
		how, err = p.text(t)
		p.url = how == "url"
	case "Contents":
		err = p.contents(t)
	default:
		err = p.skip(t, 0)
	}
	return err
}

func (p *parser) contents(t token) error {
	p.out.Objects = append(p.out.Objects, bucket.Object{Size: -1})
	p.key = false
	if err := p.children(t, (*parser).ofObject); err != nil {
		return err
	}
	if !p.key || p.out.Objects[len(p.out.Objects)-1].Size < 0 {
		return errors.New("an object has no key or no size")
	}
	return nil
}

// ofObject reads one element of the last object.
func (p *parser) ofObject(t token) (err error) {
	o := &p.out.Objects[len(p.out.Objects)-1]
	switch string(t.name) {
	case "Key":
		o.Key, err = p.text(t)
		p.key = true
	case "Size":
		var raw []byte
		if raw, err = p.raw(t); err == nil {
			o.Size, err = size(raw)
		}
	case "ETag":
		var tag string
		tag, err = p.text(t)
		o.ETag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	case "StorageClass":
		var raw []byte
		if raw, err = p.raw(t); err == nil && len(raw) > 0 && string(raw) != "STANDARD" {
			p.class(func(c *Class) { c.Name = string(raw) })
		}
	case "RestoreStatus":
		err = p.children(t, (*parser).ofRestore)
	case "LastModified":
		var raw []byte
		if raw, err = p.raw(t); err == nil {
			o.Modified, err = moment(raw)
		}
	default:
		err = p.skip(t, 0)
	}
	return err
}

// ofRestore reads one element of the last object's RestoreStatus.
func (p *parser) ofRestore(t token) error {
	raw, err := p.raw(t)
	if err != nil {
		return err
	}
	switch string(t.name) {
	case "IsRestoreInProgress":
		p.class(func(c *Class) { c.Restoring = string(raw) == "true" })
	case "RestoreExpiryDate":
		p.class(func(c *Class) { c.Restored = len(raw) > 0 })
	}
	return nil
}

// class changes what is known of the last object's class.
func (p *parser) class(change func(*Class)) {
	if p.out.Classes == nil {
		p.out.Classes = map[int]Class{}
	}
	i := len(p.out.Objects) - 1
	c := p.out.Classes[i]
	change(&c)
	p.out.Classes[i] = c
}

// maxDepth bounds elements in elements.
const maxDepth = 32

// skip passes over an element with all in it.
func (p *parser) skip(of token, depth int) error {
	if depth > maxDepth {
		return errors.New("its elements lie too deep in each other")
	}
	for {
		_, t, err := p.next()
		switch {
		case err != nil:
			return err
		case t.end && bytes.Equal(t.name, of.name):
			return nil
		case t.end:
			return fmt.Errorf("<%.40s> ends with </%.40s>", of.name, t.name)
		case !t.empty:
			if err := p.skip(t, depth+1); err != nil {
				return err
			}
		}
	}
}

// raw is the text of an element that has nothing but text, as it stands there.
func (p *parser) raw(of token) ([]byte, error) {
	rest := p.in[p.at:]
	if open, n := bytes.IndexByte(rest, '<'), len(of.name); open >= 0 && len(rest) > open+n+2 &&
		rest[open+1] == '/' && rest[open+n+2] == '>' && bytes.Equal(rest[open+2:open+n+2], of.name) {
		p.at += open + n + 3
		return rest[:open], nil
	}
	text, t, err := p.next()
	if err != nil {
		return nil, err
	}
	if !t.end || !bytes.Equal(t.name, of.name) {
		return nil, fmt.Errorf("<%.40s> holds <%.40s>", of.name, t.name)
	}
	return text, nil
}

// text is raw without the escapes of XML.
func (p *parser) text(of token) (string, error) {
	raw, err := p.raw(of)
	if err != nil {
		return "", err
	}
	begin := p.texts.Len()
	for {
		i := bytes.IndexByte(raw, '&')
		if cr := bytes.IndexByte(raw, '\r'); cr >= 0 && (i < 0 || cr < i) {
			i = cr
		}
		if i < 0 {
			break
		}
		p.texts.Write(raw[:i])
		if raw[i] == '\r' { // XML reads every end of a line as \n
			p.texts.WriteByte('\n')
			raw = bytes.TrimPrefix(raw[i+1:], []byte("\n"))
			continue
		}
		end := bytes.IndexByte(raw[i:], ';')
		if end < 0 {
			return "", errors.New("a & stands alone")
		}
		r, err := entity(raw[i+1 : i+end])
		if err != nil {
			return "", err
		}
		p.texts.WriteRune(r)
		raw = raw[i+end+1:]
	}
	p.texts.Write(raw)
	text := p.texts.String()[begin:]
	if !utf8.ValidString(text) {
		return "", errors.New("a text is not UTF-8")
	}
	return text, nil
}

func entity(name []byte) (rune, error) {
	switch string(name) {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	number, ok := strings.CutPrefix(string(name), "#")
	base := 10
	if hex, is := strings.CutPrefix(number, "x"); is {
		number, base = hex, 16
	}
	n, err := strconv.ParseUint(number, base, 32)
	if !ok || err != nil || !utf8.ValidRune(rune(n)) {
		return 0, fmt.Errorf("&%.20s; stands for nothing", name)
	}
	return rune(n), nil
}

// unescapeURL reads a key as S3 writes it where it was asked to: as in a query.
func (p *parser) unescapeURL(key string) (string, error) {
	begin := p.texts.Len()
	for i := 0; i < len(key); i++ {
		switch key[i] {
		case '+':
			p.texts.WriteByte(' ')
		case '%':
			if i+2 >= len(key) || !isHex(key[i+1]) || !isHex(key[i+2]) {
				return "", fmt.Errorf("the key %.60q is not encoded as in a URL", key)
			}
			p.texts.WriteByte(unhex(key[i+1])<<4 | unhex(key[i+2]))
			i += 2
		default:
			p.texts.WriteByte(key[i])
		}
	}
	return p.texts.String()[begin:], nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func size(raw []byte) (int64, error) {
	if n, ok := digits(raw); ok && 0 < len(raw) && len(raw) < 19 {
		return int64(n), nil
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the size %.40q is no number of bytes", raw)
	}
	return n, nil
}

// moment reads a time. Nearly all are of the form 2006-01-02T15:04:05.000Z.
func moment(raw []byte) (time.Time, error) {
	if len(raw) == len("2006-01-02T15:04:05.000Z") && raw[4] == '-' && raw[7] == '-' && raw[10] == 'T' && raw[13] == ':' && raw[16] == ':' && raw[19] == '.' && raw[23] == 'Z' {
		year, ok1 := digits(raw[0:4])
		month, ok2 := digits(raw[5:7])
		day, ok3 := digits(raw[8:10])
		hour, ok4 := digits(raw[11:13])
		minute, ok5 := digits(raw[14:16])
		second, ok6 := digits(raw[17:19])
		milli, ok7 := digits(raw[20:23])
		if ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && month-1 < 12 && day-1 < 28 && hour < 24 && minute < 60 && second < 60 && month > 0 && day > 0 {
			return time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), time.UTC), nil
		}
	}
	t, err := time.Parse(time.RFC3339, string(bytes.TrimSpace(raw)))
	if err != nil {
		return t, fmt.Errorf("the time %.40q is none", raw)
	}
	return t, nil
}

func digits(raw []byte) (n int, ok bool) {
	for _, c := range raw {
		if c < '0' || c > '9' { // a number of over 18 digits is not for here
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
