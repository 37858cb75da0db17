package export

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Options say what is exported and where to.
type Options struct {
	Migration string
	// Stage prefixes the IDs of the changes: "export", "delta/shop". Default "export".
	Stage string
	// Tool is the version of the program, for the archive.
	Tool string

	Blue *kube.Client
	// Green, where it is there already, decides in which version objects are read: one that both sides serve (K16).
	Green *kube.Client

	// Applications are all of the migration, in the order of the file.
	Applications []migration.Application
	// Only names the applications that are read again; the others keep what the archive holds. Empty means all.
	Only []string
	// Frozen holds the plans of the freezes that are in force: what they changed is archived as it was before (K2).
	Frozen []*plan.Plan

	// Store is where the archive is.
	Store archive.Store
	// Archive says to whom Secrets are encrypted, and who reads.
	Archive archive.Options

	// HTTP and Dir are for payload hooks.
	HTTP *http.Client
	Dir  string

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
}

func (o Options) stage() string {
	if o.Stage == "" {
		return "export"
	}
	return o.Stage
}

func (o Options) clock() clock.Clock {
	if o.Clock == nil {
		return clock.System{}
	}
	return o.Clock
}

func (o Options) log() *slog.Logger { return orDiscard(o.Log) }

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// chosen reports whether an application is read.
func (o Options) chosen(app string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, app) }

func (o Options) runner(app migration.Application) hook.Runner {
	return hook.Runner{
		Kube: o.Blue, Namespace: app.Namespace, Selector: app.Selector,
		HTTP: o.HTTP, Dir: o.Dir, Log: o.Log, Clock: o.Clock,
	}
}

// Result is what an export wrote.
type Result struct {
	Revision int    `json:"revision"`
	Index    string `json:"index"`
	Objects  int    `json:"objects"`
	// Counts per kind, of the whole revision.
	Counts map[string]int `json:"counts"`
	// Bytes of all objects and payloads; Written is what was new to the store.
	Bytes     int64 `json:"bytes"`
	Written   int64 `json:"written"`
	Encrypted int   `json:"encrypted"`
	// Dropped counts, per reason, what was read and not archived, since it is made again on green.
	Dropped map[string]int `json:"dropped,omitempty"`
	// Unread lists the APIs that did not answer: their objects are not in the archive.
	Unread   []kube.DeadGroup     `json:"unread,omitempty"`
	Verified archive.VerifyReport `json:"verified"`
}
