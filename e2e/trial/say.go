package trial

import (
	"fmt"
	"time"
)

// Say prints a line of progress with its time.
func Say(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
