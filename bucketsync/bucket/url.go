package bucket

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// Scheme says which driver a URL is for.
type Scheme string

// The schemes of URLs.
const (
	SchemeS3    Scheme = "s3"
	SchemeMinIO Scheme = "minio"
	SchemeGCS   Scheme = "gs"
	SchemeAzure Scheme = "az"
	SchemeFile  Scheme = "file"
)

// URL names a bucket, or the part of one below a prefix. It holds no credentials and no endpoint but MinIO's, whose
// servers have no address of their own. Fields that a scheme does not use are empty:
//
//	s3://bucket/prefix               Bucket, Prefix
//	minio://host:port/bucket/prefix  Host, Bucket, Prefix; minio+http:// is the same without TLS (Plain)
//	gs://bucket/prefix               Bucket, Prefix
//	az://account/container/prefix    Host (the account), Bucket (the container), Prefix
//	file:///dir, /dir, ./dir         Path
//
// Names are taken as they are: nothing but file:// is percent-decoded.
type URL struct {
	Scheme Scheme
	Host   string
	Bucket string
	Prefix string // keys begin with it; it is not cut at slashes
	Path   string // of a directory, in the form of the operating system; a relative one stays so
	Plain  bool   // HTTP without TLS
}

// URLError says what is wrong with a URL and what mends it. It does not repeat what could be a password.
type URLError struct {
	URL  string // as given, without user information
	Text string
	Hint string
}

// Error implements error.
func (e *URLError) Error() string {
	return "parse bucket URL " + e.URL + ": " + e.Text + " (" + e.Hint + ")"
}

// ParseURL parses the URL of a bucket, or the path of a directory.
func ParseURL(text string) (URL, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return parsePath(text)
	}
	p := parser{text: text, rest: rest}
	switch strings.ToLower(scheme) {
	case "s3":
		return p.buckets(URL{Scheme: SchemeS3})
	case "gs":
		return p.buckets(URL{Scheme: SchemeGCS})
	case "minio":
		return p.minio(URL{Scheme: SchemeMinIO})
	case "minio+http":
		return p.minio(URL{Scheme: SchemeMinIO, Plain: true})
	case "az":
		return p.azure(URL{Scheme: SchemeAzure})
	case "file":
		return p.file()
	}
	return URL{}, p.fail("the scheme "+scheme+" is not known", "use s3://, minio://, gs://, az://, file:// or a path")
}

// String returns the URL in the form that ParseURL reads.
func (u URL) String() string {
	text := string(u.Scheme)
	if u.Plain {
		text += "+http"
	}
	text += "://"
	switch u.Scheme {
	case SchemeFile:
		if !filepath.IsAbs(u.Path) {
			return "." + string(filepath.Separator) + u.Path
		}
		path := filepath.ToSlash(u.Path)
		if !strings.HasPrefix(path, "/") {
			path = "/" + path // file:///C:/dir
		}
		return (&url.URL{Scheme: "file", Path: path}).String()
	case SchemeMinIO, SchemeAzure:
		text += u.Host + "/"
	}
	text += u.Bucket
	if u.Prefix != "" {
		text += "/" + u.Prefix
	}
	return text
}

type parser struct{ text, rest string }

func (p parser) fail(text, hint string) error {
	shown := p.text
	if scheme, rest, ok := strings.Cut(shown, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			shown = scheme + "://…@" + rest[at+1:]
		}
	}
	return &URLError{URL: shown, Text: text, Hint: hint}
}

func parsePath(text string) (URL, error) {
	p := parser{text: text}
	if text == "" {
		return URL{}, p.fail("it is empty", "name a bucket, as in s3://bucket, or a directory")
	}
	// "s3:bucket" is a slip, "C:\dir" is a path: a drive has one letter.
	if scheme, _, ok := strings.Cut(text, ":"); ok && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\.`) {
		return URL{}, p.fail("two slashes are missing behind "+scheme+":", "write "+scheme+"://…, or ./"+text+" for a directory")
	}
	return URL{Scheme: SchemeFile, Path: filepath.Clean(text)}, nil
}

func (p parser) buckets(u URL) (URL, error) {
	u.Bucket, u.Prefix, _ = strings.Cut(p.rest, "/")
	return p.check(u, "write "+string(u.Scheme)+"://bucket or "+string(u.Scheme)+"://bucket/prefix")
}

func (p parser) minio(u URL) (URL, error) {
	hint := "write minio://host:port/bucket"
	u.Host, p.rest, _ = strings.Cut(p.rest, "/")
	u.Bucket, u.Prefix, _ = strings.Cut(p.rest, "/")
	if strings.Contains(u.Host, "@") {
		return p.check(u, hint)
	}
	if host, port, err := net.SplitHostPort(u.Host); u.Host == "" || err == nil && (host == "" || port == "") {
		return URL{}, p.fail("it names no server", hint)
	}
	return p.check(u, hint)
}

func (p parser) azure(u URL) (URL, error) {
	hint := "write az://account/container, and give an endpoint of your own in the bucket's configuration"
	u.Host, p.rest, _ = strings.Cut(p.rest, "/")
	u.Bucket, u.Prefix, _ = strings.Cut(p.rest, "/")
	if u.Host == "" {
		return URL{}, p.fail("it names no storage account", hint)
	}
	if !strings.Contains(u.Host, "@") && strings.ContainsAny(u.Host, ".:") {
		return URL{}, p.fail("the storage account "+u.Host+" is an address", hint)
	}
	if u.Bucket != "" && !strings.Contains(u.Host, "@") && !isContainer(u.Bucket) {
		return URL{}, p.fail("no container can be called "+u.Bucket, "3 to 63 lower-case letters, digits and single hyphens, of which the first and the last is none")
	}
	return p.check(u, hint)
}

// isContainer follows https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#container-names.
// The service's own have names with a dollar sign.
func isContainer(name string) bool {
	name, _ = strings.CutPrefix(name, "$")
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return len(name) >= 3 && len(name) <= 63 && !strings.ContainsFunc(name, odd) && !strings.Contains(name, "--") && strings.Trim(name, "-") == name
}

func (p parser) check(u URL, hint string) (URL, error) {
	switch {
	case strings.Contains(u.Host+u.Bucket, "@"):
		return URL{}, p.fail("it carries a name or a password", "refer to credentials in the bucket's configuration: a URL is logged")
	case u.Bucket == "":
		return URL{}, p.fail("it names no bucket", hint)
	case strings.ContainsAny(u.Bucket, "?#%:\\ "):
		return URL{}, p.fail("the bucket's name holds a character that none can have", hint)
	case strings.HasPrefix(u.Prefix, "?") || strings.HasPrefix(u.Prefix, "#"):
		return URL{}, p.fail("it carries parameters", "write them in the bucket's configuration")
	}
	return u, nil
}

func (p parser) file() (URL, error) {
	host, path, found := strings.Cut(p.rest, "/")
	if !found || host != "" && host != "localhost" {
		return URL{}, p.fail("it names a host, not a directory", "write file:///dir with three slashes, or just the path")
	}
	path, err := url.PathUnescape("/" + path)
	if err != nil {
		return URL{}, p.fail("a percent sign is followed by no two hexadecimal digits", "write %25 for a percent sign, or just the path")
	}
	// On Windows a drive follows the third slash: file:///C:/dir.
	if filepath.VolumeName(path[1:]) != "" {
		path = path[1:]
	}
	return URL{Scheme: SchemeFile, Path: filepath.Clean(filepath.FromSlash(path))}, nil
}
