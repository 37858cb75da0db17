// Package headertext keeps values of user metadata that an HTTP header cannot carry: S3, MinIO and Azure hold metadata
// in headers. Such a value travels as encoded words of RFC 2047, which is also how S3 itself shows them, and comes
// back as it was. Plain values stay as they are.
package headertext

import (
	"encoding/base64"
	"mime"
	"strings"
	"unicode/utf8"
)

// Encode returns the value as a header carries it.
func Encode(value string) string {
	plain := value == strings.TrimSpace(value) && !strings.Contains(value, "=?")
	for i := 0; plain && i < len(value); i++ {
		plain = value[i] >= ' ' && value[i] < 0x7f
	}
	if plain {
		return value
	}
	var words []string
	for len(value) > 0 {
		end := min(len(value), wordBytes)
		for end < len(value) && !utf8.RuneStart(value[end]) {
			end--
		}
		if end == 0 { // not UTF-8: Holds says so, and the loop still ends
			end = min(len(value), wordBytes)
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(value[:end]))+"?=")
		value = value[end:]
	}
	return strings.Join(words, " ")
}

// wordBytes is what fits an encoded word, which has at most 75 characters.
const wordBytes = 45

// Decode returns the value that Encode was given. What is no encoded word of UTF-8 stays as it is.
func Decode(value string) string {
	if !strings.HasPrefix(value, "=?") {
		return value
	}
	text, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return value
	}
	return text
}

// Holds says whether a value can be encoded: it must be UTF-8.
func Holds(value string) bool { return utf8.ValidString(value) }
