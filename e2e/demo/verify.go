//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

// verify looks for every accepted write in green's store, with a client of its own: not the application's, and not the
// driver's.
func (r *Result) verify(ctx context.Context, world *rig.Rig) error {
	store, err := world.Info().AzureClient()
	if err != nil {
		return err
	}
	v, err := load.Verify(ctx, r.Load.Accepted("shop.apps.test"), func(ctx context.Context, key string) ([]byte, error) {
		return read(ctx, store, manifests.ShopBucket, key)
	})
	if err != nil {
		return err
	}
	r.Load.Verification = &v
	r.Lost = append(append([]load.Loss{}, v.Lost...), v.Unread...)
	return r.countTicks(ctx, store)
}

func read(ctx context.Context, store *azblob.Client, container, key string) (body []byte, err error) {
	answer, err := store.DownloadStream(ctx, container, key, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		return nil, fmt.Errorf("read %s: %w", key, load.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if answer.ContentLength == nil {
		return nil, fmt.Errorf("read %s: status %d without a length", key, http.StatusOK)
	}
	body, err = io.ReadAll(answer.Body)
	return body, errors.Join(err, answer.Body.Close())
}

// tickForm is how the clock names its objects: by their minute.
const tickForm = "ticks/2006-01-02T15:04Z"

// countTicks lists the clock's ticks in green's store and finds minutes without one.
func (r *Result) countTicks(ctx context.Context, store *azblob.Client) error {
	seen := map[string]bool{}
	var first, last time.Time
	pages := store.NewListBlobsFlatPager(manifests.ClockBucket, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the clock's ticks: %w", err)
		}
		for _, blob := range page.Segment.BlobItems {
			at, err := time.Parse(tickForm, *blob.Name)
			if err != nil {
				return fmt.Errorf("the clock's bucket holds %q: %w", *blob.Name, err)
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
			seen[*blob.Name] = true
		}
	}
	r.Ticks = len(seen)
	for at := first; at.Before(last); at = at.Add(time.Minute) {
		if name := at.Format(tickForm); !seen[name] {
			r.Missing = append(r.Missing, name)
		}
	}
	return nil
}
