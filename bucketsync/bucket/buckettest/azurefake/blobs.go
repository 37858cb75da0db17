package azurefake

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the service's checksum
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxMetadata is the room of names and values, in bytes.
const maxMetadata = 8 << 10

// put answers Put Blob, Put Block and Put Block List.
func (s *Server) put(w http.ResponseWriter, r request, comp string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fail(http.StatusBadRequest, "RequestBodyIncomplete", "%v", err)
	}
	sum := md5.Sum(body) //nolint:gosec // the service's checksum
	if given := r.Header.Get("Content-MD5"); given != "" && given != base64.StdEncoding.EncodeToString(sum[:]) {
		return fail(http.StatusBadRequest, "Md5Mismatch", "the body has another MD5")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.container]
	if c == nil {
		return fail(http.StatusNotFound, "ContainerNotFound", "%s", r.container)
	}
	if err := sound(r); err != nil {
		return err
	}
	now := c.nodes[r.path]
	switch {
	case comp == "block":
		return s.putBlock(w, r, c, now, body)
	case comp == "blocklist":
		return s.putBlockList(w, r, c, now, body)
	case comp != "" || r.Header.Get("x-ms-blob-type") != "BlockBlob":
		return fail(http.StatusConflict, "FeatureNotYetSupportedForHierarchicalNamespaceAccounts", "comp=%q, a %q", comp, r.Header.Get("x-ms-blob-type"))
	}
	directory := !c.flat && strings.EqualFold(r.Header.Get("x-ms-meta-hdi_isfolder"), "true")
	switch {
	case r.slash && !directory:
		return fail(http.StatusBadRequest, "InvalidUri", "a blob whose name ends with a slash")
	case directory && len(body) > 0:
		return fail(http.StatusBadRequest, "InvalidInput", "a directory with content")
	case now != nil && now.directory != directory:
		return fail(http.StatusConflict, "PathConflict", "%q is a %s", r.path, now.kind())
	}
	return s.commit(w, r, c, now, &node{directory: directory, body: body})
}

// sound says what is wrong with a write, whatever is there.
func sound(r request) error {
	room := 0
	for name, values := range r.Header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-meta-"); ok {
			room += len(key) + len(values[0])
			if key == "" || key[0] >= '0' && key[0] <= '9' || strings.ContainsFunc(key, func(c rune) bool {
				return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
			}) {
				return fail(http.StatusBadRequest, "InvalidMetadata", "%q", key)
			}
		}
	}
	if room > maxMetadata {
		return fail(http.StatusBadRequest, "MetadataTooLarge", "%d bytes", room)
	}
	if r.Header.Get("x-ms-tags") != "" {
		return fail(http.StatusConflict, "FeatureNotYetSupportedForHierarchicalNamespaceAccounts", "index tags")
	}
	return nil
}

// commit writes a node where its conditions hold.
func (s *Server) commit(w http.ResponseWriter, r request, c *container, now, then *node) error {
	if err := conditions(r, now); err != nil {
		return err
	}
	if err := s.room(c, r.path); err != nil {
		return err
	}
	then.header = http.Header{}
	for name, values := range r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-ms-meta-") || strings.HasPrefix(low, "x-ms-blob-") {
			then.header.Set(low, values[0])
		}
	}
	if now != nil {
		then.rights = now.rights // those of a path stay when it is written over
	}
	then.etag, then.modified = s.stamp()
	if c.flat {
		c.supersede(w, r.path, then)
	}
	c.set(r.path, then)
	delete(c.blocks, r.path)
	w.Header().Set("ETag", `"`+then.etag+`"`)
	w.Header().Set("Last-Modified", then.modified.Format(http.TimeFormat))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func conditions(r request, now *node) error {
	if match := r.Header.Get("If-Match"); match != "" && (now == nil || match != "*" && strings.Trim(match, `"`) != now.etag) {
		return fail(http.StatusPreconditionFailed, "ConditionNotMet", "If-Match %s", match)
	}
	if r.Header.Get("If-None-Match") == "*" && now != nil && r.Method == http.MethodPut {
		return fail(http.StatusConflict, "BlobAlreadyExists", "%q", r.path)
	}
	return nil
}

func (s *Server) putBlock(w http.ResponseWriter, r request, c *container, now *node, body []byte) error {
	switch {
	case r.slash:
		return fail(http.StatusBadRequest, "InvalidUri", "a block of a name that ends with a slash")
	case now != nil && now.directory:
		return fail(http.StatusConflict, "PathConflict", "%q is a directory", r.path)
	case now != nil && now.foreign:
		return fail(http.StatusConflict, "InvalidBlobOrBlock", "%q was made by the API of Data Lake Storage", r.path)
	}
	if err := s.room(c, r.path); err != nil {
		return err
	}
	id := r.query.Get("blockid")
	if c.blocks[r.path] == nil {
		c.blocks[r.path] = blocks{}
	}
	for other := range c.blocks[r.path] {
		if len(other) != len(id) {
			return fail(http.StatusBadRequest, "InvalidBlobOrBlock", "block names of several lengths")
		}
	}
	c.blocks[r.path][id] = body
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) putBlockList(w http.ResponseWriter, r request, c *container, now *node, body []byte) error {
	var list struct {
		Latest []string `xml:"Latest"`
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		return fail(http.StatusBadRequest, "InvalidXmlDocument", "%v", err)
	}
	if now != nil && (now.directory || now.foreign) {
		return fail(http.StatusConflict, "PathConflict", "%q is a %s, not of blocks", r.path, now.kind())
	}
	var whole bytes.Buffer
	for _, id := range list.Latest {
		block, ok := c.blocks[r.path][id]
		if !ok {
			return fail(http.StatusBadRequest, "InvalidBlockList", "there is no block %q", id)
		}
		whole.Write(block)
	}
	return s.commit(w, r, c, now, &node{body: whole.Bytes()})
}

// listBlocks answers Get Block List, for what is not committed.
func (s *Server) listBlocks(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.container]
	if c == nil || c.nodes[r.path] == nil && c.blocks[r.path] == nil {
		return fail(http.StatusNotFound, "BlobNotFound", "%q", r.path)
	}
	type block struct {
		Name string
		Size int
	}
	answer := struct {
		XMLName xml.Name `xml:"BlockList"`
		Blocks  []block  `xml:"UncommittedBlocks>Block"`
	}{}
	for id, body := range c.blocks[r.path] {
		answer.Blocks = append(answer.Blocks, block{id, len(body)})
	}
	slices.SortFunc(answer.Blocks, func(a, b block) int { return strings.Compare(a.Name, b.Name) })
	return writeXML(w, answer)
}

// get answers Get Blob and Get Blob Properties. A directory reads as zero bytes.
func (s *Server) get(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	c := s.containers[r.container]
	var n *node
	if c != nil {
		n = c.version(r.path, r.query.Get("versionid"))
	}
	current := c != nil && n == c.nodes[r.path]
	s.mu.Unlock()
	switch {
	case c == nil:
		return fail(http.StatusNotFound, "ContainerNotFound", "%s", r.container)
	case n == nil:
		return fail(http.StatusNotFound, "BlobNotFound", "%q", r.path)
	}
	if err := conditions(r, n); err != nil {
		return err
	}
	if n.describe(w.Header()); n.version == "" {
		n.describePath(w.Header())
	} else {
		n.describeVersion(w.Header(), current)
	}
	from, to, status := 0, len(n.body), http.StatusOK
	if text := r.Header.Get("x-ms-range"); text != "" {
		first, last, err := interval(text, len(n.body))
		if err != nil {
			return err
		}
		from, to, status = first, last+1, http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(n.body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(n.body[from:to]) // the client may be gone
	}
	return nil
}

func (n *node) describe(h http.Header) {
	for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control", "Content-MD5"} {
		if text := n.header.Get("x-ms-blob-" + name); text != "" {
			h.Set(name, text)
		}
	}
	h.Set("Content-Type", n.contentType())
	for key, text := range n.metadata() {
		h.Set("x-ms-meta-"+key, text)
	}
	h.Set("ETag", `"`+n.etag+`"`)
	h.Set("Last-Modified", n.modified.Format(http.TimeFormat))
	h.Set("x-ms-blob-type", "BlockBlob")
}

// describePath tells what only a hierarchical namespace has.
func (n *node) describePath(h http.Header) {
	h.Set("x-ms-resource-type", n.kind())
	h.Set("x-ms-owner", n.owner())
	h.Set("x-ms-group", n.group())
	h.Set("x-ms-permissions", n.mode())
	if n.rights.ACL != "" {
		h.Set("x-ms-acl", n.rights.ACL)
	}
}

// interval is that of a Range header, cut to what there is.
func interval(text string, size int) (first, last int, err error) {
	from, to, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if first, err = strconv.Atoi(from); err != nil || !ok {
		return 0, 0, fail(http.StatusBadRequest, "InvalidHeaderValue", "%s", text)
	}
	last = size - 1
	if to != "" {
		if last, err = strconv.Atoi(to); err != nil {
			return 0, 0, fail(http.StatusBadRequest, "InvalidHeaderValue", "%s", text)
		}
	}
	if first >= size {
		return 0, 0, fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "%s of %d", text, size)
	}
	return first, min(last, size-1), nil
}

// deleteBlob answers Delete Blob. The directories above stay.
func (s *Server) deleteBlob(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.container]
	if c == nil {
		return fail(http.StatusNotFound, "ContainerNotFound", "%s", r.container)
	}
	if id := r.query.Get("versionid"); id != "" {
		return c.deleteVersion(w, r.path, id)
	}
	n := c.nodes[r.path]
	if n == nil {
		if r.Header.Get("If-Match") != "" {
			return fail(http.StatusPreconditionFailed, "ConditionNotMet", "there is no %q", r.path)
		}
		return fail(http.StatusNotFound, "BlobNotFound", "%q", r.path)
	}
	if err := conditions(r, n); err != nil {
		return err
	}
	if n.directory && r.Header.Get("x-ms-delete-snapshots") != "" {
		return fail(http.StatusBadRequest, "OperationNotSupportedOnDirectory", "%q", r.path)
	}
	if n.directory && c.holds(r.path) {
		return fail(http.StatusConflict, "DirectoryIsNotEmpty", "%q", r.path)
	}
	if c.flat {
		c.past[r.path] = append(c.past[r.path], n)
	}
	c.remove(r.path)
	w.WriteHeader(http.StatusAccepted)
	return nil
}
