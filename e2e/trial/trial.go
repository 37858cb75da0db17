package trial

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
)

//go:embed testdata/*.yaml
var files embed.FS

// A Trial is one migration with everything of its own.
type Trial struct {
	Name string
	// Dir holds the migration file, migration.yaml, the state directory, state, and the archive, archive.
	Dir string
	// Web are the web servers that its checks ask.
	Web *standin.Web
	// Places is where its command reaches the world.
	Places Places
	// Program is the command, the world's at first.
	Program string

	world    *World
	form     form
	nodePort int
	runs     int
	// asked counts the requests that a canary shared out.
	asked atomic.Int64
	// foreign are the records of the trial's part of the zone that no migration may touch, one line each.
	foreign []string
}

// New makes a trial: its objects and buckets on blue, its names, its migration file. It returns when blue has settled. The
// name is a DNS label that no other text of a trial contains. What at leaves empty are the world's own addresses.
func (w *World) New(ctx context.Context, name string, at Places) (*Trial, error) {
	return w.make(ctx, name, at, whole())
}

// NewWithOldHosts makes a trial in which blue passes on to green, and refuses everybody before it is certified to be idle.
func (w *World) NewWithOldHosts(ctx context.Context, name string) (*Trial, error) {
	of := whole()
	of.oldHosts = true
	return w.make(ctx, name, Places{}, of)
}

func (w *World) make(ctx context.Context, name string, at Places, of form) (_ *Trial, err error) {
	own := w.Places()
	t := &Trial{Name: name, Dir: filepath.Join(w.Dir, "trials", name), Program: w.Program, world: w, form: of, nodePort: w.nodePort()}
	t.Places = Places{
		Blue: cmp.Or(at.Blue, own.Blue), Green: cmp.Or(at.Green, own.Green), Store: cmp.Or(at.Store, own.Store),
		Primary: cmp.Or(at.Primary, own.Primary), Secondary: cmp.Or(at.Secondary, own.Secondary), Resolver: cmp.Or(at.Resolver, own.Resolver),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make trial %s: %w", name, err), t.Close(context.WithoutCancel(ctx)))
		}
	}()
	if t.Web, err = standin.NewWeb(); err != nil {
		return nil, err
	}
	t.Web.Behind = t.behind
	if err := t.write(); err != nil {
		return nil, err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.makeNames(gctx) })
	group.Go(func() error { return t.makeBuckets(gctx) })
	group.Go(func() error {
		if err := t.makeObjects(gctx); err != nil {
			return err
		}
		return t.settled(gctx)
	})
	return t, group.Wait()
}

// behind plays what stands behind the Service of blue that a hostname names: its own pods, or pods of the migration's that count who
// comes, and pass on to green or break off.
func (t *Trial) behind(in *http.Request) (side string) {
	name, _, _ := strings.Cut(in.Host, ".")
	if t.form.oneCluster {
		return t.canary(in.Context(), name)
	}
	svc, err := t.world.Blue.Client.Typed.CoreV1().Services(t.Name).Get(in.Context(), name, metav1.GetOptions{})
	if err != nil || svc.Spec.Selector[kube.LabelFront] == "" {
		return "blue"
	}
	front := svc.Spec.Selector[kube.LabelFront]
	t.world.Blue.Pods.Stragglers.Knock(t.Name, front, netip.MustParseAddr("192.0.2.5"))
	if strings.HasPrefix(front, "crossfade-brown-out-") {
		return ""
	}
	return "green"
}

// values are what the templates of a trial may use.
func (t *Trial) values() map[string]any {
	return map[string]any{
		"Name": t.Name, "Jobs": t.Name + "-jobs", "Tasks": t.Name + "-tasks", "Dir": t.Dir, "Zone": strings.TrimSuffix(Zone, "."), "Targets": strings.TrimSuffix(Targets, "."),
		"Store": "http://" + t.Places.Store, "Primary": t.Places.Primary, "Secondary": t.Places.Secondary, "Resolver": t.Places.Resolver,
		"BlueIP": t.Web.At["blue"], "GreenIP": t.Web.At["green"], "Port": t.Web.Port, "NodePort": t.nodePort,
		"Apps": t.form.apps, "Hosts": t.hosts(), "Switched": t.switched(), "OldHosts": t.form.oldHosts,
	}
}

// Namespaces returns those of the trial on a side.
func (t *Trial) Namespaces(side string) []string {
	if t.form.oneCluster && side == "green" {
		return []string{t.Name + "-green"}
	}
	list := []string{t.Name}
	if more := t.form.jobs[side]; more != "" {
		list = append(list, t.Name+"-"+more)
	}
	return list
}

// side returns the cluster in which a side is.
func (t *Trial) side(name string) *Side {
	if name == "blue" || t.form.oneCluster {
		return t.world.Blue
	}
	return t.world.Green
}

func fill(name string, values map[string]any) ([]byte, error) {
	count := func(n int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = i + 1
		}
		return out
	}
	tmpl, err := template.New(filepath.Base(name)).Funcs(template.FuncMap{"count": count}).Option("missingkey=error").ParseFS(files, name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, values)
	return out.Bytes(), err
}

// write makes the folder with what the command reads.
func (t *Trial) write() error {
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	file, err := fill(t.form.file, t.values())
	if err != nil {
		return err
	}
	if err := t.form.write(t); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(t.Dir, "archive.key"), []byte(identity.String()+"\n"), 0o600),
		os.WriteFile(filepath.Join(t.Dir, "migration.yaml"), file, 0o600),
		standin.WriteKubeconfig(filepath.Join(t.Dir, "blue.kubeconfig"), "blue", "http://"+t.Places.Blue),
		standin.WriteKubeconfig(filepath.Join(t.Dir, "green.kubeconfig"), "green", "http://"+t.Places.Green),
	)
}

// makeNames makes the trial's names, and waits until both servers have them.
func (t *Trial) makeNames(ctx context.Context) error {
	names, targets := t.form.foreign(t), []dnsx.Record(nil)
	for _, r := range names {
		t.foreign = append(t.foreign, text(r.Name, r.Type, r.TTL, r.Data))
	}
	for _, h := range t.hosts() {
		targets = append(targets, h.targets...)
		names = append(names, h.on["blue"]...)
		if h.owner != "" {
			names = append(names, dnsx.Record{Name: h.owner, Type: "TXT", TTL: ownerTTL, Data: t.ownership("blue")})
		}
	}
	if err := errors.Join(t.world.Primary.Add(ctx, Targets, targets...), t.world.Primary.Add(ctx, Zone, names...)); err != nil {
		return err
	}
	for _, last := range []dnsx.Record{names[len(names)-1], targets[len(targets)-1]} {
		err := poll(ctx, time.Minute, func() error {
			answer, err := new(dnsx.Client).Ask(ctx, t.world.secondary.Addr(), last.Name, last.Type, false)
			if err == nil && len(answer.Answer) == 0 {
				err = fmt.Errorf("the secondary does not know %s", last.Name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// target is the name that a side's CNAME points at.
func (t *Trial) target(app, side string) string {
	return side + "-" + app + "." + t.Name + "." + Targets
}

// buckets lists the trial's buckets on a side.
func (t *Trial) buckets(side string) []string {
	var list []string
	for _, name := range t.form.buckets {
		list = append(list, t.Name+"-"+name+"-"+side)
	}
	return list
}

func (t *Trial) bucket(ctx context.Context, name string) (*s3.Bucket, error) {
	return s3.Open(ctx, s3.Options{
		Bucket: name, Endpoint: t.world.Store.Endpoint, Region: t.world.Store.Region,
		Credentials: s3.Credentials{AccessKey: t.world.Store.AccessKey, SecretKey: t.world.Store.SecretKey},
	})
}

func (t *Trial) makeBuckets(ctx context.Context) error {
	for _, name := range t.buckets("blue") {
		b, err := t.bucket(ctx, name)
		if err != nil {
			return err
		}
		if err := b.Make(ctx); err != nil {
			return err
		}
		for i := range 5 {
			key := fmt.Sprintf("items/%d/ä b", i)
			content := strings.Repeat("content of "+key+"\n", i*100)
			_, err := b.Put(ctx, key, strings.NewReader(content), int64(len(content)), bucket.PutOptions{Properties: bucket.Properties{
				ContentType: "text/plain", CacheControl: "max-age=60", Metadata: map[string]string{"number": strconv.Itoa(i)},
			}})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Close removes what the trial has made, except its folder. Clusters remove namespaces in their own time.
func (t *Trial) Close(ctx context.Context) error {
	if t.Web != nil {
		t.Web.Close()
	}
	errs := []error{t.forgetNames(ctx)}
	for _, side := range []string{"blue", "green"} {
		errs = append(errs, t.removeObjects(ctx, side))
		for _, name := range t.buckets(side) {
			errs = append(errs, t.emptyBucket(ctx, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close trial %s: %w", t.Name, err)
	}
	return nil
}

func (t *Trial) removeObjects(ctx context.Context, side string) error {
	var errs []error
	client := t.side(side).Client
	background := metav1.DeletePropagationBackground
	for _, ns := range t.Namespaces(side) {
		err := client.Typed.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	rbac := client.Typed.RbacV1()
	for _, remove := range []error{
		rbac.ClusterRoles().Delete(ctx, t.Name+"-reader", metav1.DeleteOptions{}),
		rbac.ClusterRoleBindings().Delete(ctx, t.Name+"-reader", metav1.DeleteOptions{}),
	} {
		if remove != nil && !apierrors.IsNotFound(remove) {
			errs = append(errs, remove)
		}
	}
	return errors.Join(errs...)
}

func (t *Trial) forgetNames(ctx context.Context) error {
	sets, err := t.zone(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range sets {
		names = append(names, s.Name)
	}
	var targets []string
	for _, h := range t.hosts() {
		for _, r := range h.targets {
			targets = append(targets, r.Name)
		}
	}
	return errors.Join(t.world.Primary.Forget(ctx, Zone, names...), t.world.Primary.Forget(ctx, Targets, targets...))
}

func (t *Trial) emptyBucket(ctx context.Context, name string) error {
	b, err := t.bucket(ctx, name)
	if err != nil {
		return err
	}
	for o, err := range b.List(ctx, bucket.ListOptions{}) {
		if errors.Is(err, bucket.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := b.Delete(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Journal returns the path of the trial's journal.
func (t *Trial) Journal() string { return filepath.Join(t.Dir, "state", "journal.jsonl") }

func poll(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", limit, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}
