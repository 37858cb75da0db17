package azurefake

import (
	"net/http"
	"slices"
	"strconv"
)

// supersede makes a version of what is written, and a previous one of what was there
// (https://learn.microsoft.com/azure/storage/blobs/versioning-overview).
func (c *container) supersede(w http.ResponseWriter, path string, then *node) {
	then.version = then.modified.Format("2006-01-02T15:04:05.0000000Z")
	if now := c.nodes[path]; now != nil {
		c.past[path] = append(c.past[path], now)
	}
	w.Header().Set("x-ms-version-id", then.version)
}

// version is one, or what is current.
func (c *container) version(path, id string) *node {
	now := c.nodes[path]
	if id == "" || now != nil && now.version == id {
		return now
	}
	for _, n := range c.past[path] {
		if n.version == id {
			return n
		}
	}
	return nil
}

func (n *node) describeVersion(h http.Header, current bool) {
	h.Set("x-ms-version-id", n.version)
	if current {
		h.Set("x-ms-is-current-version", strconv.FormatBool(current))
	}
}

// deleteVersion takes a previous version away. The current one has to be deleted as such
// (https://learn.microsoft.com/rest/api/storageservices/delete-blob).
func (c *container) deleteVersion(w http.ResponseWriter, path, id string) error {
	n := c.version(path, id)
	switch n {
	case nil:
		return fail(http.StatusNotFound, "BlobNotFound", "%q has no version %s", path, id)
	case c.nodes[path]:
		return fail(http.StatusForbidden, "OperationNotAllowedOnRootBlob", "%s is the current version of %q", id, path)
	}
	c.past[path] = slices.DeleteFunc(c.past[path], func(other *node) bool { return other == n })
	if len(c.past[path]) == 0 {
		delete(c.past, path)
	}
	c.paths = nil
	w.WriteHeader(http.StatusAccepted)
	return nil
}
