package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
)

// A Fingerprint is all that a trial's migration could have touched, without what normal.go leaves out.
type Fingerprint struct {
	// Hash is that of all entries.
	Hash string
	// Entries hold the text of each thing by its place: "blue Deployment.apps TRIAL/shop", "zone shop.TRIAL.apps.test. CNAME".
	Entries map[string]string
}

// A book collects entries from several goroutines.
type book struct {
	mu      sync.Mutex
	entries map[string]string
}

func (b *book) add(key, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[key] = text
}

func (b *book) fingerprint() Fingerprint {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(b.entries)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", k, b.entries[k]) // a hash takes everything
	}
	return Fingerprint{Hash: hex.EncodeToString(h.Sum(nil)), Entries: b.entries}
}

func sorted(keys map[string]bool) []string { return slices.Sorted(maps.Keys(keys)) }

// Fingerprint returns that of both sides' objects, pods and buckets, and of the trial's names.
func (t *Trial) Fingerprint(ctx context.Context) (Fingerprint, error) {
	return t.fingerprint(ctx, "blue", "green")
}

// Blue returns that of blue's objects, pods and buckets, and of the trial's names.
func (t *Trial) Blue(ctx context.Context) (Fingerprint, error) {
	return t.fingerprint(ctx, "blue")
}

func (t *Trial) fingerprint(ctx context.Context, sides ...string) (Fingerprint, error) {
	b := &book{entries: map[string]string{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, side := range sides {
		for _, ns := range t.Namespaces(side) {
			group.Go(func() error { return t.objects(ctx, b, side, ns) })
			group.Go(func() error { return t.pods(ctx, b, side, ns) })
		}
		group.Go(func() error { return t.clusterScoped(ctx, b, side) })
		for _, name := range t.buckets(side) {
			group.Go(func() error { return t.content(ctx, b, name) })
		}
	}
	group.Go(func() error { return t.names(ctx, b) })
	if err := group.Wait(); err != nil {
		return Fingerprint{}, fmt.Errorf("take the fingerprint of trial %s: %w", t.Name, err)
	}
	return b.fingerprint(), nil
}

func (t *Trial) objects(ctx context.Context, b *book, side string, namespace string) error {
	for _, r := range t.side(side).kinds {
		if t.form.kinds != nil && !slices.Contains(t.form.kinds, r.String()) {
			continue
		}
		for obj, err := range t.side(side).Client.List(ctx, r, namespace, "") {
			if err != nil {
				return err
			}
			text, err := t.normal(obj)
			if err != nil {
				return err
			}
			b.add(t.anonymous(fmt.Sprintf("%s %s %s/%s", side, r, namespace, obj.GetName())), text)
		}
	}
	return nil
}

// pods counts those of each application and state: their names are random.
func (t *Trial) pods(ctx context.Context, b *book, side string, namespace string) error {
	pods, err := t.side(side).Client.Typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, p := range pods.Items {
		state := string(p.Status.Phase)
		if p.DeletionTimestamp != nil {
			state = "ending"
		}
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue // of Jobs, whose status counts them
		}
		count[p.Labels["app"]+" "+state]++
	}
	for what, n := range count {
		b.add(t.anonymous(fmt.Sprintf("%s pods %s/%s", side, namespace, what)), fmt.Sprint(n))
	}
	b.add(t.anonymous(fmt.Sprintf("%s pods %s refuse writes", side, namespace)), fmt.Sprint(t.side(side).Pods.ReadOnly(namespace)))
	return nil
}

func (t *Trial) clusterScoped(ctx context.Context, b *book, side string) error {
	type thing struct{ group, kind, name string }
	var things []thing
	if t.form.kinds == nil {
		things = []thing{
			{"rbac.authorization.k8s.io", "ClusterRole", t.Name + "-reader"},
			{"rbac.authorization.k8s.io", "ClusterRoleBinding", t.Name + "-reader"},
			{"apiextensions.k8s.io", "CustomResourceDefinition", "widgets.trial.example"},
		}
	}
	for _, ns := range t.Namespaces(side) {
		things = append(things, thing{"", "Namespace", ns})
	}
	for _, x := range things {
		obj, err := get(ctx, t.side(side).Client, x.group, x.kind, x.name)
		if err != nil {
			return err
		}
		if obj == nil {
			continue
		}
		text, err := t.normal(obj)
		if err != nil {
			return err
		}
		b.add(t.anonymous(fmt.Sprintf("%s %s %s", side, x.kind, x.name)), text)
	}
	return nil
}

// content is what a bucket holds. One that is not there has no entries, an empty one has one.
func (t *Trial) content(ctx context.Context, b *book, name string) error {
	at, err := t.bucket(ctx, name)
	if err != nil {
		return err
	}
	for o, err := range at.List(ctx, bucket.ListOptions{}) {
		if errors.Is(err, bucket.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		head, err := at.Head(ctx, o.Key)
		if err != nil {
			return err
		}
		p := head.Properties
		b.add(t.anonymous(fmt.Sprintf("bucket %s %q", name, o.Key)),
			fmt.Sprintf("%d bytes, %s, %+v", head.Size, head.ETag, *p))
	}
	b.add(t.anonymous("bucket "+name), "is there")
	return nil
}

// zone returns the trial's records.
func (t *Trial) zone(ctx context.Context) ([]zone.RRset, error) {
	addr, err := netip.ParseAddrPort(t.world.Primary.Addr().String())
	if err != nil {
		return nil, err
	}
	driver, err := rfc2136.New(rfc2136.Options{Apex: Zone, Server: addr.String(), Key: rfc2136.Key{
		Name: t.world.key.Name, Algorithm: t.world.key.Algorithm, Secret: t.world.key.Secret,
	}})
	if err != nil {
		return nil, err
	}
	all, err := driver.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s zone.RRset) bool { return !strings.HasSuffix(s.Name, "."+t.Name+"."+Zone) }), nil
}

func (t *Trial) names(ctx context.Context, b *book) error {
	sets, err := t.zone(ctx)
	if err != nil {
		return err
	}
	for _, s := range sets {
		data := slices.Sorted(slices.Values(s.Data))
		if s.Type == "TXT" && strings.HasPrefix(s.Name, "_crossfade") {
			for i := range data {
				data[i] = "(token)"
			}
		}
		b.add(t.anonymous(fmt.Sprintf("zone %s %s", s.Name, s.Type)), t.anonymous(fmt.Sprintf("TTL %d %v", s.TTL, data)))
	}
	return nil
}

// Becomes takes fingerprints until one is as wanted: controllers need a moment after the command has ended. At the limit it
// returns the last one, which differs.
func Becomes(ctx context.Context, want Fingerprint, limit time.Duration, take func(context.Context) (Fingerprint, error)) (Fingerprint, error) {
	deadline := time.Now().Add(limit)
	for {
		got, err := take(ctx)
		if err != nil || got.Hash == want.Hash || time.Now().After(deadline) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Settled takes fingerprints until two in a row are equal.
func Settled(ctx context.Context, take func(context.Context) (Fingerprint, error)) (Fingerprint, error) {
	last, err := take(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(2 * time.Second):
		}
		var next Fingerprint
		if next, err = take(ctx); err == nil && next.Hash == last.Hash {
			return next, nil
		}
		last = next
	}
	return last, err
}
