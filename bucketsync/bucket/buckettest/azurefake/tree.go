package azurefake

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// maxParts is how many parts a path has below its container: 63, less the host and the container.
const maxParts = 61

// node is a blob or a directory. It is never changed, only replaced.
type node struct {
	directory bool
	body      []byte
	header    http.Header // as it was given: x-ms-blob-*, x-ms-meta-*
	etag      string      // without quotes
	modified  time.Time
	rights    Rights
	foreign   bool   // made by the API of Data Lake Storage
	version   string // its id, in an account that keeps versions
}

// container is a tree of nodes by their paths, which have no slash at the ends. A flat one has blobs alone, under any names.
type container struct {
	flat   bool
	nodes  map[string]*node
	paths  []string           // in the order of listings; nil after a change
	blocks map[string]blocks  // uncommitted, by path
	past   map[string][]*node // previous versions in a flat one, the oldest first
}

type blocks map[string][]byte // by the block's name

func newContainer(flat bool) *container {
	return &container{flat: flat, nodes: map[string]*node{}, blocks: map[string]blocks{}, past: map[string][]*node{}}
}

// sorted lists paths by their parts: what lies in a directory follows it at once.
func (c *container) sorted() []string {
	if c.paths == nil {
		c.paths = make([]string, 0, len(c.nodes))
		for path := range c.nodes {
			c.paths = append(c.paths, path)
		}
		for path := range c.past {
			if c.nodes[path] == nil {
				c.paths = append(c.paths, path)
			}
		}
		slices.SortFunc(c.paths, c.order)
	}
	return c.paths
}

// order is that of listings.
func (c *container) order(a, b string) int {
	if c.flat {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	}
	return byParts(a, b)
}

func byParts(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) }

// holds reports whether anything lies in a directory.
func (c *container) holds(path string) bool {
	for other := range c.nodes {
		if strings.HasPrefix(other, path+"/") {
			return true
		}
	}
	return false
}

func (s *Server) room(c *container, path string) error {
	if c.flat {
		return nil
	}
	return c.room(path, s.implied)
}

// room makes the directories above a path, or says why the path cannot be.
func (c *container) room(path string, made func() *node) error {
	parts := strings.Split(path, "/")
	if slices.Contains(parts, "") || len(parts) > maxParts {
		return fail(http.StatusBadRequest, "InvalidUri", "a path of %d parts, or with an empty one", len(parts))
	}
	for i := 1; i < len(parts); i++ {
		above := strings.Join(parts[:i], "/")
		if n := c.nodes[above]; n != nil && !n.directory {
			return fail(http.StatusConflict, "PathConflict", "%q is a blob", above)
		}
	}
	for i := 1; i < len(parts); i++ {
		if above := strings.Join(parts[:i], "/"); c.nodes[above] == nil {
			c.set(above, made())
		}
	}
	return nil
}

func (c *container) set(path string, n *node) {
	if c.nodes[path] == nil {
		c.paths = nil
	}
	c.nodes[path] = n
}

func (c *container) remove(path string) {
	delete(c.nodes, path)
	c.paths = nil
}

// metadata is that of a node; a directory shows that it is one.
func (n *node) metadata() map[string]string {
	all := map[string]string{}
	for name, values := range n.header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-meta-"); ok {
			all[key] = values[0]
		}
	}
	if n.directory {
		all["hdi_isfolder"] = "true"
	}
	return all
}

func (n *node) kind() string {
	if n.directory {
		return "directory"
	}
	return "file"
}

// mode is how a node shows its rights.
func (n *node) mode() string {
	mode := n.rights.Permissions
	switch {
	case mode != "":
	case n.directory:
		mode = "rwxr-x---"
	default:
		mode = "rw-r-----"
	}
	if n.rights.ACL != "" {
		mode += "+"
	}
	return mode
}

func (n *node) owner() string { return cmp.Or(n.rights.Owner, "$superuser") }
func (n *node) group() string { return cmp.Or(n.rights.Group, "$superuser") }

// marker stands for the place in a listing behind a path.
func marker(path string) string { return base64.URLEncoding.EncodeToString([]byte(path)) }

func unmark(text string) (string, error) {
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		return "", fail(http.StatusBadRequest, "OutOfRangeInput", "%s", fmt.Sprint(err))
	}
	return string(raw), nil
}
