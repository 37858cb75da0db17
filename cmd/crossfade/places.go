package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// ends holds the flags that name two places and choose keys of them.
type ends struct {
	from, to end
	state    string
	filter   bucketsync.Filter
}

// end holds the flags of one place.
type end struct {
	endpoint, region, project string
	accessKey, secretKey      string
	anonymous                 bool
}

func (e *ends) flags(c *cobra.Command) {
	f := c.Flags()
	text := func(into *string, name, use string) { f.StringVar(into, name, "", use) }
	text(&e.state, "state", "directory that remembers what was copied (default .crossfade/sync-… here, named after both places)")
	f.StringArrayVar(&e.filter.Include, "include", nil, "take only keys that match this glob, as in 'a/**', 'a/' or '*.jpg'; may be said more than once (as said above)")
	f.StringArrayVar(&e.filter.Exclude, "exclude", nil, "leave keys out that match this glob; may be said more than once (as said above)")
	for _, side := range []struct {
		name, what string
		end        *end
	}{{"from", "source", &e.from}, {"to", "destination", &e.to}} {
		text(&side.end.endpoint, side.name+"-endpoint", "URL of the "+side.what+"'s server, where it is not the provider's own")
		text(&side.end.region, side.name+"-region", "region of the "+side.what)
		text(&side.end.project, side.name+"-project", "project of the "+side.what+", where a bucket is made at GCS")
		text(&side.end.accessKey, side.name+"-access-key", "ID of the key of the "+side.what+": env:VARIABLE or file:PATH")
		text(&side.end.secretKey, side.name+"-secret-key", "secret of the key of the "+side.what+", at GCS a service account's file: env:VARIABLE or file:PATH")
		f.BoolVar(&side.end.anonymous, side.name+"-anonymous", false, "ask the "+side.what+" without credentials")
	}
}

// globs says in the help of a verb how keys are chosen.
const globs = `Of both places --include takes the keys that match one of its globs, and --exclude leaves out those that match one of its own. * and ? match
within one part of a key between slashes, ** across slashes, [a-z] is a class and {a,b} a choice; a backslash takes away such a meaning. A glob
without a slash is held against the last part of a key ('*.jpg' is any such file), another one against the whole key behind the place's prefix ('/*.jpg' is
one at the top). 'tmp/' and 'tmp/**' are what lies below tmp, the former with its marker; '**/tmp/' is any folder of that name.`

// isPlace reports whether arguments name places rather than buckets of a migration, whose names have no slash.
func isPlace(args []string) bool {
	for _, a := range args {
		if strings.ContainsAny(a, `/\`) || a == "." || a == ".." {
			return true
		}
	}
	return false
}

// notPlaces says of two names without a slash what they were taken for, where nothing answers to that: who means directories writes
// them as paths.
func notPlaces(args []string, err error) error {
	var unknown *crossfade.UnknownError
	var wrong *wrongFlagError
	switch {
	case len(args) != 2:
		return err
	case errors.Is(err, crossfade.ErrNoFile), errors.As(err, &wrong):
	case errors.As(err, &unknown) && unknown.Kind == "bucket" && (isDirectory(args[0]) || isDirectory(args[1])):
	default:
		return err
	}
	return &usageError{fmt.Errorf("%w. %s and %s have no slash, and were taken for names of a migration's buckets: two directories are written ./%s ./%s",
		err, args[0], args[1], args[0], args[1])}
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// openSync opens a sync of two places.
func (p *program) openSync(ctx context.Context, e *ends, opts crossfade.SyncOptions, args []string) (*crossfade.Sync, error) {
	if len(args) != 2 {
		return nil, &usageError{fmt.Errorf("it takes two places, FROM and TO, and %s", named(len(args)))}
	}
	var err error
	if opts.From, err = e.from.store(args[0], "from"); err != nil {
		return nil, &usageError{err}
	}
	if opts.To, err = e.to.store(args[1], "to"); err != nil {
		return nil, &usageError{err}
	}
	if err := e.filter.Check(); err != nil {
		return nil, &usageError{err}
	}
	switch opts.Hash {
	case "", bucket.BLAKE3, bucket.SHA256:
	default:
		return nil, &usageError{fmt.Errorf("--hash is %q: it must be blake3 or sha256", opts.Hash)}
	}
	if opts.Concurrency < 0 {
		return nil, badConcurrency(opts.Concurrency)
	}
	opts.Filter, opts.Dir = e.filter, e.state
	if opts.Dir == "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", args[0], e.from.endpoint, args[1], e.to.endpoint))
		opts.Dir = filepath.Join(".crossfade", "sync-"+hex.EncodeToString(sum[:6]))
	}
	wire, err := p.options()
	if err != nil {
		return nil, err
	}
	return crossfade.OpenSync(ctx, opts, wire)
}

func badConcurrency(n int) error {
	return &usageError{fmt.Errorf("--concurrency is %d: it is a number of objects, or 0 for as many as turn out best", n)}
}

// store reads a place and its credentials.
func (e end) store(text, side string) (crossfade.Store, error) {
	u, err := bucket.ParseURL(text)
	if err != nil {
		return crossfade.Store{}, err
	}
	if err := checkEndpoint(e.endpoint); err != nil {
		return crossfade.Store{}, fmt.Errorf("--%s-endpoint: %w", side, err)
	}
	s := crossfade.Store{Endpoint: e.endpoint, Region: e.region, Project: e.project, Anonymous: e.anonymous, Bucket: u.Bucket, Prefix: u.Prefix}
	switch u.Scheme {
	case bucket.SchemeS3:
		s.Provider = "s3"
	case bucket.SchemeGCS:
		s.Provider = "gcs"
	case bucket.SchemeAzure:
		s.Provider, s.Account = "azure", u.Host
	case bucket.SchemeFile:
		s.Provider, s.Bucket = "file", u.Path
	case bucket.SchemeMinIO:
		s.Provider = "minio"
		if s.Endpoint != "" {
			return s, fmt.Errorf("--%s-endpoint goes with s3://, gs:// and az://: %s names its server itself", side, text)
		}
		if s.Endpoint = "https://" + u.Host; u.Plain {
			s.Endpoint = "http://" + u.Host
		}
	}
	if s.AccessKey, err = secretAt(e.accessKey, "--"+side+"-access-key"); err != nil {
		return s, err
	}
	s.SecretKey, err = secretAt(e.secretKey, "--"+side+"-secret-key")
	return s, err
}

// checkEndpoint refuses what is no URL of a server. It does not repeat what could be a password.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it is no URL of a server: write https://host:port")
	case u.User != nil || u.RawQuery != "":
		return errors.New("it carries credentials or parameters: write https://host:port, and give credentials by their own flags")
	}
	return nil
}

// secretAt reads a secret from where a flag says that it is. A flag that holds the secret itself would show it to everybody.
func secretAt(ref, flag string) (string, error) {
	kind, at, _ := strings.Cut(ref, ":")
	switch {
	case ref == "":
		return "", nil
	case kind == "env" && at != "":
		value := os.Getenv(at)
		if value == "" {
			return "", fmt.Errorf("%s: the environment variable %s is not set", flag, at)
		}
		return value, nil
	case kind == "file" && at != "":
		raw, err := os.ReadFile(at)
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		return strings.TrimRight(string(raw), "\r\n"), nil
	}
	return "", fmt.Errorf("%s says where the key is, as env:VARIABLE or file:PATH: the key itself could be read by everybody on this machine", flag)
}

// named says how many places an operator has named.
func named(n int) string {
	if n == 1 {
		return "1 is named"
	}
	return fmt.Sprintf("%d are named", n)
}
