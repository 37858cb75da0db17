package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/e2e/rig"
)

const (
	// sceneTTL is what the names have before the migration lowers it, in seconds.
	sceneTTL = 4
	// readsPerSecond and writesPerSecond are those of each of a target's two users.
	readsPerSecond, writesPerSecond = 5, 3
)

// A scene is one set of the demo's applications on the rig, with users, and a migration of its own.
type scene struct {
	name string
	rig  *rig.Info
	demo rig.Demo
	dir  string
	o    Options

	users   *load.Load
	stop    context.CancelFunc
	ended   chan struct{}
	watch   *watch
	runs    int
	closing sync.Once
	books   load.Report // once the users have left
}

// demoOf is the set of applications of a scene.
func demoOf(name string) rig.Demo { return rig.Demo{Namespace: name, TTL: sceneTTL} }

// Prepare removes what a proof that was killed has left, and makes the kinds of all scenes on blue, so that none comes while a
// migration runs under roles that were printed before. Whoever runs one beside the proof prepares first.
func Prepare(ctx context.Context, o Options) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range o.chosen() {
		group.Go(func() error {
			d := demoOf(s.name)
			return errors.Join(o.Rig.Remove(ctx, d), o.Rig.Gone(ctx, d), o.Rig.Define(ctx, d))
		})
	}
	return group.Wait()
}

// open deploys a scene and lets users in. Its migration has the printed roles and nothing else.
func (o Options) open(ctx context.Context, name string, p pace) (_ *scene, err error) {
	s := &scene{name: name, rig: o.Rig, o: o, demo: demoOf(name), dir: filepath.Join(o.Dir, name)}
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.path("logs"), 0o755)); err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", name, err)
	}
	if err := s.rig.Deploy(ctx, s.demo); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.writeFile(o.Top, p); err != nil {
		return nil, err
	}
	if err := s.rig.Grant(ctx, o.Binary, s.file()); err != nil {
		return nil, err
	}
	if err := s.seed(ctx); err != nil {
		return nil, err
	}
	s.users, err = load.New(load.Config{
		Resolver: &load.DNSResolver{Server: s.rig.Resolver}, RunID: name,
		Targets: []load.Target{
			{Host: s.demo.Host("happy-bandit"), Expect: "happy-bandit", Reads: readsPerSecond},
			{Host: s.demo.Host("shop"), Expect: "shop", Reads: readsPerSecond, Writes: writesPerSecond},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := s.watchNames(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	usersCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.ended = stop, make(chan struct{})
	go func() {
		defer close(s.ended)
		s.users.Run(usersCtx)
	}()
	return s, wait(ctx, 2*time.Second)
}

func (s *scene) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *scene) file() string { return s.path("migration.yaml") }

func (s *scene) hosts() []string {
	var hosts []string
	for _, app := range rig.DemoHosts() {
		hosts = append(hosts, s.demo.Host(app))
	}
	return hosts
}

// leave sends the users home and closes their books.
func (s *scene) leave() {
	s.closing.Do(func() {
		if s.stop == nil {
			return
		}
		s.stop()
		<-s.ended
		s.books = s.users.Report()
	})
}

// close takes the scene from the rig. Its folder stays.
func (s *scene) close(ctx context.Context) error {
	s.leave()
	if s.watch != nil {
		s.watch.end()
	}
	return s.rig.Remove(ctx, s.demo)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
