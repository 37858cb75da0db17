package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// start starts a world, or skips the test.
func start(t *testing.T) *World {
	t.Helper()
	if testing.Short() {
		t.Skip("starts API servers")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	w, err := Start(t.Context(), Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Two trials that nothing broke have one fingerprint, although names, keys, times and ports differ; and whatever differs
// otherwise is seen.
func TestFingerprintsAreEqualWhereWorldsAre(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	trials := make([]*Trial, 2)
	first := make([]Fingerprint, 2)
	done := make([]Fingerprint, 2)
	group, gctx := errgroup.WithContext(ctx)
	for i, name := range []string{"trial-one", "trial-two"} {
		group.Go(func() error {
			var err error
			if trials[i], err = w.NewWithOldHosts(gctx, name); err != nil {
				return err
			}
			if first[i], err = trials[i].Blue(gctx); err != nil {
				return err
			}
			r, err := trials[i].Run(gctx, Fault{}, "run", "--yes")
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("exit code %d\n%s%s", r.Code, r.Stderr, r.Stdout)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	one, two := trials[0], trials[1]
	if diff := Diff(first[0], first[1]); diff != "" || first[0].Hash != first[1].Hash {
		t.Errorf("blue is not the same at first:\n%s", diff)
	}
	var err error
	if done[0], err = one.Fingerprint(ctx); err != nil {
		t.Fatal(err)
	}
	if done[1], err = Becomes(ctx, done[0], time.Minute, two.Fingerprint); err != nil {
		t.Fatal(err)
	}
	if diff := Diff(done[0], done[1]); diff != "" {
		t.Errorf("two migrations end otherwise:\n%s", diff)
	}

	for what, change := range map[string]func() error{
		"green configmaps TRIAL/web-settings-1": func() error {
			return w.Green.Client.Typed.CoreV1().ConfigMaps(one.Name).Delete(ctx, "web-settings-1", metav1.DeleteOptions{})
		},
		`bucket TRIAL-shop-green "more"`: func() error {
			b, err := one.bucket(ctx, one.Name+"-shop-green")
			if err != nil {
				return err
			}
			_, err = b.Put(ctx, "more", strings.NewReader("x"), 1, bucket.PutOptions{})
			return err
		},
		"zone web.TRIAL.apps.test. CNAME": func() error {
			return w.Primary.Clear(ctx, Zone, "web."+one.Name+"."+Zone, "CNAME")
		},
		"blue pods TRIAL refuse writes": func() error {
			_, _, _, err := w.throughPods("blue").PodRequest(ctx, kube.PodRequest{Namespace: one.Name, Pod: "any", Port: 80, Method: "POST", Path: "/admin/read-write"})
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		now, err := one.Fingerprint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := Diff(done[0], now); !strings.Contains(diff, " "+what+"\n") || now.Hash == done[0].Hash {
			t.Errorf("%s was changed, and the difference is\n%s", what, diff)
		}
	}
	for _, x := range trials {
		if err := x.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if left, err := one.zone(ctx); err != nil || len(left) > 0 {
		t.Errorf("names are left: %v, %v", left, err)
	}
}

func (w *World) throughPods(side string) *kube.Client {
	at := map[string]*Side{"blue": w.Blue, "green": w.Green}[side].Pods.URL
	client, err := kube.ForConfig(&rest.Config{Host: at})
	if err != nil {
		panic(err)
	}
	return client
}
