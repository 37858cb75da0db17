package bucketsync

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// alphabet is what keys were seen to be made of, in order. The middle between two keys is searched among texts of these
// letters: most of what lies between two keys by their bytes is nothing that anybody would write.
type alphabet struct {
	letters []rune
}

// maxLetters bounds an alphabet.
const maxLetters = 4096

// learn adds the letters of a key. Keys that are not UTF-8 teach nothing.
func (a *alphabet) learn(key string) {
	if !utf8.ValidString(key) {
		return
	}
	for _, r := range key {
		if i, known := slices.BinarySearch(a.letters, r); !known && len(a.letters) < maxLetters {
			a.letters = slices.Insert(a.letters, i, r)
		}
	}
}

// base is that of the numbers as which texts are read: the end of a text counts as a letter before all others, and one behind all
// others stands for an open end.
func (a *alphabet) base() uint64 { return uint64(len(a.letters)) + 2 }

// places is how many letters of a text fit into a number.
func (a *alphabet) places() int {
	n, room := 0, uint64(1)<<62
	for base := a.base(); room >= base; room /= base {
		n++
	}
	return n
}

// number reads the first letters of a text as a number. A letter that is not of the alphabet counts as the one before which it
// would stand.
func (a *alphabet) number(text string, places int) (n uint64) {
	base := a.base()
	for range places {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		var digit uint64
		if size > 0 {
			i, known := slices.BinarySearch(a.letters, r)
			if digit = uint64(i); known {
				digit++
			}
		}
		n = n*base + digit
	}
	return n
}

// text is the shortest that lies in (low, high], of the letters of a number.
func (a *alphabet) text(n uint64, places int) string {
	base := a.base()
	digits := make([]uint64, places)
	for i := places - 1; i >= 0; i-- {
		digits[i] = n % base
		n /= base
	}
	var b strings.Builder
	for _, d := range digits {
		if d == 0 {
			break
		}
		b.WriteRune(a.letters[min(d, uint64(len(a.letters)))-1])
	}
	return b.String()
}

// common is the part with which both texts begin, in whole letters.
func common(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) || n > 0 && n < len(b) && !utf8.RuneStart(b[n]) {
		n--
	}
	return a[:n]
}

// middle is a text between low and high, about in the middle; "" for high is an open end. ok is false where there is none.
func (a *alphabet) middle(low, high string) (mid string, ok bool) {
	if len(a.letters) == 0 || !utf8.ValidString(low) || !utf8.ValidString(high) {
		return "", false
	}
	begin, places := common(low, high), a.places()
	from := a.number(low[len(begin):], places)
	to := a.end(places)
	if high != "" {
		to = a.number(high[len(begin):], places)
	}
	if to <= from {
		return "", false
	}
	at := from + (to-from)/2
	whole := a.text(at, places)
	// The fewer letters a key has the better it is read, and what is cut off is little.
	for n := 1; n <= len(whole); n++ {
		if mid = begin + whole[:n]; utf8.ValidString(mid) && mid > low && (high == "" || mid < high) && a.number(mid[len(begin):], places) > from+(to-from)/4 {
			return mid, true
		}
	}
	mid = begin + whole
	return mid, mid > low && (high == "" || mid < high)
}

// end is the number behind that of every text.
func (a *alphabet) end(places int) (n uint64) {
	base := a.base()
	for range places {
		n = n*base + base - 1
	}
	return n
}

// share is about which part of what lies between low and high lies behind at: 0 to 1.
func (a *alphabet) share(low, at, high string) float64 {
	if len(a.letters) == 0 {
		return 0
	}
	begin, places := len(common(low, high)), a.places()
	from, now, to := a.number(low[begin:], places), a.number(at[min(begin, len(at)):], places), a.end(places)
	if high != "" {
		to = a.number(high[begin:], places)
	}
	if to <= from || now >= to {
		return 0
	}
	return float64(to-max(now, from)) / float64(to-from)
}
