package crossfade

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAnInterruptionSaysWhatItLeavesAndWhatToType(t *testing.T) {
	for name, c := range map[string]struct {
		frozen []string
		want   []string
	}{
		"before a freeze": {nil, []string{"the same command goes on"}},
		"in a freeze":     {[]string{"shop", "stock"}, []string{"blue is frozen for shop, stock", "`crossfade run`", "`crossfade rollback shop`"}},
	} {
		err := error(&InterruptedError{Frozen: c.frozen, Cause: errors.New("list: canceled")})
		for _, want := range append(c.want, "list: canceled") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", name, want, err)
			}
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: it does not pass for an interruption", name)
		}
	}
}
