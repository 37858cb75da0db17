package bucketsync

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// A store that acknowledges an object's digest has taken the whole request, its properties with the bytes. A server that drops
// a property in silence does so to every object that has it. So properties are read back for the first objects of each
// combination of properties, and for a sample of those that follow.
const (
	shapeFirst = 8
	shapeEvery = 128
)

// shapeOf says which properties an object has, and which of them are of a kind that stores are known to change: the names
// of metadata and tags are part of it, and values other than printable ASCII without spaces at their ends.
func shapeOf(p bucket.Properties) string {
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(name)
		if plain(value) {
			b.WriteByte('=')
		} else {
			b.WriteString("~=")
		}
	}
	add("type", p.ContentType)
	add("encoding", p.ContentEncoding)
	add("language", p.ContentLanguage)
	add("disposition", p.ContentDisposition)
	add("cache", p.CacheControl)
	add("redirect", p.WebsiteRedirect)
	add("class", p.StorageClass)
	if !p.Expires.IsZero() {
		add("expires", "a time")
	}
	if p.Lock != (bucket.Lock{}) {
		add("lock", string(p.Lock.Mode)+"-")
		add("hold", fmt.Sprint(p.Lock.Hold, p.Lock.EventHold))
	}
	add("key", p.Encryption.Key)
	for _, name := range slices.Sorted(maps.Keys(p.Metadata)) {
		add("metadata "+strconv.Quote(name), "-"+p.Metadata[name])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Tags)) {
		add("tag "+strconv.Quote(name), "-"+p.Tags[name])
	}
	return b.String()
}

func plain(value string) bool {
	return len(value) < 256 && !strings.HasSuffix(value, " ") && !strings.HasPrefix(value, "- ") &&
		!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

// shapes counts the objects of each shape that were written.
type shapes struct {
	mu      sync.Mutex
	written map[string]int
}

// due reports whether the properties of an object that was just written are to be read back.
func (s *shapes) due(p bucket.Properties) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written == nil {
		s.written = map[string]int{}
	}
	of := shapeOf(p)
	s.written[of]++
	n := s.written[of]
	return n <= shapeFirst || n%shapeEvery == 0
}
