package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

// comparison holds the flags of verify.
type comparison struct {
	opts     crossfade.VerifyOptions
	alone    crossfade.SyncOptions
	ends     ends
	manifest crossfade.ManifestOptions
}

func (p *program) verifyCommand() *cobra.Command {
	var v comparison
	c := &cobra.Command{
		Use:   "verify [BUCKET… | FROM TO | --manifest FILE [PLACE]]",
		Short: "Compare the buckets of both sides and check the archive, or compare two places",
		Long: `Verify compares the buckets of the migration, all or those named, and reads the archive; or it compares two places, as
"crossfade sync FROM TO" takes them. It changes nothing. Exit code 5 means that something differs, or could not be proven equal.

With --manifest it checks a signed manifest that a final sync has left: its order, its counts, the root of its tree and its signature,
without asking any store. With a place behind it, that is compared with the manifest; the place's credentials are those of --to-….

` + globs,
		Example: `  crossfade verify s3://data gs://data --mode sample --sample 500
  crossfade verify --manifest proven.jsonl --public-key signing.key.pub
  crossfade verify --manifest proven.jsonl gs://data --mode full`,
		RunE: func(c *cobra.Command, args []string) error {
			result, err := p.verification(c, &v, args)
			if err != nil {
				return p.failedPlaces(nil, err)
			}
			p.progress.Close()
			if p.json() {
				err = cli.JSON(p.out, result)
			} else {
				err = result.Print(p.out)
			}
			if err == nil && !result.OK() {
				return &silentError{code: exitDifferent}
			}
			return err
		},
	}
	v.flags(c)
	return c
}

func (v *comparison) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&v.opts.Mode, "mode", "listing", "how buckets are compared: size (keys and sizes alone: no proof), listing, sample, proof (reads what the listings leave unproven), hash (also what no hash of the content is known of) or full (reads every byte of both sides)")
	f.IntVar(&v.opts.SampleSize, "sample", 100, "how many objects of each bucket --mode sample reads")
	f.StringVar(&v.opts.Seed, "seed", "", "chooses the sample; the same seed reads the same objects (default one by chance, which the result tells)")
	f.BoolVar(&v.opts.SkipArchive, "skip-archive", false, "do not read the archive")
	f.BoolVar(&v.alone.AllowExtra, "allow-extra", false, "let two places be equal although the destination has objects of its own")
	f.BoolVar(&v.alone.Versions, "versions", false, "compare every version of every key of two places, delete markers among them, in their order")
	hashFlag(f, &v.alone.Hash)
	f.IntVar(&v.alone.Concurrency, "concurrency", 16, "how many objects are under way at once")
	f.StringVar(&v.alone.WriteManifest, "write-manifest", "", "file for a signed manifest of both places, where they are equal")
	f.StringVar(&v.alone.SignKey, "sign-key", "", "private ed25519 key that signs it, as ssh-keygen makes them (default signing.key in --state, made where it is missing)")
	f.StringVar(&v.manifest.Path, "manifest", "", "check this signed manifest, and compare PLACE with it")
	f.StringVar(&v.manifest.PublicKey, "public-key", "", "public key that must have signed it: a file, or its line (default any key)")
	f.StringVar(&v.manifest.Prove, "prove", "", "show that this key of an object is in the manifest, by the hashes that lead from its line to the root")
	v.ends.flags(c)
	ofTwoPlaces(c, "mode", "sample", "seed", "skip-archive")
}

// verified is what can be printed and holds or does not.
type verified interface {
	Print(w io.Writer) error
	OK() bool
}

func (p *program) verification(c *cobra.Command, v *comparison, args []string) (verified, error) {
	if v.opts.SampleSize < 1 {
		return nil, &usageError{fmt.Errorf("--sample is %d: at least one object is read", v.opts.SampleSize)}
	}
	if err := goesWith(c, v.opts.Mode == "sample", "--mode sample", "sample", "seed"); err != nil {
		return nil, err
	}
	for _, name := range []string{"manifest", "public-key", "prove"} {
		if f := c.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return nil, &usageError{fmt.Errorf("--%s is empty", name)}
		}
	}
	if v.manifest.Path != "" {
		for _, name := range []string{"mode", "sample", "seed", "allow-extra", "include", "exclude", "concurrency"} {
			if len(args) == 0 && c.Flags().Changed(name) {
				return nil, &usageError{fmt.Errorf("--%s says how a place is compared with the manifest, and none is named", name)}
			}
		}
		if err := notOfManifests(c); err != nil {
			return nil, err
		}
		return p.verifyManifest(c.Context(), v, args)
	}
	if v.manifest.PublicKey+v.manifest.Prove != "" {
		return nil, &usageError{errors.New("--public-key and --prove go with --manifest")}
	}
	if isPlace(args) {
		if v.alone.WriteManifest == "" && v.alone.SignKey != "" || v.alone.WriteManifest != "" && v.opts.Mode == "size" {
			return nil, &usageError{errors.New("--sign-key goes with --write-manifest, and that with a mode that proves: not with size")}
		}
		s, err := p.openSync(c.Context(), &v.ends, v.alone, args)
		if err != nil {
			return nil, err
		}
		return s.Verify(c.Context(), v.opts)
	}
	if err := onlyAlone(c); err != nil {
		return nil, notPlaces(args, err)
	}
	v.opts.Buckets = args
	m, err := p.inspect()
	if err != nil {
		return nil, notPlaces(args, err)
	}
	result, err := m.Verify(c.Context(), v.opts)
	return result, notPlaces(args, err)
}

// notOfManifests refuses what would go for nothing beside --manifest.
func notOfManifests(c *cobra.Command) error {
	var wrong error
	c.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case wrong != nil:
		case f.Name == "versions":
			wrong = &usageError{errors.New("--versions does not go with --manifest, which has entries of current versions alone")}
		case strings.HasPrefix(f.Name, "from-"):
			wrong = &usageError{fmt.Errorf("--%s does not go with --manifest: what is said of its place are the flags --to-…", f.Name)}
		case slices.Contains([]string{"state", "hash", "write-manifest", "sign-key"}, f.Name):
			wrong = &usageError{fmt.Errorf("--%s does not go with --manifest", f.Name)}
		}
	})
	return wrong
}

func (p *program) verifyManifest(ctx context.Context, v *comparison, args []string) (verified, error) {
	opts := v.manifest
	switch len(args) {
	case 0:
	case 1:
		var err error
		if opts.Place, err = v.ends.to.store(args[0], "to"); err != nil {
			return nil, &usageError{err}
		}
	default:
		return nil, &usageError{fmt.Errorf("one place is compared with a manifest, and %s", named(len(args)))}
	}
	if v.alone.Concurrency < 0 {
		return nil, badConcurrency(v.alone.Concurrency)
	}
	if err := v.ends.filter.Check(); err != nil {
		return nil, &usageError{err}
	}
	opts.Filter, opts.Mode, opts.SampleSize, opts.Seed = v.ends.filter, v.opts.Mode, v.opts.SampleSize, v.opts.Seed
	opts.AllowExtra, opts.Concurrency = v.alone.AllowExtra, v.alone.Concurrency
	wire, err := p.options()
	if err != nil {
		return nil, err
	}
	return crossfade.VerifyManifest(ctx, opts, wire)
}
