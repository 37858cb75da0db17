package bucketsync

import "strings"

// nesting finds, in keys that come in the order of their bytes, those that lie below another: a/b below a. It holds only keys
// that the last one begins with.
type nesting struct{ above []nested }

type nested struct {
	key string
	new bool // the source has it
}

const nestedWords = "it lies below another object, as a/b below a, and the destination cannot hold both, or hides one"

// add takes the next pair and reports whether its key lies below one that came before, and not both are the destination's own.
func (n *nesting) add(p pair) bool {
	for len(n.above) > 0 && !strings.HasPrefix(p.key, n.above[len(n.above)-1].key) {
		n.above = n.above[:len(n.above)-1]
	}
	now := nested{key: p.key, new: p.src != nil}
	below := false
	for _, a := range n.above {
		if (a.new || now.new) && !strings.HasSuffix(a.key, "/") && strings.HasPrefix(p.key, a.key+"/") {
			below = true
		}
	}
	if p.src != nil || p.dst != nil {
		n.above = append(n.above, now)
	}
	return below
}
