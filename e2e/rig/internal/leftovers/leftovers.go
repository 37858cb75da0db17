// Package leftovers finds what a rig has left on the machine, for tests. It looks at the machine itself and not at the
// rig's record, and only for what belongs to one state folder or one network, since other rigs may run beside it.
package leftovers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Of lists processes and mounts that name the folder, and interfaces, namespaces and control groups of the network,
// which may be empty.
func Of(dir, network string) ([]string, error) {
	found, err := processes(dir)
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	if network == "" {
		return found, nil
	}
	for _, pattern := range []string{
		"/sys/class/net/" + network, "/sys/class/net/" + network + "v*", "/run/netns/" + network + "-*",
		"/sys/fs/cgroup/crossfade-" + network + "-*", "/sys/fs/cgroup/*/crossfade-" + network + "-*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, paths...)
	}
	return found, nil
}

// processes finds those with the folder in their command line or in their mounts: a container's program does not know
// of the folder, but its file system lies in it.
func processes(dir string) ([]string, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, folder := range folders {
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		mounts, err := os.ReadFile(filepath.Join(folder, "mountinfo"))
		if err != nil {
			mounts = nil // it is ending
		}
		if bytes.Contains(line, []byte(dir)) || bytes.Contains(mounts, []byte(dir)) {
			found = append(found, fmt.Sprintf("process %s %s", filepath.Base(folder), bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found, nil
}
