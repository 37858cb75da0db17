package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupRoot is where the hierarchies of control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// Clean removes what the record at path says is left, newest first, and then the record. It returns the number of
// things that it removed.
func Clean(ctx context.Context, path string) (int, error) {
	left, err := Left(path)
	if err != nil {
		return 0, err
	}
	slices.Reverse(left)
	var failed []error
	for _, e := range left {
		if err := Remove(ctx, e); err != nil {
			failed = append(failed, fmt.Errorf("remove %s %s: %w", e.Kind, e.Name, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return len(left) - len(failed), err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return len(left), fmt.Errorf("remove record: %w", err)
	}
	return len(left), nil
}

// Remove removes one thing. What is gone already is no error.
func Remove(ctx context.Context, e Entry) error {
	switch e.Kind {
	case Process:
		return killProcess(ctx, e)
	case Namespace:
		return removeNamespace(ctx, e.Name)
	case Link:
		return removeLink(ctx, e.Name)
	case Cgroup:
		return removeCgroup(ctx, e.Name)
	case Folder:
		err := os.Remove(e.Name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EBUSY) {
			return nil
		}
		return err
	default:
		return fmt.Errorf("unknown kind %q", e.Kind)
	}
}

// StartTime returns when a process started, in clock ticks since boot.
func StartTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold spaces; the fields after it are counted from the last bracket.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("read start time of process %d: short line", pid)
	}
	if fields[0] == "Z" {
		return 0, fs.ErrNotExist // it ended, and its parent has not asked for its result yet
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Alive says whether the process of an entry still runs.
func Alive(e Entry) bool {
	start, err := StartTime(e.PID)
	return err == nil && start == e.Start
}

func killProcess(ctx context.Context, e Entry) error {
	return until(ctx, func() (bool, error) {
		if !Alive(e) {
			return true, nil
		}
		return false, kill(e.PID)
	})
}

func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// removeLink removes an interface. The kernel itself removes some a moment after their other end.
func removeLink(ctx context.Context, name string) error {
	there := func() bool {
		_, err := os.Stat("/sys/class/net/" + name)
		return err == nil
	}
	if !there() {
		return nil
	}
	if err := command(ctx, "ip", "link", "del", name); err != nil && there() {
		return err
	}
	return nil
}

// removeNamespace ends every process in a named network namespace, then removes it.
func removeNamespace(ctx context.Context, name string) error {
	found, err := EmptyNamespace(ctx, name)
	if err != nil || !found {
		return err
	}
	return command(ctx, "ip", "netns", "del", name)
}

// EmptyNamespace ends every process in a named network namespace, and says whether there is such a namespace. Container
// shims have no other handle after their parent was killed.
func EmptyNamespace(ctx context.Context, name string) (bool, error) {
	var want syscall.Stat_t
	if err := syscall.Stat("/run/netns/"+name, &want); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	return true, until(ctx, func() (bool, error) {
		pids, err := processesIn(want)
		if err != nil || len(pids) == 0 {
			return true, err
		}
		for _, pid := range pids {
			if err := kill(pid); err != nil {
				return false, err
			}
		}
		return false, nil
	})
}

// processesIn lists the processes whose network namespace is the one that the file stands for. This process is not
// among them: its own threads enter namespaces and leave them.
func processesIn(want syscall.Stat_t) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var have syscall.Stat_t
		if syscall.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &have) == nil && have.Ino == want.Ino && have.Dev == want.Dev {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// removeCgroup ends every process below the named group in each hierarchy, then removes the groups, deepest first.
func removeCgroup(ctx context.Context, name string) error {
	roots, err := cgroupFolders(name)
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		done := true
		for _, root := range roots {
			var groups []string
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err == nil && d.IsDir() {
					groups = append(groups, path)
				}
				return err
			})
			if err != nil {
				return false, err
			}
			for _, group := range slices.Backward(groups) {
				done = emptyCgroup(group) && done
			}
		}
		return done, nil
	})
}

// emptyCgroup kills the processes of one group and tries to remove it. The group stays while they are ending.
func emptyCgroup(group string) bool {
	content, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err == nil {
		for _, field := range strings.Fields(string(content)) {
			if pid, err := strconv.Atoi(field); err == nil {
				_ = kill(pid) // one that cannot be killed keeps the group, which is seen below
			}
		}
	}
	err = os.Remove(group)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// cgroupFolders finds the group in the one hierarchy of version 2, or in each of version 1.
func cgroupFolders(name string) ([]string, error) {
	var found []string
	for _, pattern := range []string{filepath.Join(cgroupRoot, name), filepath.Join(cgroupRoot, "*", name)} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			// Links such as cpu -> cpu,cpuacct lead to the same group again.
			if real, err := filepath.EvalSymlinks(path); err == nil && !slices.Contains(found, real) {
				found = append(found, real)
			}
		}
	}
	return found, nil
}

// until calls step until it says that it is done, for half a minute at most.
func until(ctx context.Context, step func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := step()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not go away: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
