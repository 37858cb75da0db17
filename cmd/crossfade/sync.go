package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/prices"
)

// alone holds the flags of a sync of two places that no migration file names.
type alone struct {
	ends     ends
	opts     crossfade.SyncOptions
	conflict string
	settings string
	percent  float64
	// bandwidth and memory are numbers of bytes with a unit.
	bandwidth, memory string

	printPrices bool
}

func (p *program) syncCommand() *cobra.Command {
	var s step
	var a alone
	var metrics string
	s.opts.Verb = "sync"
	c := &cobra.Command{
		Use:   "sync [BUCKET… | FROM TO]",
		Short: "Clone buckets: those of the migration, or one place to another",
		Long: `Sync clones the migration's buckets, all or those named, warm: blue goes on serving and writing.

With two places in their stead it needs no migration file. A place is one of

  s3://bucket/prefix                gs://bucket/prefix
  minio://host:port/bucket/prefix   az://account/container/prefix
  minio+http:// (without TLS)       file:///directory, or a path with a slash in it

It copies what the destination lacks or what has changed at the source since, proves every copy, and remembers in the directory --state
what it wrote: nothing else at the destination is overwritten or deleted unless that is asked for. Killed at any point, the
same command goes on.

Credentials come from each provider's usual chain, or for each end from --from-… and --to-…, whose values are
env:VARIABLE or file:PATH.

` + globs,
		Example: `  crossfade sync s3://data minio://minio.example.org/data --dry-run
  crossfade sync /srv/data gs://data --yes --exclude '*.tmp'
  crossfade sync s3://data s3://data-eu --yes --final --to-region eu-west-1 --to-access-key env:EU_ID --to-secret-key env:EU_KEY`,
		RunE: func(c *cobra.Command, args []string) error {
			if a.printPrices {
				return p.printf("%s", prices.Text())
			}
			if isPlace(args) {
				return p.withMetrics(c.Context(), metrics, func() error {
					report, err := p.syncAlone(c, s, &a, args)
					return p.failedPlaces(report, err)
				})
			}
			if err := onlyAlone(c); err != nil {
				return notPlaces(args, err)
			}
			s.opts.Names = args
			return p.withMetrics(c.Context(), metrics, func() error { return notPlaces(args, p.step(c.Context(), s)) })
		},
	}
	s.flags(c)
	flags := c.Flags()
	flags.StringVar(&s.opts.Redo, "redo", "", "take one stage of the migration again although it is done: sync/BUCKET")
	flags.BoolVar(&a.opts.Create, "create", false, "make the destination where it is missing")
	flags.BoolVar(&a.opts.Delete, "delete", false, "delete copies whose source is gone")
	flags.BoolVar(&a.opts.Mirror, "mirror", false, "delete whatever the source does not have, whoever wrote it")
	flags.Float64Var(&a.percent, "max-delete", 30, "stop before the first deletion when more than this share of the destination would go, in percent; ten objects may always go, but 0 deletes nothing")
	flags.StringVar(&a.settings, "configuration", string(bucketsync.ConfigureCreate), "when the source's policy, lifecycle, CORS, versioning, encryption, tags and public access are written to the destination: create (where the sync makes it), apply (also where it was there) or ignore")
	flags.StringVar(&a.conflict, "conflict", string(bucketsync.ConflictFail), "what to do about an object that somebody else wrote at the destination: fail, skip or overwrite")
	flags.BoolVar(&a.opts.Strict, "strict", false, "refuse when a property of an object cannot be kept")
	flags.BoolVar(&a.opts.Versions, "versions", false, "copy every version of every key, delete markers among them, oldest first; both places must keep versions")
	flags.BoolVar(&a.opts.AcceptLostLocks, "accept-lost-locks", false, "copy objects without the locks that the destination cannot hold; else they are refused")
	flags.StringToStringVar(&a.opts.Keys, "kms", nil, "`SOURCE=DESTINATION`: for a key of a key service that the source uses, the one that the destination is to use, or \"provider\" for its default; else its objects are refused")
	flags.Lookup("kms").DefValue = "" // else the help shows an empty list
	flags.BoolVar(&a.opts.Warm, "warm", false, "copy again and again until at most --max-delta objects differ")
	flags.Int64Var(&a.opts.MaxDelta, "max-delta", 1000, "how many objects may differ when --warm ends")
	flags.BoolVar(&a.opts.Final, "final", false, "copy until nothing differs, then prove both sides equal: for the time when nothing writes to the source")
	flags.StringVar((*string)(&a.opts.Proof), "proof", string(bucketsync.ModeProof), "how --final proves: proof (by digests, and by reading what they leave unproven), hash (that, and reads what has no hash of its content yet, so that all of the signed manifest has one) or full (reads every byte of both sides)")
	flags.BoolVar(&a.opts.Reverse, "reverse", false, "go back: bring to FROM what was written to TO since the last --final with the same --state, prove both equal, and touch nothing else")
	flags.StringArrayVar(&a.opts.Recopy, "recopy", nil, "copy keys that match this glob again, of what this sync wrote, although they are known to be equal: objects that a store has damaged, or whose tags alone were changed; may be said more than once")
	flags.BoolVar(&a.opts.AllowExtra, "allow-extra", false, "let --final hold although the destination has objects of its own")
	flags.BoolVar(&a.opts.NoServerSideCopy, "no-server-side-copy", false, "read and write every object, also where both places are on one server that could copy by itself")
	hashFlag(flags, &a.opts.Hash)
	flags.IntVar(&a.opts.Concurrency, "concurrency", 0, "how many objects are under way at once (default as many as turn out best)")
	flags.StringVar(&a.bandwidth, "bandwidth", "", "how many bytes a second to read at most, from both places together: 500k, 20M, 1G (default no bound)")
	flags.StringVar(&a.memory, "memory", "", "how much memory the objects under way may take, at least 4Mi: 32Mi, 1Gi (default 32Mi, and less where the system gives the program little)")
	flags.StringVar(&a.opts.WriteManifest, "write-manifest", "", "with --final, file for the signed manifest of what was proven equal (default proven.jsonl in --state)")
	flags.StringVar(&a.opts.SignKey, "sign-key", "", "private ed25519 key that signs it, as ssh-keygen makes them (default signing.key in --state, made where it is missing)")
	flags.StringVar(&a.opts.Losses, "losses", "", "file for every property that the destination cannot hold as it is, of each object, as lines of JSON: of what is copied, appended (default losses.jsonl in --state), or with --dry-run of what would be")
	flags.StringVar(&a.opts.Prices, "prices", "", "file with prices for the estimate of --dry-run, in the form that --print-prices prints (default those of the program)")
	flags.BoolVar(&a.printPrices, "print-prices", false, "print the program's table of prices, with the page and the day that each is from, and do nothing else")
	metricsFlag(c, &metrics)
	a.ends.flags(c)
	ofTwoPlaces(c, "dry-run", "yes", "redo", "metrics")
	return c
}

func hashFlag(flags *pflag.FlagSet, hash *bucket.Algorithm) {
	flags.StringVar((*string)(hash), "hash", "", "hash that proofs of content are made of: blake3 or sha256 (default blake3 on amd64, and sha256 on processors that have instructions for that alone)")
}

// annotationAlone marks flags that only a sync or a verification of two places has.
const annotationAlone = "alone"

// ofTwoPlaces marks all flags of a verb but those named.
func ofTwoPlaces(c *cobra.Command, but ...string) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(but, f.Name) {
			_ = c.Flags().SetAnnotation(f.Name, annotationAlone, nil) // it is defined
		}
	})
}

// wrongFlagError is a flag of two places where none are named.
type wrongFlagError struct{ flag, verb string }

// Error says with what it goes.
func (e *wrongFlagError) Error() string {
	return fmt.Sprintf("--%s goes with two places, as in crossfade %s FROM TO: the migration file says it for its buckets", e.flag, e.verb)
}

// onlyAlone refuses the flags of two places where the migration's buckets are meant.
func onlyAlone(c *cobra.Command) error {
	var wrong error
	c.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := f.Annotations[annotationAlone]; ok && wrong == nil {
			wrong = &usageError{&wrongFlagError{flag: f.Name, verb: c.Name()}}
		}
	})
	return wrong
}

// goesWith refuses a flag that has no effect because what it belongs to was not asked for.
func goesWith(c *cobra.Command, asked bool, what string, flags ...string) error {
	for _, name := range flags {
		if !asked && c.Flags().Changed(name) {
			return &usageError{fmt.Errorf("--%s has no effect without %s", name, what)}
		}
	}
	return nil
}

// syncAlone syncs two places. The report that it returns is that of a sync that failed.
func (p *program) syncAlone(c *cobra.Command, s step, a *alone, args []string) (*crossfade.SyncReport, error) {
	ctx := c.Context()
	if s.opts.Redo != "" {
		return nil, &usageError{errors.New("--redo takes a stage of a migration again: a sync of two places compares anew each time")}
	}
	if math.IsNaN(a.percent) || a.percent < 0 || a.percent > 100 {
		return nil, &usageError{fmt.Errorf("--max-delete is %g: it is a share in percent", a.percent)}
	}
	if err := a.checkReverse(); err != nil {
		return nil, err
	}
	if err := errors.Join(goesWith(c, a.opts.Warm, "--warm", "max-delta"), goesWith(c, a.opts.Final, "--final", "allow-extra")); err != nil {
		return nil, err
	}
	if !a.opts.Final && a.opts.WriteManifest+a.opts.SignKey != "" {
		return nil, &usageError{errors.New("--write-manifest and --sign-key go with --final: a manifest says what was proven equal")}
	}
	if len(a.opts.Recopy) > 0 && (a.opts.Warm || a.opts.Versions || a.opts.Reverse) {
		return nil, &usageError{errors.New("--recopy copies current objects once: it does not go with --warm, --versions or --reverse")}
	}
	if err := (bucketsync.Filter{Include: a.opts.Recopy}).Check(); err != nil {
		return nil, &usageError{fmt.Errorf("--recopy: %w", err)}
	}
	if err := a.checkProof(); err != nil {
		return nil, err
	}
	if err := a.bounds(); err != nil {
		return nil, err
	}
	a.opts.MaxDelete = new(a.percent / 100)
	a.opts.Conflict = bucketsync.Conflict(a.conflict)
	switch a.opts.Conflict {
	case bucketsync.ConflictFail, bucketsync.ConflictSkip, bucketsync.ConflictOverwrite:
	default:
		return nil, &usageError{fmt.Errorf("--conflict is %q: it must be fail, skip or overwrite", a.conflict)}
	}
	a.opts.Configuration = bucketsync.ConfigurationMode(a.settings)
	switch a.opts.Configuration {
	case bucketsync.ConfigureCreate, bucketsync.ConfigureApply, bucketsync.ConfigureIgnore:
	default:
		return nil, &usageError{fmt.Errorf("--configuration is %q: it must be create, apply or ignore", a.settings)}
	}
	sync, err := p.openSync(ctx, &a.ends, a.opts, args)
	if err != nil {
		return nil, err
	}
	if !s.yes || s.dryRun {
		if !s.dryRun && !cli.IsTerminal(p.out) {
			return nil, errNobodyToAsk()
		}
		var plan crossfade.SyncPlanOptions
		if s.dryRun {
			plan.Losses = a.opts.Losses
		}
		if err := p.printSyncPlan(ctx, sync, plan); err != nil || s.dryRun {
			return nil, err
		}
		if err := p.confirm(); err != nil {
			return nil, err
		}
	}
	report, err := sync.Run(ctx)
	if err = errors.Join(err, sync.Close()); err != nil {
		return report, err
	}
	p.progress.Close()
	if p.json() {
		return nil, cli.JSON(p.out, report)
	}
	return nil, report.Print(p.out)
}

// failedPlaces prints the result of what failed, where results are for programs; the error is told as ever. Who has said
// all there is to say prints nothing more.
func (p *program) failedPlaces(report *crossfade.SyncReport, err error) error {
	var said *silentError
	if err == nil || !p.json() || errors.As(err, &said) {
		return err
	}
	p.progress.Close()
	return errors.Join(err, cli.JSON(p.out, crossfade.FailureOf(report, err, exitCode(err))))
}

// checkReverse refuses what has no meaning on the way back.
func (a *alone) checkReverse() error {
	if !a.opts.Reverse {
		return nil
	}
	for name, said := range map[string]bool{
		"create": a.opts.Create, "delete": a.opts.Delete, "mirror": a.opts.Mirror, "warm": a.opts.Warm, "final": a.opts.Final,
	} {
		if said {
			return &usageError{fmt.Errorf("--%s does not go with --reverse, which brings back all that was written since the proof, deletions too, and ends with a proof", name)}
		}
	}
	if a.conflict == string(bucketsync.ConflictOverwrite) {
		return &usageError{errors.New("--conflict overwrite does not go with --reverse: what changed on both sides is never overwritten; say fail or skip")}
	}
	return nil
}

// checkProof refuses a proof that a final sync cannot be, and one of a sync that ends with none.
func (a *alone) checkProof() error {
	switch a.opts.Proof {
	case bucketsync.ModeProof:
		return nil
	case bucketsync.ModeHash, bucketsync.ModeFull:
		if a.opts.Final {
			return nil
		}
		return &usageError{errors.New("--proof goes with --final: no other sync ends with a proof that can be chosen")}
	}
	return &usageError{fmt.Errorf("--proof is %q: it must be proof, hash or full", a.opts.Proof)}
}

// bounds reads the flags that are numbers of bytes.
func (a *alone) bounds() (err error) {
	for _, bytes := range []struct {
		flag, text string
		into       *int64
	}{{"bandwidth", a.bandwidth, &a.opts.Bandwidth}, {"memory", a.memory, &a.opts.Memory}} {
		if bytes.text == "" {
			continue
		}
		if *bytes.into, err = cli.ParseBytes(bytes.text); err != nil {
			return &usageError{fmt.Errorf("--%s: %w", bytes.flag, err)}
		}
	}
	if a.memory != "" {
		if err := checkMemory(a.opts.Memory, memlimit.FromSystem); err != nil {
			return &usageError{fmt.Errorf("--memory: %w", err)}
		}
	}
	return nil
}

func (p *program) printSyncPlan(ctx context.Context, sync *crossfade.Sync, opts crossfade.SyncPlanOptions) error {
	plan, err := sync.Plan(ctx, opts)
	if err != nil {
		return err
	}
	return p.printPlanned(plan, plan.Refusals())
}
