package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
)

// A room is the pair of namespaces, network and mount, that a full cluster lives in. The mount namespace exists as
// long as the open file or a process in it does; every mount made inside goes with it.
type room struct {
	space *netns.Namespace
	mount *os.File
}

// hostSettings are the kernel settings that a kubelet changes on its host, with the values that it wants. In the room
// they are files of the room's own.
func hostSettings() map[string]string {
	return map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
}

// newRoom makes the mount namespace. Folders of dir become /var/lib and /var/log in it, /run is new, the named control
// group looks like the root of all, and /etc/resolv.conf names the resolver.
func newRoom(space *netns.Namespace, dir, resolvConf, cgroup string, programs ...string) (*room, error) {
	for _, used := range append([]string{dir}, programs...) {
		for _, hidden := range []string{"/run/", "/var/run/", "/var/lib/", "/var/log/"} {
			if strings.HasPrefix(used, hidden) {
				return nil, &install.Error{
					Op:   "make a mount namespace: " + used + " would be hidden in it",
					Hint: "choose a state folder and CROSSFADE_RIG_CACHE outside of /run, /var/lib and /var/log",
				}
			}
		}
	}
	r := &room{space: space}
	if err := process.OnThread(func() error { return r.furnish(dir, resolvConf, cgroup) }); err != nil {
		return nil, errors.Join(fmt.Errorf("make mount namespace: %w", err), r.close())
	}
	return r, nil
}

// furnish runs on a thread of its own and leaves it in the new namespace.
func (r *room) furnish(dir, resolvConf, cgroup string) error {
	resolv, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		resolv = "" // a machine without a resolver of its own needs nothing hidden
	} else if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	// What is mounted here stays here; what the machine mounts later is still seen.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keep mounts inside: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for inside, outside := range map[string]string{"/var/lib": "lib", "/var/log": "log"} {
		outside = filepath.Join(dir, outside)
		if err := os.MkdirAll(outside, 0o755); err != nil {
			return err
		}
		if err := bind(outside, inside); err != nil {
			return err
		}
	}
	if err := bindGroups(cgroup); err != nil {
		return err
	}
	if resolv != "" {
		if err := bindFile(resolvConf, resolv); err != nil {
			return err
		}
	}
	for name, value := range hostSettings() {
		file := filepath.Join(dir, "settings", strings.ReplaceAll(name, "/", "."))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := bind(file, "/proc/sys/"+name); err != nil {
			return err
		}
	}
	r.mount, err = os.Open("/proc/thread-self/ns/mnt")
	return err
}

// bindFile binds a file over one that may lie in a folder that the room has not.
func bindFile(outside, inside string) error {
	if err := os.MkdirAll(filepath.Dir(inside), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(inside); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(inside, nil, 0o644); err != nil {
			return err
		}
	}
	return bind(outside, inside)
}

func bind(outside, inside string) error {
	if err := unix.Mount(outside, inside, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", outside, inside, err)
	}
	return nil
}

// enter moves the calling thread into the room; see netns.Namespace.Enter.
func (r *room) enter() error {
	if err := r.space.Enter(); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter mount namespace: %w", err)
	}
	if err := unix.Setns(int(r.mount.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter mount namespace: %w", err)
	}
	return nil
}

func (r *room) close() error {
	if r.mount == nil {
		return nil
	}
	return r.mount.Close()
}
