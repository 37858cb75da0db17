package crossfade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/fault"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/redact"
	"github.com/crossfade-project/crossfade/internal/remote"
	"github.com/crossfade-project/crossfade/internal/runlog"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// File is a migration file as it was read. Load reads one.
type File = migration.Document

// Plan is what one stage intends, as data.
type Plan = plan.Plan

// RefusedError lists why a plan is not applied, each reason with its mend.
type RefusedError = plan.RefusedError

// InvalidError lists everything that is wrong with a migration file, with positions.
type InvalidError = migration.InvalidError

// ErrNoFile says that no migration file is where one was looked for.
var ErrNoFile = migration.ErrNoFile

// InputError says that what was given cannot be used: a credential, a key, a table, a name, a directory. Nothing was changed.
type InputError struct{ Err error }

// Error is the cause's own text.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// UnknownError says that something was asked for by a name that the migration file does not have.
type UnknownError struct {
	// Kind is what it would be: "bucket", "application", "stage", "mode".
	Kind string
	Name string
	// Known lists what there is, or says where to look.
	Known string
}

// Error says what there is instead.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no %s %q: %s", e.Kind, e.Name, e.Known)
}

// HeldError says that another run holds the migration.
type HeldError = journal.HeldError

// Load reads and checks a migration file.
func Load(path string) (*File, error) { return migration.Load(path) }

// LoadToGoBack reads a migration file for Rollback, PlanRollback, Status and Audit: what only the end of blue asks for does not count, and
// is File.Unretirable. Plan, Run and Retire refuse such a file with it.
func LoadToGoBack(path string) (*File, error) { return migration.LoadToGoBack(path) }

// Options wire a migration to the world. Stores and Zone are required where the file has buckets or zones.
type Options struct {
	// Tool is the version of the program, for the journal and the archive.
	Tool string
	// Actor is who runs it, user@host.
	Actor string
	// OpenBucket opens a bucket of a store of the file: it knows the drivers.
	OpenBucket func(ctx context.Context, s Store) (bucket.Bucket, error)
	// Memory bounds the bytes of all buckets' objects that are in memory at once. Default 32 MiB.
	Memory int64
	// OpenZone opens a zone of the file: it knows the drivers.
	OpenZone func(ctx context.Context, z ZoneConfig) (zone.Zone, error)
	// Getenv looks environment variables up. Nil means that there are none.
	Getenv func(string) string
	// Silence is how long a server may say nothing before a request to it fails. Default 30s.
	Silence time.Duration
	// Secrets are values that must never be logged, recorded or shown, beside those that the file refers to.
	Secrets []string
	Log     *slog.Logger
	Clock   clock.Clock
	// Fault is nil in every build but those that tests make to be killed.
	Fault *fault.Points
	// Events is told of progress, from several goroutines. Nil tells nobody.
	Events func(Event)
	// Approve asks a person whether a wave may begin that needs an approval. Nil asks nobody: the run pauses.
	Approve func(ctx context.Context, request ApprovalRequest) (bool, error)
	// Asked is told of requests to stores while buckets are copied: see bucketsync.Options.
	Asked func(op string, took time.Duration, err error)
}

// Store is one bucket at one store, with its credentials resolved.
type Store struct {
	Provider  string
	Endpoint  string
	Region    string
	Project   string
	Account   string
	AccessKey string
	SecretKey string
	Anonymous bool
	Bucket    string
	Prefix    string
	// Silence bounds how long the store may say nothing.
	Silence silence.Limit
}

// Migration is an opened migration: its file, its journal and its connections.
type Migration struct {
	file *File
	opts Options

	journal *journal.Journal // nil when opened for reading
	lease   *lease.Lease     // nil before begin
	begun   bool
	runLog  *runlog.Log // nil when opened for reading
	// redact knows every secret that has been resolved: what is logged, recorded or returned as an error goes through it.
	redact *redact.Redactor
	// noWait ends the run instead of waiting for an old TTL or a change window.
	noWait bool
	teller teller
	// requestLimit bounds each request to an API server; 0 is that of package kube.
	requestLimit time.Duration

	mu      sync.Mutex
	sides   map[string]*kube.Client
	buckets map[string]bucket.Bucket
	zones   map[string]zone.Zone
	stateAt remote.Store // nil before it is opened
	seen    seen         // by Look
	// warnings are those of the plans that this run has begun with.
	warnings []Warning
	memory   *bucketsync.Memory // of the objects under way
}

// Open opens a migration for work. It holds the state directory until Close; a second Open fails with a *HeldError. It connects
// to nothing: the first verb that changes something takes the lease, and fetches what the state store has and this
// directory has not.
func Open(file *File, opts Options) (*Migration, error) {
	m := newMigration(file, opts)
	j, err := journal.Open(file.StateDir(), journal.Options{
		Actor: opts.Actor, Tool: opts.Tool, Clock: m.opts.Clock, Fault: opts.Fault, Replicated: file.State != nil && file.State.URL != "",
		Clean: m.redact.Text,
	})
	if err != nil {
		return nil, fmt.Errorf("open migration %s: %w", file.Name, err)
	}
	j.View(func(log *journal.Log) { err = m.owns(log) })
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	m.journal = j
	m.keepLog()
	return m, nil
}

// Inspect opens a migration for planning and looking only: nothing is locked, nothing is written.
func Inspect(file *File, opts Options) *Migration { return newMigration(file, opts) }

func newMigration(file *File, opts Options) *Migration {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	m := &Migration{
		file: file, opts: opts, redact: redact.New(), memory: bucketsync.NewMemory(opts.Memory),
		sides: map[string]*kube.Client{}, buckets: map[string]bucket.Bucket{}, zones: map[string]zone.Zone{},
	}
	m.redact.Learn(opts.Secrets...)
	for _, n := range file.Notifications {
		if n.Webhook != nil {
			m.redact.Learn(n.Webhook.URL) // whoever knows it can post
		}
	}
	m.opts.Log = slog.New(m.redact.Handler(opts.Log.Handler()))
	return m
}

// Name is the migration's name.
func (m *Migration) Name() string { return m.file.Name }

// Close gives the migration back.
func (m *Migration) Close() error {
	if m.journal == nil {
		return nil
	}
	var err error
	if m.lease != nil {
		err = m.lease.Release()
	}
	return errors.Join(err, m.runLog.Close(), m.journal.Close())
}

// errReadOnly guards the verbs that change something against a Migration from Inspect.
var errReadOnly = errors.New("the migration was opened for inspection only")
