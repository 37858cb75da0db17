package program

import (
	"fmt"
	"io"
	"time"
)

// SayTo returns what prints lines of progress with their times.
func SayTo(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)) // a closed output is the user's choice
	}
}
