package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// The last bytes of the addresses in the rig's subnet. Examples and guides use them.
const (
	blueHost, bluePool   = 10, 100
	greenHost, greenPool = 20, 150
	poolSize             = 40
)

// The two sides' versions of Kubernetes.
const (
	blueMinor  = "1.28"
	greenMinor = "1.36"
)

// Options choose a rig. The zero value is one in .rig in the current folder.
type Options struct {
	// Dir is the state folder; Down leaves it, Clean removes it.
	Dir string
	// Demo deploys the demo's applications on blue, with their buckets and names.
	Demo bool
	// Images are built and given to both sides, besides the demo's.
	Images []Image
	// Installer finds the programs. Nil is one with the default cache.
	Installer *install.Installer
	// Log hears of every step. Nil is silent.
	Log *slog.Logger
}

// A Rig is a running rig.
type Rig struct {
	Dir     string
	Network *netns.Network
	Blue    *Side
	Green   *Side
	// Names are the name servers.
	Names *nameserver.World
	// S3 is blue's object store and Azure green's.
	S3, Azure *store.Server

	o      Options
	log    *slog.Logger
	in     *install.Installer
	record *record.Log
	lock   *os.File
	names  *netns.Namespace
	down   bool
	// cancel ends the balancers, and group waits for them.
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// A step is one part of bringing the rig up.
type step struct {
	name string
	run  func(context.Context) error
}

// Up brings a rig up. When a step fails it takes down what the earlier ones made.
func Up(ctx context.Context, o Options) (*Rig, error) {
	r, err := newRig(ctx, o)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for _, s := range r.steps() {
		at := time.Now()
		if err := s.run(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("bring the rig up: %s: %w", s.name, err), r.Down(context.WithoutCancel(ctx)))
		}
		r.log.Info("done: "+s.name, "took", since(at))
	}
	r.log.Info("the rig is up", "took", since(began), "state", r.Dir)
	return r, nil
}

func since(t time.Time) string { return time.Since(t).Round(100 * time.Millisecond).String() }

// steps are what Up does, in order.
func (r *Rig) steps() []step {
	steps := []step{
		{"install programs", r.install},
		{"make network", r.makeNetwork},
		{"start clusters, stores and name servers", together(r.Blue.start, r.Green.start, r.startS3, r.startAzure, r.startNames)},
		{"start load balancers", r.startBalancers},
		{"build and import images", r.importImages},
		{"make the archive's key", r.writeArchiveKey},
	}
	if r.o.Demo {
		steps = append(steps, step{"deploy applications on blue", func(ctx context.Context) error { return r.Info().Deploy(ctx, Demo{}) }})
	}
	return append(steps, step{"write " + infoFile, r.writeInfo})
}

// together makes one step of several that do not need each other.
func together(steps ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range steps {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

// newRig takes the state folder, after cleaning what a killed rig left in it.
func newRig(ctx context.Context, o Options) (*Rig, error) {
	if ok, reason := install.CanRun(); !ok {
		return nil, &install.Error{Op: "bring the rig up: " + reason, Hint: "run it as root on Debian"}
	}
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	in := o.Installer
	if in == nil {
		if in, err = install.New(o.Log); err != nil {
			return nil, err
		}
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, o: o, log: o.Log, in: in, lock: lock}
	if err := r.begin(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return r, nil
}

// begin starts an empty state folder, a record, and both sides' descriptions.
func (r *Rig) begin(ctx context.Context) error {
	removed, err := record.Clean(ctx, r.path(recordFile))
	if err != nil {
		return fmt.Errorf("clean up after an earlier rig: %w", err)
	}
	if removed > 0 {
		r.log.Info("cleaned up after an earlier rig that was killed", "things", removed)
	}
	if err := removeContents(r.Dir); err != nil {
		return err
	}
	if r.record, err = record.Open(r.path(recordFile)); err != nil {
		return err
	}
	r.Blue = &Side{Name: "blue", Minor: blueMinor, host: blueHost, pool: bluePool, rig: r}
	r.Green = &Side{Name: "green", Minor: greenMinor, host: greenHost, pool: greenPool, rig: r}
	return nil
}

func (r *Rig) path(parts ...string) string {
	return filepath.Join(append([]string{r.Dir}, parts...)...)
}

// takeFolder makes the state folder this process's own, as long as the file stays open. A folder with something else
// in it is refused, since Up and Clean empty it.
func takeFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read state folder: %w", err)
	}
	ours := func(e os.DirEntry) bool { return e.Name() == lockFile || e.Name() == logFile }
	if len(entries) > 0 && !slices.ContainsFunc(entries, ours) {
		return nil, &install.Error{Op: "take state folder " + dir, Hint: "it holds files that are no rig's: choose an empty folder"}
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("take state folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		hint := &install.Error{Op: "take state folder " + dir, Hint: "a rig runs in it: take that down first, or choose another folder", Err: ErrRunning}
		return nil, errors.Join(hint, lock.Close())
	}
	// The number lets another process end this one.
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid()))); err != nil {
		return nil, errors.Join(fmt.Errorf("take state folder: %w", err), lock.Close())
	}
	return lock, nil
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// Holder returns the number of the process that runs a rig in the state folder, 0 if none does.
func Holder(dir string) (int, error) {
	file, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read state folder: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0, nil // nobody holds the lock, whatever number stands in it
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return 0, fmt.Errorf("read state folder: %w", err)
	}
	pid, err := strconv.Atoi(string(content))
	if err != nil {
		return 0, fmt.Errorf("read who runs in state folder %s: %w", dir, err)
	}
	return pid, nil
}

// removeContents empties the state folder but for the lock, which is open.
func removeContents(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	for _, entry := range entries {
		if keep := entry.Name() == lockFile || entry.Name() == logFile; keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("empty state folder: %w", err)
		}
	}
	return nil
}

func (r *Rig) install(ctx context.Context) error { return installRig(ctx, r.in) }

// installRig installs and builds all that a rig needs.
func installRig(ctx context.Context, in *install.Installer) error {
	packages := slices.Concat(install.ClusterPackages(), nameserver.BIND.Packages(), nameserver.ResolverPackages())
	if err := in.Debian(ctx, packages...); err != nil {
		return err
	}
	for _, minor := range []string{blueMinor, greenMinor} {
		if _, err := in.Kubernetes(ctx, minor); err != nil {
			return err
		}
	}
	if _, err := in.Etcd(ctx); err != nil {
		return err
	}
	return store.Install(ctx, in, store.VersityGW, store.Azurite)
}

// InstallAll installs what a rig needs, and beyond it what the tests need: the other name servers and stores that drivers
// are held to.
func InstallAll(ctx context.Context, log *slog.Logger) error {
	in, err := install.New(log)
	if err != nil {
		return err
	}
	if err := installRig(ctx, in); err != nil {
		return err
	}
	if err := in.Debian(ctx, slices.Concat(nameserver.Knot.Packages(), nameserver.PowerDNS.Packages())...); err != nil {
		return err
	}
	if _, err := in.Kwok(ctx); err != nil {
		return err
	}
	return store.Install(ctx, in, store.MinIO, store.FakeGCS)
}

func (r *Rig) makeNetwork(ctx context.Context) error {
	var err error
	if r.Network, err = netns.New(ctx, r.record); err != nil {
		return err
	}
	for _, side := range []*Side{r.Blue, r.Green} {
		if side.Space, err = r.Network.Namespace(ctx, side.Name, side.host); err != nil {
			return err
		}
	}
	return r.makeNames(ctx)
}

// Failure says what of the rig has ended by itself, if anything has.
func (r *Rig) Failure() error {
	var failed []error
	for _, side := range []*Side{r.Blue, r.Green} {
		if side.Cluster != nil {
			failed = append(failed, side.Cluster.Failure())
		}
	}
	return errors.Join(failed...)
}

// Down takes the rig down. The state folder with the logs stays. A second call does nothing.
func (r *Rig) Down(ctx context.Context) error {
	if r.down {
		return nil
	}
	r.down = true
	if r.cancel != nil {
		r.cancel()
	}
	r.group.Wait()
	failed := []error{together(r.Blue.stop, r.Green.stop, r.stopStores, r.stopNames)(ctx)}
	if r.Network != nil {
		failed = append(failed, r.Network.Close(ctx))
	}
	failed = append(failed, r.record.Close())
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("take the rig down: %w", errors.Join(err, r.lock.Close()))
	}
	if err := errors.Join(os.Remove(r.path(recordFile)), r.lock.Close()); err != nil {
		return fmt.Errorf("take the rig down: %w", err)
	}
	return nil
}

// Clean removes what is left of a rig whose process is gone, and the state folder. It fails with ErrRunning while the
// process lives.
func Clean(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, lockFile)); errors.Is(err, os.ErrNotExist) {
		return nil // no rig was ever here
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return err
	}
	if _, err := record.Clean(ctx, filepath.Join(dir, recordFile)); err != nil {
		return errors.Join(fmt.Errorf("clean up: %w", err), lock.Close())
	}
	return errors.Join(os.RemoveAll(dir), lock.Close())
}

// Borrow returns the rig that is up in a state folder. Without a folder it brings one up, which done takes down again; otherwise done
// does nothing.
func Borrow(ctx context.Context, dir string, log *slog.Logger) (info *Info, done func(context.Context) error, err error) {
	done = func(context.Context) error { return nil }
	if dir == "" {
		dir = DefaultDir
		up, err := Up(ctx, Options{Dir: dir, Images: DemoImages(), Log: log})
		if err != nil {
			return nil, nil, err
		}
		done = up.Down
	}
	if info, err = ReadInfo(dir); err != nil {
		err = errors.Join(err, done(context.WithoutCancel(ctx)))
	}
	return info, done, err
}
