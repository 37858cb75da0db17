package install

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func testInstaller(t *testing.T) *Installer {
	t.Helper()
	t.Setenv("CROSSFADE_RIG_CACHE", t.TempDir())
	in, err := New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestOnceBuildsOnceForManyCallers(t *testing.T) {
	in := testInstaller(t)
	dir := filepath.Join(in.Cache, "thing")
	var mu sync.Mutex
	built := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			err := in.once(t.Context(), "thing", dir, "v1", func() error {
				mu.Lock()
				defer mu.Unlock()
				built++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if built != 1 {
		t.Fatalf("built %d times, want once", built)
	}
}

func TestOnceBuildsAgainAfterAFailureAndForAnotherVersion(t *testing.T) {
	in := testInstaller(t)
	dir := filepath.Join(in.Cache, "thing")
	broken := errors.New("broken")
	if err := in.once(t.Context(), "thing", dir, "v1", func() error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v, want the build's error", err)
	}
	built := 0
	for _, stamp := range []string{"v1", "v1", "v2"} {
		if err := in.once(t.Context(), "thing", dir, stamp, func() error { built++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if built != 2 {
		t.Fatalf("built %d times, want once for each of two versions", built)
	}
}

func TestLockIsGivenUpWithItsContext(t *testing.T) {
	in := testInstaller(t)
	unlock, err := in.lock(t.Context(), "thing")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.lock(ctx, "thing"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
}

func TestDebianAsksNothingOfAptWhenAllIsThere(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("no dpkg on this machine")
	}
	in := testInstaller(t)
	real, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // a PATH without apt-get
	if err := os.Symlink(real, filepath.Join(dir, "dpkg-query")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if err := in.Debian(t.Context(), "dpkg", "libc6"); err != nil {
		t.Fatal(err)
	}
}

func TestProgramNamesAndVersionsAreChecked(t *testing.T) {
	in := testInstaller(t)
	var typed *Error
	if _, err := in.GoProgram(t.Context(), "example.org/x"); !errors.As(err, &typed) || typed.Hint == "" {
		t.Fatalf("got %v, want an error with a hint", err)
	}
	if _, err := in.Kubernetes(t.Context(), "1.2"); !errors.As(err, &typed) || typed.Hint == "" {
		t.Fatalf("got %v, want an error with a hint", err)
	}
	for pkg, want := range map[string]string{
		"go.etcd.io/etcd/server/v3":     "server",
		"github.com/minio/minio":        "minio",
		"example.org/cmd/versitygw":     "versitygw",
		"github.com/rclone/rclone/v12":  "rclone",
		"github.com/coredns/coredns/v1": "coredns",
	} {
		if got := programName(pkg); got != want {
			t.Errorf("program of %s is %s, want %s", pkg, got, want)
		}
	}
}

func TestEtcdIsBuiltAndThenFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds etcd")
	}
	if ok, reason := CanBuild(); !ok {
		t.Skip(reason)
	}
	in, err := New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	path, err := in.Etcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput(); err != nil {
		t.Fatalf("run etcd: %v: %s", err, out)
	}
	t.Setenv("GOPROXY", "off") // the second time nothing is fetched
	if _, err := in.Etcd(t.Context()); err != nil {
		t.Fatal(err)
	}
}
