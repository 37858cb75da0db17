package rig

import (
	"context"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/rig/image"
)

// An Image is built once and imported on both sides, on each under the name of that side's registry only.
type Image struct {
	// Name is without the registry: crossfade-demo/shop:1.
	Name string
	Spec image.Spec
}

// buildPause builds the sandbox image for one side.
func (r *Rig) buildPause(ctx context.Context, side string) (string, error) {
	file := r.path("images", side, "pause.tar")
	if err := image.Build(ctx, file, image.PauseSpec()); err != nil {
		return "", err
	}
	return file, nil
}

func (r *Rig) importImages(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	images := slices.Clone(r.o.Images)
	if r.o.Demo {
		images = append(images, DemoImages()...)
	}
	for _, img := range images {
		group.Go(func() error {
			files, tars := map[string][]string{}, map[string]*Side{}
			for _, side := range []*Side{r.Blue, r.Green} {
				file := r.path("images", side.Name, path.Base(img.Name)+".tar")
				files[file] = []string{side.Registry() + "/" + img.Name}
				tars[file] = side
			}
			if err := image.BuildEach(ctx, img.Spec, files); err != nil {
				return err
			}
			for file, side := range tars {
				if err := side.Cluster.Import(ctx, file); err != nil {
					return fmt.Errorf("give image %s to %s: %w", img.Name, side.Name, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}
