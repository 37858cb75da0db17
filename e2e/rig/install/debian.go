package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ClusterPackages are the Debian packages that a full cluster needs.
func ClusterPackages() []string {
	return []string{"conntrack", "containerd", "containernetworking-plugins", "iproute2", "iptables", "runc", "util-linux"}
}

// A MissingError lists Debian packages that are not installed and that this process may not install.
type MissingError struct {
	Packages []string
	Reason   string // why they cannot be installed by this process
}

// Command is what installs them.
func (e *MissingError) Command() string {
	return "apt-get install --no-install-recommends " + strings.Join(e.Packages, " ")
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("Debian packages are missing: %s: %s (run as root: %s)", strings.Join(e.Packages, ", "), e.Reason, e.Command())
}

// Debian makes sure that the packages are installed, without starting the services that they bring. Where all are
// there already it only asks dpkg. Where some are missing and this process may not install, it returns a
// *MissingError.
func (in *Installer) Debian(ctx context.Context, packages ...string) error {
	missing, err := in.missingPackages(ctx, packages)
	if err != nil || len(missing) == 0 {
		return err
	}
	unlock, err := in.lock(ctx, "debian")
	if err != nil {
		return err
	}
	defer unlock()
	missing, err = in.missingPackages(ctx, packages)
	if err != nil || len(missing) == 0 {
		return err
	}
	if os.Geteuid() != 0 {
		return &MissingError{Packages: missing, Reason: "this process is not root"}
	}
	in.Log.Info("install Debian packages, this takes about a minute", "packages", strings.Join(missing, " "))
	restore, err := keepServicesDown()
	if err != nil {
		return err
	}
	err = errors.Join(in.aptInstall(ctx, missing), restore())
	if err != nil {
		return &Error{Op: "install Debian packages", Hint: "is the package mirror reachable?", Err: err}
	}
	versions, err := packageVersions(ctx, missing)
	if err != nil {
		return err
	}
	for _, name := range missing {
		in.Log.Info("installed Debian package", "package", name, "version", versions[name])
	}
	return in.disableServices(ctx, missing)
}

// aptInstall installs from the lists that are there, and fetches new lists where these are absent or out of date.
func (in *Installer) aptInstall(ctx context.Context, packages []string) error {
	args := append([]string{"-o", "DPkg::Lock::Timeout=600", "-qq", "-y", "--no-install-recommends", "install"}, packages...)
	lists, err := filepath.Glob("/var/lib/apt/lists/*Packages*")
	if err != nil {
		return fmt.Errorf("look for package lists: %w", err)
	}
	if len(lists) > 0 {
		if err = apt(ctx, args...); err == nil {
			return nil
		}
		in.Log.Info("fetch new package lists, since the installation failed with the old ones", "error", err.Error())
	}
	if err := apt(ctx, "-o", "DPkg::Lock::Timeout=600", "-qq", "update"); err != nil {
		return err
	}
	return apt(ctx, args...)
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	return run(cmd)
}

func (in *Installer) missingPackages(ctx context.Context, packages []string) ([]string, error) {
	if runtime.GOOS != "linux" {
		return nil, &Error{Op: "install Debian packages", Hint: "run the rig on Debian", Err: errors.ErrUnsupported}
	}
	versions, err := packageVersions(ctx, packages)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range packages {
		if versions[name] == "" {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// packageVersions returns the versions of those packages that are installed.
func packageVersions(ctx context.Context, packages []string) (map[string]string, error) {
	args := append([]string{"-W", "-f", "${Package} ${db:Status-Status} ${Version}\n"}, packages...)
	cmd := exec.CommandContext(ctx, "dpkg-query", args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	// dpkg-query ends with 1 when it does not know one of the names, and still prints the others.
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return nil, &Error{Op: "ask dpkg for packages", Hint: "the rig needs Debian", Err: err}
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == "installed" {
			versions[f[0]] = f[2]
		}
	}
	return versions, nil
}

const (
	policyFile = "/usr/sbin/policy-rc.d"
	policyText = "#!/bin/sh\n# Written by the crossfade rig while it installs packages, removed by it afterwards.\nexit 101\n"
)

// keepServicesDown tells Debian's maintainer scripts to start nothing, and returns what takes that back. A policy of
// the machine's own is put aside meanwhile; one that a killed run of the rig left is taken for ours.
func keepServicesDown() (restore func() error, err error) {
	const aside = policyFile + ".crossfade-saved"
	if have, err := os.ReadFile(policyFile); err == nil && string(have) != policyText {
		if err := os.Rename(policyFile, aside); err != nil {
			return nil, fmt.Errorf("put policy-rc.d aside: %w", err)
		}
	}
	if err := os.WriteFile(policyFile, []byte(policyText), 0o755); err != nil {
		return nil, fmt.Errorf("write policy-rc.d: %w", err)
	}
	return func() error {
		if err := os.Rename(aside, policyFile); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.Remove(policyFile)
	}, nil
}

// disableServices keeps the new packages' services from starting at the next boot, where systemd runs.
func (in *Installer) disableServices(ctx context.Context, packages []string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"-L"}, packages...)...).Output()
	if err != nil {
		return fmt.Errorf("list files of packages: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		unit := filepath.Base(name)
		if !strings.HasSuffix(filepath.Dir(name), "lib/systemd/system") || !strings.HasSuffix(unit, ".service") || strings.Contains(unit, "@") {
			continue
		}
		if err := run(exec.CommandContext(ctx, "systemctl", "disable", "--quiet", unit)); err != nil {
			in.Log.Warn("a package's service could not be disabled", "unit", unit, "error", err.Error())
		}
	}
	return nil
}
