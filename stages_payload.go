package crossfade

import (
	"context"
	"fmt"
	"io"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// payloadResult is what a payload stage brought over.
type payloadResult struct {
	Bytes int64 `json:"bytes"`
}

// payloadStage streams an application's payload, as the export within the freeze wrote it, from the archive into green.
func (m *Migration) payloadStage(a migration.Application) stage {
	name := "payload/" + a.Name
	return oneChange(m, stage{name: name, title: "bring the payload of " + a.Name + " to green"},
		plan.Change{
			ID: name + "/import", Action: "import payload", Target: "green: " + hook.Describe(a.Payload.Import), App: a.Name,
			Why: "no Kubernetes object and no bucket holds it; going back stops green, and blue still has its own",
		},
		func(ctx context.Context) (payloadResult, error) {
			green, err := m.side(Green)
			if err != nil {
				return payloadResult{}, err
			}
			reader, err := m.openArchive(ctx)
			if err != nil {
				return payloadResult{}, err
			}
			n, err := importPayload(ctx, reader, m.hookRunner(green, m.greenNamespace(a.Namespace), a), a)
			return payloadResult{Bytes: n}, err
		})
}

// importPayload connects the archive with the importing hook, so that a payload of any size needs little memory.
func importPayload(ctx context.Context, reader *archive.Reader, runner hook.Runner, a migration.Application) (int64, error) {
	from, to := io.Pipe()
	counted := &counter{w: to}
	done := make(chan struct{})
	go func() {
		defer close(done)
		found, err := reader.Payload(ctx, a.Name, counted)
		if err == nil && !found {
			err = fmt.Errorf("the archive holds no payload of %s", a.Name)
		}
		to.CloseWithError(err) // nil ends the stream in good order
	}()
	err := runner.Import(ctx, a.Payload.Import, from)
	from.CloseWithError(err) // a sender that is not done stops, too
	<-done
	return counted.n, err
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
