package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A hierarchy is one mounted tree of control groups.
type hierarchy struct {
	path string // where it is mounted
	v2   bool
}

// hierarchies lists them. A machine has one of version 2, or one for each kind of resource of version 1, or a mixture.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	var found []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") && strings.HasPrefix(f[1], "/sys/fs/cgroup") {
			found = append(found, hierarchy{path: f[1], v2: f[2] == "cgroup2"})
		}
	}
	return found, lines.Err()
}

// bindGroups makes the named group in every hierarchy and mounts it in place of the hierarchy's root, so that what containerd
// and the kubelet make lies in the group, wherever they believe it to be. A container outlives containerd and its
// shim; the group is the handle by which it is found.
func bindGroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		group := filepath.Join(h.path, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make control group: %w", err)
		}
		if err := h.prepare(group); err != nil {
			return fmt.Errorf("prepare control group %s: %w", group, err)
		}
		if err := h.replace(group); err != nil {
			return fmt.Errorf("mount control group %s: %w", group, err)
		}
	}
	return nil
}

// replace mounts the group instead of the hierarchy's root. It is not enough to cover the root: runc reads the list of
// mounts and takes the first one that fits.
func (h hierarchy) replace(group string) error {
	aside, err := os.MkdirTemp("/run", "cgroup-")
	if err != nil {
		return err
	}
	if err := unix.Mount(group, aside, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Unmount(h.path, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.Mount(aside, h.path, "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return os.Remove(aside)
}

// prepare gives a new group what groups below it need: in version 2 the controllers, in version 1 the processors
// that it may use.
func (h hierarchy) prepare(group string) error {
	if h.v2 {
		content, err := os.ReadFile(filepath.Join(h.path, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, controller := range strings.Fields(string(content)) {
			for _, dir := range []string{h.path, group} {
				// A controller that cannot be handed down is not in the group's own list, which is what counts.
				_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
			}
		}
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(h.path, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // another kind of resource
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, name), value, 0); err != nil {
			return err
		}
	}
	return nil
}
