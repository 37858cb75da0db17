package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Archive is the revision that is restored; *archive.Reader is one. Methods may be called from several goroutines.
type Archive interface {
	// Index returns what the revision holds.
	Index() archive.Index
	// Object returns one object of the revision, as blue had it.
	Object(ctx context.Context, e archive.Entry) (*unstructured.Unstructured, error)
}

// Earlier is an Archive that knows the revisions before its own, too.
type Earlier interface {
	// EarlierKinds lists the kinds of objects that they hold. Green may still have some that the revision itself lacks.
	EarlierKinds(ctx context.Context) ([]schema.GroupKind, error)
}

// Policy decides what happens to an object that is on green already and that this migration did not make.
type Policy string

// Policies for foreign objects.
const (
	// Fail refuses the plan and names each. It is the default.
	Fail Policy = "fail"
	// Skip leaves the object as it is.
	Skip Policy = "skip"
	// Update overwrites the object and leaves it its owner's: going back puts the old content back.
	Update Policy = "update"
	// Adopt overwrites the object and makes it this migration's own.
	Adopt Policy = "adopt"
)

// Options of every call of this package. Green, Archive, Migration and Stage are needed; the rest works as zero values.
type Options struct {
	// Migration names the migration; all that is made carries it as a label.
	Migration string
	// Stage is the stage of the pipeline: it begins the ID of every change.
	Stage   string
	Green   *kube.Client
	Archive Archive
	// Applications of the migration file: their dark state, hooks and volumes.
	Applications []migration.Application
	// Only restores these applications' objects; empty restores all, and what several share.
	Only []string
	// Maps of the migration file. NodePorts is not read: Ports is.
	Maps migration.Maps
	// Ports maps blue's node ports to green's, as package ports planned them.
	Ports map[int32]int32
	// Patches of the migration file.
	Patches []migration.Patch
	// Binds set keys of ConfigMaps and Secrets; what {{…}} stands for is filled in already.
	Binds []migration.Bind
	// Conflicts decides about foreign objects.
	Conflicts Policy
	// AllowOlder allows a green with a lower minor version than blue's.
	AllowOlder bool
	// Ready is how long objects may take until they are ready. Default 5m.
	Ready time.Duration
	// Parallel is how many objects are written at once. Default 32.
	Parallel int
	// HTTP and Dir are for the hooks that let green write: the client of those with a URL, the folder of commands.
	HTTP *http.Client
	Dir  string

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer

	// webhooks takes in the admission webhooks that belong to no application.
	webhooks bool
	// hold leaves running what a stop would end.
	hold bool
}

// Result is what a call made.
type Result struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
	// Found counts those among them that were there already as this migration makes them: an earlier try was killed before
	// it could say so.
	Found   int `json:"found"`
	Deleted int `json:"deleted,omitempty"`
	Started int `json:"started,omitempty"`
	Stopped int `json:"stopped,omitempty"`
}

// ErrPortTaken says that somebody took a node port between the plan and the write.
var ErrPortTaken = errors.New("the node port was taken since the plan was made")

// An Error is a failure that the user can mend.
type Error = mend.Error

const (
	defaultReady    = 5 * time.Minute
	defaultParallel = 32
)

// withDefaults checks what is needed and fills in the rest.
func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Green == nil || o.Archive == nil:
		return o, &Error{Op: "restore", Hint: "green and an archive are needed"}
	case o.Migration == "" || o.Stage == "":
		return o, &Error{Op: "restore", Hint: "the migration and the stage need a name"}
	}
	if o.Conflicts == "" {
		o.Conflicts = Fail
	}
	if !slices.Contains([]Policy{Fail, Skip, Update, Adopt}, o.Conflicts) {
		return o, &Error{Op: fmt.Sprintf("restore: read the policy %q for conflicts", o.Conflicts), Hint: "choose fail, skip, update or adopt"}
	}
	if o.Ready == 0 {
		o.Ready = defaultReady
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Observer == nil {
		o.Observer = plan.Silent{}
	}
	return o, nil
}

// app returns an application by its name.
func (o Options) app(name string) (migration.Application, bool) {
	for _, a := range o.Applications {
		if a.Name == name {
			return a, true
		}
	}
	return migration.Application{}, false
}

// wants reports whether an entry of the archive takes part.
func (o Options) wants(e archive.Entry) bool {
	switch {
	case e.Role == archive.RoleInformation:
		return false
	case len(o.Only) == 0 || slices.Contains(o.Only, e.App):
		return true
	}
	return o.webhooks && e.App == "" && isAdmissionWebhook(key{Group: e.Group, Kind: e.Kind})
}
