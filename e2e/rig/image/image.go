package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Pause is the name of the image that holds the sandbox of every pod in the rig.
const Pause = "rig.test/pause:1"

// A Spec describes one image. Packages are needed, and Tags for Build.
type Spec struct {
	// Tags are the image's full names, such as shop.test/web:1. All stand in the same tar.
	Tags []string
	// Packages are the import paths (or ./paths from Dir) of the programs. Each becomes /NAME; the first is what the
	// image starts.
	Packages []string
	// Dir is where the go command runs, inside the module of the packages. Empty is the current folder.
	Dir string
	// Args follow the program.
	Args []string
	Env  []string
	// Ports are what the image says that it listens on.
	Ports []int
	// User is the number of the user that it runs as. Empty is 65532, which owns nothing.
	User string
	// Files are further files: the path inside, and the content.
	Files map[string][]byte
	// Flags are given to go build, after those that make the program static.
	Flags []string
}

// PauseSpec is the sandbox image.
func PauseSpec() Spec {
	return Spec{
		Tags:     []string{Pause},
		Packages: []string{"github.com/crossfade-project/crossfade/e2e/rig/image/pause"},
		User:     "65535",
	}
}

// Build compiles the programs and writes the tar of the image.
func Build(ctx context.Context, file string, spec Spec) error {
	return BuildEach(ctx, spec, map[string][]string{file: spec.Tags})
}

// BuildEach compiles once and writes several tars of the same image, each with names of its own: file to tags. The
// names in the spec are not used.
func BuildEach(ctx context.Context, spec Spec, files map[string][]string) error {
	img, err := build(ctx, spec)
	if err != nil {
		return fmt.Errorf("build image of %s: %w", strings.Join(spec.Packages, ", "), err)
	}
	for file, tags := range files {
		if err := write(file, tags, img); err != nil {
			return fmt.Errorf("build image %s: %w", strings.Join(tags, ", "), err)
		}
	}
	return nil
}

func build(ctx context.Context, spec Spec) (_ v1.Image, err error) {
	if len(spec.Packages) == 0 {
		return nil, errors.New("an image needs a package")
	}
	bin, err := os.MkdirTemp("", "crossfade-image-")
	if err != nil {
		return nil, fmt.Errorf("make build folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	files := maps.Clone(spec.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	if err := compile(ctx, bin, spec); err != nil {
		return nil, err
	}
	programs := map[string]bool{}
	for _, pkg := range spec.Packages {
		program := path.Base(pkg)
		content, err := os.ReadFile(filepath.Join(bin, program))
		if err != nil {
			return nil, fmt.Errorf("read program: %w", err)
		}
		files["/"+program] = content
		programs["/"+program] = true
	}
	return assemble(spec, files, programs)
}

func compile(ctx context.Context, bin string, spec Spec) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", bin + string(filepath.Separator)}, spec.Flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, spec.Packages...)...)
	cmd.Dir = spec.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func assemble(spec Spec, files map[string][]byte, programs map[string]bool) (v1.Image, error) {
	content, err := layerTar(files, programs)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	config := v1.Config{
		Entrypoint: append([]string{"/" + path.Base(spec.Packages[0])}, spec.Args...),
		Env:        append([]string{"PATH=/", "HOME=/tmp"}, spec.Env...),
		User:       spec.User,
		WorkingDir: "/",
	}
	if config.User == "" {
		config.User = "65532"
	}
	for _, port := range spec.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[strconv.Itoa(port)+"/tcp"] = struct{}{}
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("set configuration: %w", err)
	}
	// The configuration above has no layers; adding the layer after it lets the library list it.
	return mutate.AppendLayers(img, layer)
}

// layerTar writes the files in the order of their names, all with the same time, and a /tmp that anyone may use.
func layerTar(files map[string][]byte, programs map[string]bool) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	epoch := time.Unix(0, 0)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: epoch}); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if programs[name] {
			mode = 0o755
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(files[name])), ModTime: epoch}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return out.Bytes(), nil
}

// write writes the tar beside its place and moves it there, so that a reader never sees half of it.
func write(file string, tags []string, img v1.Image) error {
	if len(tags) == 0 {
		return errors.New("an image needs a name")
	}
	refs := map[name.Reference]v1.Image{}
	for _, tag := range tags {
		ref, err := name.NewTag(tag)
		if err != nil {
			return fmt.Errorf("read image name: %w", err)
		}
		refs[ref] = img
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make image folder: %w", err)
	}
	part := file + ".part"
	if err := tarball.MultiRefWriteToFile(part, refs); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	if err := os.Rename(part, file); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}
