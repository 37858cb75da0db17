package dnsx

import (
	"fmt"
	"strings"
)

// TextData returns the data of a TXT record that holds these strings, in presentation form: `"a" "b"`.
func TextData(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		for j := range len(part) {
			switch c := part[j]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

// TextParts returns the strings of a TXT record's data in presentation form: the opposite of TextData. Strings without
// quotes are taken too, as in zone files.
func TextParts(data string) ([]string, error) {
	var parts []string
	for i := 0; ; {
		for i < len(data) && (data[i] == ' ' || data[i] == '\t') {
			i++
		}
		if i == len(data) {
			return parts, nil
		}
		quoted := data[i] == '"'
		if quoted {
			i++
		}
		var b strings.Builder
		for ; ; i++ {
			if i == len(data) {
				if quoted {
					return nil, fmt.Errorf("%w: a quote is not closed: %s", ErrReply, data)
				}
				break
			}
			c := data[i]
			if quoted && c == '"' {
				i++
				break
			}
			if !quoted && (c == ' ' || c == '\t') {
				break
			}
			if c == '\\' {
				var err error
				if c, i, err = escaped(data, i); err != nil {
					return nil, err
				}
			}
			b.WriteByte(c)
		}
		parts = append(parts, b.String())
	}
}

// escaped reads the byte that an escape at i stands for, and returns where the escape ends (RFC 1035 section 5.1).
func escaped(data string, i int) (byte, int, error) {
	rest := data[i+1:]
	if len(rest) >= 3 && digits(rest[:3]) {
		n := int(rest[0]-'0')*100 + int(rest[1]-'0')*10 + int(rest[2]-'0')
		if n > 255 {
			return 0, i, fmt.Errorf("%w: escape \\%s: %s", ErrReply, rest[:3], data)
		}
		return byte(n), i + 3, nil
	}
	if rest == "" {
		return 0, i, fmt.Errorf("%w: a backslash at the end: %s", ErrReply, data)
	}
	return rest[0], i + 1, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
