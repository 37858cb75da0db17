package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

func needGo(t *testing.T) {
	t.Helper()
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
}

// read returns the image that a tar holds under a name.
func read(t *testing.T, file, tag string) v1.Image {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(file, &ref)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAnImageHoldsItsProgramAndWhatTheSpecSays(t *testing.T) {
	needGo(t)
	file := filepath.Join(t.TempDir(), "images", "pause.tar")
	spec := image.PauseSpec()
	spec.Tags = []string{"a.test/one:1", "b.test/two:2"}
	spec.Args, spec.Env, spec.Ports = []string{"-v"}, []string{"MODE=test"}, []int{8080}
	spec.Files = map[string][]byte{"/etc/motd": []byte("hello")}
	if err := image.Build(t.Context(), file, spec); err != nil {
		t.Fatal(err)
	}
	img := read(t, file, "a.test/one:1")
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; !slices.Equal(got, []string{"/pause", "-v"}) {
		t.Errorf("it starts %v", got)
	}
	if _, ok := config.Config.ExposedPorts["8080/tcp"]; !ok || config.Config.User != "65535" || !slices.Contains(config.Config.Env, "MODE=test") {
		t.Errorf("its configuration is %+v", config.Config)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("it is for %s/%s with %d layers", config.OS, config.Architecture, len(config.RootFS.DiffIDs))
	}
	checkFiles(t, img)
	one, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if two, err := read(t, file, "b.test/two:2").Digest(); err != nil || one != two {
		t.Errorf("its two names stand for %v and %v, %v", one, two, err)
	}
}

func checkFiles(t *testing.T, img v1.Image) {
	t.Helper()
	files := mutate.Extract(img)
	defer files.Close()
	modes, reader := map[string]int64{}, tar.NewReader(files)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode & 0o7777
		if header.Name == "pause" {
			head := make([]byte, 4)
			if _, err := io.ReadFull(reader, head); err != nil || !bytes.Equal(head, []byte("\x7fELF")) {
				t.Errorf("the program begins with %q, %v", head, err)
			}
		}
	}
	if modes["pause"] != 0o755 || modes["etc/motd"] != 0o644 || modes["tmp/"]|modes["tmp"] != 0o1777 {
		t.Errorf("its files have modes %v", modes)
	}
}

func TestTheSameProgramGivesTheSameImage(t *testing.T) {
	needGo(t)
	var tars [][]byte
	for range 2 {
		file := filepath.Join(t.TempDir(), "pause.tar")
		if err := image.Build(t.Context(), file, image.PauseSpec()); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tars = append(tars, content)
	}
	if !bytes.Equal(tars[0], tars[1]) {
		t.Error("two builds differ")
	}
}

func TestASpecWithoutAPackageOrANameIsRefused(t *testing.T) {
	needGo(t)
	file := filepath.Join(t.TempDir(), "x.tar")
	if err := image.Build(t.Context(), file, image.Spec{Tags: []string{"a.test/one:1"}}); err == nil {
		t.Error("an image of nothing was built")
	}
	spec := image.PauseSpec()
	spec.Tags = nil
	if err := image.Build(t.Context(), file, spec); err == nil {
		t.Error("an image without a name was built")
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a tar was written: %v", err)
	}
}
