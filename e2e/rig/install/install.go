package install

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// modulePath is the module in whose checkout the pinned modules of the rig lie.
const modulePath = "github.com/crossfade-project/crossfade"

// An Installer finds programs in its cache, or builds and installs them. It may be used by several goroutines and
// several processes at once.
type Installer struct {
	// Cache is the folder that holds everything that was built.
	Cache string
	// Log gets one line before each action that takes long.
	Log *slog.Logger
}

// New returns an installer on the cache that the environment names. A nil log is silent.
func New(log *slog.Logger) (*Installer, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cache := os.Getenv("CROSSFADE_RIG_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, &Error{Op: "find the rig's cache", Hint: "set CROSSFADE_RIG_CACHE or HOME", Err: err}
		}
		cache = filepath.Join(base, "crossfade-rig")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, fmt.Errorf("find the rig's cache: %w", err)
	}
	return &Installer{Cache: cache, Log: log}, nil
}

// An Error says what could not be installed and what the user can do about it.
type Error struct {
	Op   string // what was tried
	Hint string // what mends it
	Err  error  // may be nil
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Op
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CanBuild says whether programs can be built here at all, which is enough for a Light cluster, and if not, why.
func CanBuild() (bool, string) {
	if runtime.GOOS == "windows" {
		return false, "the rig's programs are not built on Windows"
	}
	if _, err := exec.LookPath("go"); err != nil {
		return false, "the go command is not on the PATH"
	}
	return true, ""
}

// CanRun says whether full clusters can run here (Linux, root, Debian, its own namespaces), and if not, why.
func CanRun() (bool, string) {
	if ok, reason := CanBuild(); !ok {
		return false, reason
	}
	if runtime.GOOS != "linux" {
		return false, "clusters with real pods run on Linux only, this is " + runtime.GOOS
	}
	if os.Geteuid() != 0 {
		return false, "clusters with real pods need root"
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false, "the rig installs Debian's packages and finds no apt-get"
	}
	return true, ""
}

// once runs build under the lock of key, unless the stamp in dir already says stamp. The stamp is written last, so
// that a killed build counts as none.
func (in *Installer) once(ctx context.Context, key, dir, stamp string, build func() error) error {
	file := filepath.Join(dir, ".stamp")
	if have, err := os.ReadFile(file); err == nil && string(have) == stamp {
		return nil
	}
	unlock, err := in.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if have, err := os.ReadFile(file); err == nil && string(have) == stamp {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old stamp: %w", err)
	}
	if err := build(); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	return nil
}

// lock takes the file lock of one item. It waits while another process holds it, until the context ends.
func (in *Installer) lock(ctx context.Context, key string) (unlock func(), err error) {
	dir := filepath.Join(in.Cache, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	name := filepath.Join(dir, fileName(key)+".lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lockFile(ctx, file, func() { in.Log.Info("another process installs this, waiting for it", "item", key) }); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
	}
	// Closing the file gives the lock back; nothing was written to it, so that there is no error to see.
	return func() { _ = file.Close() }, nil
}

// fileName turns a key such as a module path into one plain file name.
func fileName(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == ':' {
			return '_'
		}
		return r
	}, key)
}

// run runs one command to its end, with its output in the error if it fails.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		if len(text) > 2000 {
			text = "… " + text[len(text)-2000:]
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	}
	return nil
}
