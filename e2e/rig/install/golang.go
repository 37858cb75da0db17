package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// GoProgram returns the path of a program that is named as for go install, version included
// (github.com/versity/versitygw/cmd/versitygw@v1.8.0), and builds it the first time. Modules whose go.mod replaces
// others cannot be had like this; they get a module of the rig's own, as etcd has.
func (in *Installer) GoProgram(ctx context.Context, program string) (string, error) {
	name, version, ok := strings.Cut(program, "@")
	if !ok || !strings.HasPrefix(version, "v") {
		return "", &Error{Op: "build " + program, Hint: "name a version, as in example.org/cmd/x@v1.2.3"}
	}
	dir := filepath.Join(in.Cache, "go", fileName(program))
	err := in.once(ctx, program, dir, program, func() error {
		in.Log.Info("build a Go program, this takes one to five minutes the first time", "program", program)
		cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", program)
		cmd.Dir = dir
		cmd.Env = append(goEnv(), "GOBIN="+dir)
		return run(cmd)
	})
	if err != nil {
		return "", fmt.Errorf("build %s: %w", program, err)
	}
	return filepath.Join(dir, programName(name)), nil
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// programName is the file name that the go command gives to a program.
func programName(pkg string) string {
	base := path.Base(pkg)
	if majorVersion.MatchString(base) {
		base = path.Base(path.Dir(pkg))
	}
	return base
}

// goEnv is the environment of a build that nothing of the caller's workspace leaks into.
func goEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=", "GOARCH=")
}

// A release is one Kubernetes version that the rig can run.
type release struct {
	minor, version string
}

func releases() []release {
	return []release{{"1.28", "v1.28.15"}, {"1.36", "v1.36.3"}}
}

// KubernetesMinors lists the versions that Kubernetes accepts, oldest first.
func KubernetesMinors() []string {
	var minors []string
	for _, r := range releases() {
		minors = append(minors, r.minor)
	}
	return minors
}

// KubernetesVersion returns the full version that stands for a minor one: "1.36" is "v1.36.3".
func KubernetesVersion(minor string) (string, error) {
	for _, r := range releases() {
		if r.minor == minor {
			return r.version, nil
		}
	}
	return "", &Error{Op: "find Kubernetes " + minor, Hint: "choose one of " + strings.Join(KubernetesMinors(), ", ")}
}

// Kubernetes returns the folder with kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and
// kubectl of one minor version, and builds them the first time.
func (in *Installer) Kubernetes(ctx context.Context, minor string) (string, error) {
	version, err := KubernetesVersion(minor)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(in.Cache, "build-"+version)
	_, small, _ := strings.Cut(minor, ".")
	const base = "k8s.io/component-base/version"
	ldflags := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s -X k8s.io/client-go/pkg/version.gitVersion=%[2]s", base, version, small)
	var packages []string
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet", "kubectl"} {
		packages = append(packages, "k8s.io/kubernetes/cmd/"+name)
	}
	err = in.buildModule(ctx, moduleBuild{
		name: "kubernetes-" + minor, dir: dir, ldflags: ldflags, packages: packages,
		say: "build Kubernetes " + version + " from its source, this takes 8 to 15 minutes the first time",
	})
	if err != nil {
		return "", fmt.Errorf("build Kubernetes %s: %w", version, err)
	}
	return dir, nil
}

// Etcd returns the path of etcd.
func (in *Installer) Etcd(ctx context.Context) (string, error) {
	dir := filepath.Join(in.Cache, "etcd")
	err := in.buildModule(ctx, moduleBuild{
		name: "etcd", dir: dir, ldflags: "-s -w", packages: []string{"go.etcd.io/etcd/server/v3"},
		say: "build etcd, this takes about a minute the first time",
	})
	if err != nil {
		return "", fmt.Errorf("build etcd: %w", err)
	}
	return filepath.Join(dir, "server"), nil
}

// Kwok returns the path of kwok, which plays nodes.
func (in *Installer) Kwok(ctx context.Context) (string, error) {
	return in.GoProgram(ctx, "sigs.k8s.io/kwok/cmd/kwok@v0.8.0")
}

// A moduleBuild builds programs at the versions that a module under e2e/rig/modules pins.
type moduleBuild struct {
	name, dir, ldflags, say string
	packages                []string
}

func (in *Installer) buildModule(ctx context.Context, b moduleBuild) error {
	module, err := moduleFolder(ctx, b.name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, file))
		if err != nil {
			return fmt.Errorf("read pinned versions: %w", err)
		}
		sum.Write(content)
	}
	sum.Write([]byte(b.ldflags + strings.Join(b.packages, " ")))
	return in.once(ctx, b.name, b.dir, hex.EncodeToString(sum.Sum(nil)), func() error {
		in.Log.Info(b.say, "cache", b.dir)
		args := append([]string{"build", "-tags", "tools", "-trimpath", "-ldflags", b.ldflags, "-o", b.dir + string(filepath.Separator)}, b.packages...)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = module
		cmd.Env = goEnv()
		return run(cmd)
	})
}

// moduleFolder finds a pinned module in the checkout that the process was started in.
func moduleFolder(ctx context.Context, name string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath)
	out, err := cmd.Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", &Error{Op: "find the checkout of " + modulePath, Hint: "start the rig inside the checkout", Err: err}
	}
	dir := filepath.Join(root, "e2e", "rig", "modules", name)
	if _, err := os.Stat(dir); err != nil {
		return "", errors.Join(errors.New("find pinned module "+name), err)
	}
	return dir, nil
}
