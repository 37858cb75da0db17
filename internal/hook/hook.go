package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Sentinels of this package.
var (
	// ErrNoPods says that a hook or probe had nobody to ask: no pod runs. That is no success (I8).
	ErrNoPods = errors.New("no pod of the selector is running")
	// ErrAccepted says that a write was accepted that had to be refused.
	ErrAccepted = errors.New("a write was accepted")
	// ErrAnswer says that a hook was answered otherwise than it expects.
	ErrAnswer = errors.New("the answer is not the expected one")
)

// Runner runs hooks on one side. Kube is needed by hooks of pods and patches; the rest works as the zero value.
type Runner struct {
	Kube      *kube.Client
	Namespace string
	// Selector of the application's pods, where a hook names none.
	Selector string
	HTTP     *http.Client
	// Dir is the working directory of commands; empty means this process's own.
	Dir string
	Log *slog.Logger
	// Clock waits; nil means the machine's own.
	Clock clock.Clock
	// Settle is how long a probe waits for pods that are starting or ending. Default one minute.
	Settle time.Duration
}

// Outcome is what a hook did: enough to undo it, and nothing of what was said.
type Outcome struct {
	// Asked names the pods or the URL that answered as expected.
	Asked []string `json:"asked,omitempty"`
	// Replaced holds the fields that a patch replaces, as they were before.
	Replaced []Field `json:"replaced,omitempty"`
	// Set holds the same fields as the server had them after the patch.
	Set []Field `json:"set,omitempty"`
}

// Run runs one hook. Run again after a kill, an HTTP hook and a command run again, and a patch that is in place already
// is left alone.
func (r Runner) Run(ctx context.Context, h migration.Hook) (Outcome, error) {
	switch {
	case h.HTTP != nil:
		return r.runHTTP(ctx, *h.HTTP)
	case len(h.Command) > 0:
		if err := r.command(ctx, h.Command, nil, nil); err != nil {
			return Outcome{}, err
		}
		return Outcome{Asked: []string{h.Command[0]}}, nil
	case h.Patch != nil:
		return r.runPatch(ctx, *h.Patch)
	}
	return Outcome{}, errors.New("the hook is empty: give it http, command or patch")
}

// Undo takes a patch back: the fields that it replaced get the values of the Outcome. It refuses with a *plan.MovedError
// when somebody else has changed one of them since. Other hooks have nothing that this package could take back: that is
// what the hooks of `leave` are for.
func (r Runner) Undo(ctx context.Context, h migration.Hook, o Outcome) error {
	if h.Patch == nil {
		return nil
	}
	return r.undoPatch(ctx, *h.Patch, o)
}

// Export runs a hook whose output, or body of the answer, is a payload, and copies that to w.
func (r Runner) Export(ctx context.Context, h migration.Hook, w io.Writer) error {
	switch {
	case len(h.Command) > 0:
		return r.command(ctx, h.Command, nil, w)
	case h.HTTP != nil:
		return r.stream(ctx, *h.HTTP, nil, w)
	}
	return errors.New("the payload's hook must be a command or an http request")
}

// Import runs a hook that reads a payload from its input, or as the body of its request.
func (r Runner) Import(ctx context.Context, h migration.Hook, payload io.Reader) error {
	switch {
	case len(h.Command) > 0:
		return r.command(ctx, h.Command, payload, nil)
	case h.HTTP != nil:
		return r.stream(ctx, *h.HTTP, payload, io.Discard)
	}
	return errors.New("the payload's hook must be a command or an http request")
}

// Describe names a hook for a person.
func Describe(h migration.Hook) string {
	switch {
	case h.HTTP != nil && h.HTTP.Pods != nil:
		return fmt.Sprintf("%s port %d %s on every pod", method(*h.HTTP), h.HTTP.Pods.Port, withoutQuery(h.HTTP.Pods.Path))
	case h.HTTP != nil:
		return method(*h.HTTP) + " " + withoutUser(h.HTTP.URL)
	case len(h.Command) > 0:
		return "run " + h.Command[0]
	case h.Patch != nil:
		return fmt.Sprintf("patch %s %s", h.Patch.Kind, h.Patch.Name)
	}
	return "nothing"
}

func (r Runner) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

func (r Runner) clock() clock.Clock {
	if r.Clock == nil {
		return clock.System{}
	}
	return r.Clock
}
