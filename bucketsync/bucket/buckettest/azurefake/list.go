package azurefake

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// page is an answer of List Blobs.
type page struct {
	XMLName       xml.Name `xml:"EnumerationResults"`
	Service       string   `xml:"ServiceEndpoint,attr"`
	ContainerName string   `xml:"ContainerName,attr"`
	Blobs         []entry  `xml:"Blobs>Blob"`
	NextMarker    string   `xml:"NextMarker"`
}

type entry struct {
	Name       string     `xml:"Name"`
	Version    string     `xml:"VersionId,omitempty"`
	Current    bool       `xml:"IsCurrentVersion,omitempty"`
	Properties properties `xml:"Properties"`
	Metadata   *metadata  `xml:"Metadata"`
}

type properties struct {
	LastModified string `xml:"Last-Modified"`
	ETag         string `xml:"Etag"`
	Length       int    `xml:"Content-Length"`
	Type         string `xml:"Content-Type"`
	Encoding     string `xml:"Content-Encoding"`
	Language     string `xml:"Content-Language"`
	Disposition  string `xml:"Content-Disposition"`
	CacheControl string `xml:"Cache-Control"`
	MD5          string `xml:"Content-MD5,omitempty"`
	BlobType     string `xml:"BlobType"`
	ResourceType string `xml:"ResourceType,omitempty"`
	Owner        string `xml:"Owner,omitempty"`
	Group        string `xml:"Group,omitempty"`
	Permissions  string `xml:"Permissions,omitempty"`
	ACL          string `xml:"Acl,omitempty"`
}

// metadata is a map whose keys are the names of elements.
type metadata map[string]string

// MarshalXML implements xml.Marshaler.
func (m metadata) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for key, text := range m {
		if err := e.EncodeElement(text, xml.StartElement{Name: xml.Name{Local: key}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// list answers List Blobs without a delimiter.
func (c *container) list(w http.ResponseWriter, r request) error {
	most := 5000
	if text := r.query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return fail(http.StatusBadRequest, "OutOfRangeQueryParameterValue", "maxresults=%s", text)
		}
		most = min(most, n)
	}
	if r.query.Get("delimiter") != "" {
		return fail(http.StatusBadRequest, "InvalidQueryParameterValue", "the fake lists without a delimiter only")
	}
	prefix := r.query.Get("prefix")
	if above := c.blobAbove(prefix); above != "" {
		return fail(http.StatusBadRequest, "InvalidQueryParameterValue", "the prefix leads through %q, which is a blob", above)
	}
	after := ""
	if text := r.query.Get("marker"); text != "" {
		var err error
		if after, err = unmark(text); err != nil {
			return err
		}
	}
	answer := page{Service: "http://" + r.Host + "/" + Account, ContainerName: r.container}
	include := strings.Split(r.query.Get("include"), ",")
	for _, at := range c.entries(slices.Contains(include, "versions")) {
		if !strings.HasPrefix(at.path, prefix) || after != "" && c.compare(at.place(), after) <= 0 {
			continue
		}
		if len(answer.Blobs) == most {
			break
		}
		answer.NextMarker = marker(at.place())
		answer.Blobs = append(answer.Blobs, at.entry(c.nodes[at.path] == at.node, include))
	}
	if len(answer.Blobs) < most {
		answer.NextMarker = ""
	}
	return writeXML(w, answer)
}

// entries are what a listing shows, in its order.
func (c *container) entries(versions bool) []placed {
	var out []placed
	for _, path := range c.sorted() {
		if versions {
			for _, n := range c.past[path] {
				out = append(out, placed{n, path})
			}
		}
		if n := c.nodes[path]; n != nil {
			out = append(out, placed{n, path})
		}
	}
	return out
}

// placed is a node under its path.
type placed struct {
	*node
	path string
}

// place is where it stands in a listing.
func (p placed) place() string { return p.path + "\x00" + p.version }

// compare compares two places.
func (c *container) compare(a, b string) int {
	pathA, versionA, _ := strings.Cut(a, "\x00")
	pathB, versionB, _ := strings.Cut(b, "\x00")
	return cmp.Or(c.order(pathA, pathB), strings.Compare(versionA, versionB))
}

// blobAbove is a blob in the middle of a prefix.
func (c *container) blobAbove(prefix string) string {
	if c.flat {
		return ""
	}
	for i := range len(prefix) {
		if prefix[i] != '/' {
			continue
		}
		if n := c.nodes[prefix[:i]]; n != nil && !n.directory {
			return prefix[:i]
		}
	}
	return ""
}

func (n placed) entry(current bool, include []string) entry {
	given := func(name string) string { return n.header.Get("x-ms-blob-" + name) }
	e := entry{Name: n.path, Properties: properties{
		LastModified: n.modified.Format(http.TimeFormat), ETag: `"` + n.etag + `"`, Length: len(n.body), Type: n.contentType(),
		Encoding: given("content-encoding"), Language: given("content-language"), Disposition: given("content-disposition"), CacheControl: given("cache-control"),
		MD5: given("content-md5"), BlobType: "BlockBlob",
	}}
	if n.version == "" {
		e.Properties.ResourceType = n.kind()
	} else if slices.Contains(include, "versions") {
		e.Version, e.Current = n.version, current
	}
	if slices.Contains(include, "metadata") {
		all := metadata(n.metadata())
		e.Metadata = &all
	}
	if slices.Contains(include, "permissions") {
		e.Properties.Owner, e.Properties.Group, e.Properties.Permissions, e.Properties.ACL = n.owner(), n.group(), n.mode(), n.rights.ACL
	}
	return e
}

func (n *node) contentType() string {
	if given := n.header.Get("x-ms-blob-content-type"); given != "" {
		return given
	}
	return "application/octet-stream"
}
