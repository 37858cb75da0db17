package bucketsync

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/internal/budget"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/prices"
)

// Options say what is synced, and how. From and To are required, the zero values of the rest work.
type Options struct {
	// Migration and Stage name the plan; Stage is the prefix of the IDs of its changes.
	Migration, Stage string
	// Name of the bucket in the migration, for people.
	Name string
	// Alone says that no migration file names the two buckets: what tells people how to mend something names flags of the command.
	Alone    bool
	From, To bucket.Bucket
	// Prefix chooses keys, on both sides. To give them another prefix at the destination, wrap the buckets with bucket.Sub.
	Prefix string
	Range  Range
	// Recopy chooses by globs what is copied again in the first pass although it is known to be equal, of what an earlier run wrote: a store may have
	// damaged what it was given, and not every store tells of a change of tags. None is nothing; Versions goes without it.
	Recopy []string
	// Filter chooses among those keys, on both sides: what it leaves out is neither copied nor touched. The zero value leaves nothing out.
	Filter Filter
	// Create makes the destination where it is missing.
	Create bool
	// Manifest is the path of a file that remembers what was copied. Beside it lies a log, PATH.log, while a run is not finished.
	// One run at a time may use it. Empty remembers nothing.
	Manifest string
	// Conflict says what happens to an object that the destination holds, that this migration did not write and that
	// differs from the source's. Default ConflictFail.
	Conflict Conflict
	// Delete removes at the destination what this migration copied there and the source no longer has.
	// It needs a Manifest: nothing else says what the migration's own is.
	Delete bool
	// DeleteForeign also removes what this migration did not create: the destination becomes a mirror.
	DeleteForeign bool
	// MaxDelete is the share of the destination's objects in the range above which deleting stops before it begins.
	// Nil is 0.30. Ten objects may be deleted whatever their share, but not with 0, which deletes nothing.
	MaxDelete *float64
	// Strict refuses a plan with losses.
	Strict bool
	// AcceptLostLocks copies objects whose locks the destination cannot hold without them. Else they are refused.
	AcceptLostLocks bool
	// Keys says for each key of a key service under which objects of the source are encrypted which key the destination is to use, by
	// the names that the providers give them. KeyProvider leaves it to the destination's default. A key that is not in it is refused.
	Keys map[string]string
	// Prices estimate what reading archived objects costs. Nil is the table in the program.
	Prices *prices.Table
	// Configuration says when the source's configuration (policy, lifecycle, CORS and so on) is written to the destination. Default
	// ConfigureCreate.
	Configuration ConfigurationMode
	// Brief plans from the listings alone. What the properties of objects lose is then not in the plan: it is found out as they are
	// copied, and an object whose properties the destination cannot hold fails by itself. Strict overrides it.
	Brief bool
	// Losses is a file to which Apply appends every property that the destination cannot hold as it is, of each object, as it is
	// copied: a line of JSON for each. Empty keeps sums and examples alone. ForeseenLosses is a file that Plan writes anew with what it
	// foresees; one that holds anything but what an earlier plan foresaw is ErrOtherLosses.
	Losses, ForeseenLosses string
	// Versions copies every version of every key, delete markers among them, in their order. Both sides have to keep versions;
	// a destination that is made is made so. The way back brings current objects only.
	Versions bool
	// Final goes on until a pass finds nothing to do, then proves both sides equal with the mode Proof. It belongs in a freeze.
	Final bool
	// Proof is how Final proves. Default ModeProof.
	Proof Mode
	// AllowExtra lets a proof hold although the destination has objects that the source has not.
	AllowExtra bool
	// Witness is called at the beginning of a proof, and what it returns for each object that the proof finds equal, in the order of
	// the bytes of keys. A listing that turns out not to be in order lets the proof, and so Witness, begin anew.
	Witness func() (func(Proven) error, error)
	// AllowConflicts lets a proof hold although ConflictSkip left objects at the destination that differ.
	AllowConflicts bool
	// Hash is the identity of content in the manifest and in proofs: BLAKE3 or SHA256. Empty is that of the two which is cheaper on this
	// machine. What was recorded with the other one stays as good.
	Hash bucket.Algorithm
	// NoServerSideCopy reads and writes every object, also where both sides are on one server that could copy by itself.
	NoServerSideCopy bool
	// Concurrency is how many objects are under way at once. 0 finds it out: a few at first, more as long as that brings more, and fewer
	// when a store asks to slow down.
	Concurrency int
	// MaxBytes bounds the bytes of objects in memory, those in the buffers of both drivers among them. Default 32 MiB.
	MaxBytes int64
	// Memory, where set, is what several syncs share, and MaxBytes says nothing.
	Memory *Memory
	// Bandwidth bounds the bytes a second that are read from both sides together; a copy writes what it reads. 0 is no bound.
	Bandwidth int64
	// TempDir is for listings that must be sorted. Empty means the system's.
	TempDir string

	Log      *slog.Logger
	Clock    clock.Clock
	Observer plan.Observer
	// Progress is called after each object, and as the proof of Final goes on, by one goroutine at a time.
	Progress func(Progress)
	// Asked is told of requests to both stores, from several goroutines: "list" (a page), "head", "open" (until the answer begins), "put",
	// "delete" or "check", how long it took, and how it ended.
	Asked func(op string, took time.Duration, err error)

	// stretch is how many keys a stretch of a pass has at least; see finished.go.
	stretch int64
	// back is set while what the destination has taken is brought back to the source.
	back bool
}

// Range is a half-open range of keys. Zero values are open ends.
type Range struct {
	After  string `json:"after,omitempty"`  // only keys greater than After
	Before string `json:"before,omitempty"` // only keys less than Before
}

// KeyProvider as a value of Options.Keys is no key: the destination encrypts as it does by default.
const KeyProvider = "provider"

// Conflict is a policy for objects that somebody else wrote at the destination.
type Conflict string

// Policies for conflicts.
const (
	// ConflictFail leaves the object as it is and fails.
	ConflictFail Conflict = "fail"
	// ConflictOverwrite replaces it with the source's.
	ConflictOverwrite Conflict = "overwrite"
	// ConflictSkip leaves it as it is and reports it. A proof fails on it.
	ConflictSkip Conflict = "skip"
)

// Progress is how far a sync has come.
type Progress struct {
	Objects, Bytes           int64 // copied so far
	TotalObjects, TotalBytes int64 // as planned; the source may have grown since
	Retries, Throttles       int64 // as in Result, so far
	UnderWay                 int   // how many objects may be under way at once, now
	Failures                 int64 // objects that could not be copied
	// Phase is empty while objects are copied, or compared by a Verify. Each phase counts from nothing.
	Phase Phase `json:",omitempty"`
}

// Phase is what is under way beside what was asked for.
type Phase string

// Phases.
const (
	// PhaseProof is the proof of a final sync: Objects are the keys compared so far.
	PhaseProof Phase = "proof"
	// PhaseSample reads the keys that a sample is drawn from: Objects are the keys read so far.
	PhaseSample Phase = "sample"
)

const (
	defaultWidth     = 16
	defaultMaxBytes  = 32 << 20
	defaultMaxDelete = 0.30
	alwaysDeletable  = 10 // B13: so small a number is allowed whatever its share, unless that is nothing
)

func (o Options) withDefaults() Options {
	if o.Hash == "" {
		o.Hash = defaultHash()
	}
	if o.Conflict == "" {
		o.Conflict = ConflictFail
	}
	if o.Configuration == "" {
		o.Configuration = ConfigureCreate
	}
	if o.MaxDelete == nil {
		o.MaxDelete = new(defaultMaxDelete)
	}
	if o.Proof == "" {
		o.Proof = ModeProof
	}
	if o.MaxBytes < 1 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.stretch < 1 {
		o.stretch = stretchKeys
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
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
	if o.Name == "" {
		o.Name = "bucket"
	}
	return o
}

// Memory bounds the bytes of the objects under way of several syncs together.
type Memory struct{ budget *budget.Budget }

// NewMemory returns a bound of so many bytes; 0 is the default, 32 MiB.
func NewMemory(bytes int64) *Memory {
	if bytes < 1 {
		bytes = defaultMaxBytes
	}
	return &Memory{budget.New(bytes)}
}

func (o Options) memory() *budget.Budget {
	if o.Memory != nil {
		return o.Memory.budget
	}
	return budget.New(o.MaxBytes)
}

// width is how many objects are looked at at once, which costs a store little.
func (o Options) width() int {
	if o.Concurrency > 0 {
		return o.Concurrency
	}
	return defaultWidth
}

func (o Options) listing() bucket.ListOptions {
	return bucket.ListOptions{Prefix: o.Prefix, After: o.Range.After, Before: o.Range.Before, Folders: true, Irregular: true}
}

// deletes reports whether an object that only the destination has is to be removed.
func (o Options) deletes(own bool) bool { return o.DeleteForeign || (o.Delete && own) }

// deleteLimit is how many of total objects may be deleted (B13).
func (o Options) deleteLimit(total int64) int64 {
	if *o.MaxDelete <= 0 {
		return 0
	}
	return max(alwaysDeletable, int64(*o.MaxDelete*float64(total)))
}

// destination is what is written to, for people: on the way back it is the source of the migration.
func (o Options) destination() string {
	if o.back {
		return o.said("the migration's source", "the first place") + ", to which the way back leads,"
	}
	return "the destination"
}

// deleteHint says what to look at before more is deleted than MaxDelete allows, and where that is set.
func (o Options) deleteHint() string {
	look := "the source is the right one"
	if o.back {
		look = "they are gone from " + o.said("green", "the second place") + " on purpose"
	}
	where := fmt.Sprintf("maxDelete of the bucket in the migration file, %.6g now", *o.MaxDelete)
	if o.Alone {
		where = fmt.Sprintf("--max-delete, %.6g percent now", *o.MaxDelete*100)
	}
	return fmt.Sprintf("make sure that %s, then raise the share that may be deleted: %s", look, where)
}

// writer is who writes here, in messages: an operator who syncs two places has no migration.
func (o Options) writer() string { return o.said("this migration", "this sync") }

// said chooses between how the migration file says something and how a flag does.
func (o Options) said(file, flag string) string {
	if o.Alone {
		return flag
	}
	return file
}

// progress serialises the calls of Options.Progress.
type progress struct {
	mu    sync.Mutex
	state Progress
	tell  func(Progress)
}

func (p *progress) change(how func(*Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how(&p.state)
	if p.tell != nil {
		p.tell(p.state)
	}
}
