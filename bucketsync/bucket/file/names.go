package file

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

const (
	privateDir  = ".crossfade"
	maxPiece    = 250 // bytes; file systems allow 255, and a marker and an escape at the end take four more
	emptyName   = "%_"
	markAside   = "%=" // at the end of a file whose plain name a directory has
	markGoesOn  = "%+" // at the end of a directory whose name goes on in the next one
	hexDigits   = "0123456789ABCDEF"
	windowsOnly = `\:*?"<>|`
)

// naming turns keys into slash-separated paths and back.
type naming struct{ windows bool }

// path returns the plain path of a key. No two keys share one.
func (n naming) path(key string) string {
	var names []string
	for i, segment := range strings.Split(key, "/") {
		pieces := n.pieces(segment)
		if i == 0 && strings.EqualFold(pieces[0], privateDir) {
			pieces[0] = "%2E" + pieces[0][1:]
		}
		for _, piece := range pieces[:len(pieces)-1] {
			names = append(names, piece+markGoesOn)
		}
		names = append(names, pieces[len(pieces)-1])
	}
	return strings.Join(names, "/")
}

// aside is where an object lies whose plain path is a directory.
func aside(plain string) string { return plain + markAside }

// pieces escapes one segment of a key and cuts it to names that a file system takes.
func (n naming) pieces(segment string) []string {
	if segment == "" {
		return []string{emptyName}
	}
	var pieces []string
	var current strings.Builder
	for rest := segment; rest != ""; {
		unit, used := n.unit(rest)
		if current.Len()+len(unit) > maxPiece {
			pieces = append(pieces, n.wholeName(current.String()))
			current.Reset()
		}
		current.WriteString(unit)
		rest = rest[used:]
	}
	return append(pieces, n.wholeName(current.String()))
}

// unit escapes what stands first in rest and says how many bytes of rest that was.
func (n naming) unit(rest string) (string, int) {
	c := rest[0]
	switch {
	case c < ' ' || c == 0x7f || n.windows && strings.IndexByte(windowsOnly, c) >= 0:
		return escape(c), 1
	case c == '%' && (rest == emptyName || rest == markAside || rest == markGoesOn):
		return escape(c), 1
	case c == '%':
		if _, ok := unescape(rest); ok {
			return escape(c), 1
		}
	}
	_, size := utf8.DecodeRuneInString(rest)
	return rest[:size], size
}

// wholeName escapes what is special only as a whole name, or at the end of one.
func (n naming) wholeName(name string) string {
	switch {
	case name == ".":
		return "%2E"
	case name == "..":
		return "%2E%2E"
	case n.windows && (strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")):
		return name[:len(name)-1] + escape(name[len(name)-1])
	}
	return name
}

func escape(c byte) string {
	return string([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
}

// unescape reads one escape at the start of text. Only bytes that some system needs escaped count as such, so that
// plain names with a percent sign mostly stay as they are.
func unescape(text string) (byte, bool) {
	if len(text) < 3 || text[0] != '%' {
		return 0, false
	}
	high, low := strings.IndexByte(hexDigits, text[1]), strings.IndexByte(hexDigits, text[2])
	if high < 0 || low < 0 {
		return 0, false
	}
	c := byte(high<<4 | low)
	return c, c <= ' ' || c == 0x7f || c == '%' || c == '.' || strings.IndexByte(windowsOnly, c) >= 0
}

// extend returns what a name adds to the key of the directory that it is in, the slash included.
func extend(name string, dir bool) string {
	slash := ""
	if dir {
		if cut, ok := strings.CutSuffix(name, markGoesOn); ok {
			name = cut
		} else {
			slash = "/"
		}
	} else {
		name = strings.TrimSuffix(name, markAside)
	}
	if name == emptyName {
		return slash
	}
	var key strings.Builder
	for rest := name; rest != ""; {
		if c, ok := unescape(rest); ok {
			key.WriteByte(c)
			rest = rest[3:]
			continue
		}
		key.WriteByte(rest[0])
		rest = rest[1:]
	}
	return key.String() + slash
}

// holds reports whether a path is one where an object of this key is.
func (n naming) holds(key, rel string) bool {
	plain := n.path(key)
	return rel == plain || rel == aside(plain)
}

// problem says why no file can hold the key.
func (n naming) problem(key string) string {
	switch {
	case key == "":
		return "an object needs a key"
	case len(key) > maxKey:
		return fmt.Sprintf("the key has %d bytes, a path here takes %d", len(key), maxKey)
	}
	if n.windows {
		for name := range strings.SplitSeq(n.path(key), "/") {
			if reserved(name) {
				return "Windows reserves the name " + path.Base(name)
			}
		}
	}
	return ""
}

// reserved names are devices on Windows, whatever their extension.
func reserved(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch base {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) && base[3] >= '0' && base[3] <= '9'
}
