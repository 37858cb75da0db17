package bucket

import "strings"

// ChangeMark is, in the ETag of a file, between what a program can set (its time, size and number) and when the system says that
// the file was changed last. Earlier versions wrote down the first alone, and some systems tell no more.
const ChangeMark = ".c"

// Touched reports whether two ETags are of one file that was written once, as far as its time, size and number tell: its name,
// rights or links were changed since, or somebody wrote into it and put its time back.
func Touched(known, now string) bool {
	known, one, _ := strings.Cut(known, ChangeMark)
	now, other, _ := strings.Cut(now, ChangeMark)
	return known != "" && known == now && one != other
}

// Earlier reports whether an ETag is what earlier versions gave to the file whose ETag is now the other.
func Earlier(known, now string) bool {
	return Touched(known, now) && !strings.Contains(known, ChangeMark)
}
