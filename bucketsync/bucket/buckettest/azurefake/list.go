package azurefake

import (
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
	ResourceType string `xml:"ResourceType"`
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
	paths := c.sorted()
	if text := r.query.Get("marker"); text != "" {
		after, err := unmark(text)
		if err != nil {
			return err
		}
		at, there := slices.BinarySearchFunc(paths, after, byParts)
		if there {
			at++
		}
		paths = paths[at:]
	}
	answer := page{Service: "http://" + r.Host + "/" + Account, ContainerName: r.container}
	include := strings.Split(r.query.Get("include"), ",")
	for _, path := range paths {
		if !strings.HasPrefix(path, prefix) {
			continue
		}
		if len(answer.Blobs) == most {
			answer.NextMarker = marker(answer.Blobs[most-1].Name)
			break
		}
		answer.Blobs = append(answer.Blobs, c.nodes[path].entry(path, include))
	}
	return writeXML(w, answer)
}

// blobAbove is a blob in the middle of a prefix.
func (c *container) blobAbove(prefix string) string {
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

func (n *node) entry(path string, include []string) entry {
	given := func(name string) string { return n.header.Get("x-ms-blob-" + name) }
	e := entry{Name: path, Properties: properties{
		LastModified: n.modified.Format(http.TimeFormat), ETag: `"` + n.etag + `"`, Length: len(n.body), Type: n.contentType(),
		Encoding: given("content-encoding"), Language: given("content-language"), Disposition: given("content-disposition"), CacheControl: given("cache-control"),
		MD5: given("content-md5"), BlobType: "BlockBlob", ResourceType: n.kind(),
	}}
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
