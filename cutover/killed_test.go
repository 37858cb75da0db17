package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// killSeed repeats the choice of an earlier test.
const killSeed = "CROSSFADE_KILL_SEED"

// mortal is a process that dies at a moment: before or after a record of the journal, or a write at an API server. From then on
// nothing that it does reaches anybody.
type mortal struct {
	left atomic.Int64
	dead atomic.Bool
	stop context.CancelFunc
}

func (p *mortal) moment() error {
	if p.dead.Load() {
		return errDies
	}
	if p.left.Add(-1) == 0 {
		p.dead.Store(true)
		p.stop()
		return errDies
	}
	return nil
}

// mortalTransport is the process's way to an API server.
type mortalTransport struct {
	*mortal
	inner http.RoundTripper
}

func (m mortalTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if m.dead.Load() || write && m.moment() != nil {
		return nil, errDies
	}
	resp, err := m.inner.RoundTrip(r)
	if err == nil && write && m.moment() != nil {
		return nil, errors.Join(errDies, resp.Body.Close())
	}
	return resp, err
}

func (p *mortal) client(t *testing.T, of *kube.Client) *kube.Client {
	t.Helper()
	cfg := rest.CopyConfig(of.Config)
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return mortalTransport{p, rt} })
	c, err := kube.ForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mortalJournal is what the process writes; what is in the MemoryRecorder is durable.
type mortalJournal struct {
	*mortal
	*plan.MemoryRecorder
}

func (m mortalJournal) Intend(stage string, changes ...plan.Change) error {
	if m.moment() != nil {
		return errDies
	}
	return errors.Join(m.MemoryRecorder.Intend(stage, changes...), m.moment())
}

func (m mortalJournal) Succeed(stage, id string, outcome json.RawMessage) error {
	if m.moment() != nil {
		return errDies
	}
	return errors.Join(m.MemoryRecorder.Succeed(stage, id, outcome), m.moment())
}

// act is one stage of a turn. Its plan and its journal outlive the process.
type act struct {
	plan  func(ctx context.Context, c *kube.Client) (*plan.Plan, error)
	apply func(ctx context.Context, c *kube.Client, p *plan.Plan, rec plan.Recorder) error

	saved    *plan.Plan
	recorder plan.MemoryRecorder
	finished bool
}

// live takes the acts that are not finished, in a process that dies at the n-th moment, or never with 0.
func live(t *testing.T, of *kube.Client, n int64, acts []*act) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := &mortal{stop: stop}
	p.left.Store(n)
	var client *kube.Client
	if of != nil {
		client = p.client(t, of)
	}
	for _, a := range acts {
		if a.finished {
			continue
		}
		if a.saved == nil {
			made, err := a.plan(ctx, client)
			if err == nil {
				err = made.Err()
			}
			if err == nil {
				err = p.moment()
			}
			if err != nil {
				return err
			}
			a.saved = made
		}
		if err := a.apply(ctx, client, a.saved, mortalJournal{p, &a.recorder}); err != nil {
			return err
		}
		if err := p.moment(); err != nil {
			return err
		}
		a.finished = true
	}
	return nil
}

// killing is what is killed at each of its moments, and what must hold then.
type killing struct {
	client *kube.Client
	// there are the stages that lead to green, back those that take all back. They are made anew for each life.
	acts func() (there, back []*act)
	// state tells what stands in the cluster; an error says that it is no valid state.
	state func() (string, error)
}

// everywhere kills at each moment. A seed says after which kills the stages are taken again, to their end and then back, and
// after which they go back at once.
func (k killing) everywhere(t *testing.T) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(killSeed); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: %d (%s=%d chooses the same ways again)", seed, killSeed, seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	want := func(what, is string) {
		t.Helper()
		if got, err := k.state(); err != nil || got != is {
			t.Fatalf("%s:\n%s\nwant\n%s\n%v", what, got, is, err)
		}
	}
	first, err := k.state()
	if err != nil {
		t.Fatal(err)
	}
	there, back := k.acts()
	if err := live(t, k.client, 0, there); err != nil {
		t.Fatal(err)
	}
	end, err := k.state()
	if err != nil || end == first {
		t.Fatalf("the unbroken run: %s, %v", end, err)
	}
	if err := live(t, k.client, 0, back); err != nil {
		t.Fatal(err)
	}
	want("back from the unbroken run", first)
	for n := int64(1); ; n++ {
		there, back := k.acts()
		err := live(t, k.client, n, append(append([]*act(nil), there...), back...))
		if err == nil {
			t.Logf("killed at %d moments", n-1)
			return
		}
		if _, serr := k.state(); serr != nil {
			t.Fatalf("right after the kill at moment %d: %v (%v)", n, serr, err)
		}
		again := rnd.IntN(2) == 0
		for _, a := range back {
			again = again && a.saved == nil
		}
		if again {
			if err := live(t, k.client, 0, there); err != nil {
				t.Fatalf("killed at moment %d, taken again: %v", n, err)
			}
			want(fmt.Sprintf("killed at moment %d, taken again", n), end)
		}
		if err := live(t, k.client, 0, back); err != nil {
			t.Fatalf("killed at moment %d, taken back: %v", n, err)
		}
		want(fmt.Sprintf("killed at moment %d, taken back", n), first)
	}
}

// shiftActs are the steps of a shift, and the way back from it.
func shiftActs(w *world, held cutover.TTLResult) (there, back []*act) {
	plans := func() (all []*plan.Plan) {
		for _, a := range there {
			if a.saved != nil {
				all = append(all, a.saved)
			}
		}
		return all
	}
	for i, to := range []int{20, 50} {
		from := []int{0, 20}[i]
		options := func(c *kube.Client) cutover.ShiftOptions {
			opts := w.shiftOptions(held, from, to)
			opts.Blue.Kube, opts.Green.Kube, opts.Before = c, c, plans()
			return opts
		}
		there = append(there, &act{
			plan: func(ctx context.Context, c *kube.Client) (*plan.Plan, error) {
				return cutover.PlanShift(ctx, options(c))
			},
			apply: func(ctx context.Context, c *kube.Client, p *plan.Plan, rec plan.Recorder) error {
				_, err := cutover.ApplyShift(ctx, p, rec, options(c))
				return err
			},
		})
	}
	options := func(c *kube.Client) cutover.UnsplitOptions {
		opts := cutover.UnsplitOptions{Options: w.opts, App: "shop", Shifts: plans()}
		opts.Blue.Kube = c
		return opts
	}
	back = []*act{{
		plan: func(ctx context.Context, c *kube.Client) (*plan.Plan, error) {
			return cutover.PlanUnsplit(ctx, options(c))
		},
		apply: func(ctx context.Context, c *kube.Client, p *plan.Plan, rec plan.Recorder) error {
			_, err := cutover.ApplyUnsplit(ctx, p, rec, options(c))
			return err
		},
	}}
	return there, back
}

// fewSamples lets the measurement of a share be quick: here it is not what is tested.
func fewSamples(w *world) { w.opts.Applications[0].Shift.Tolerance = 20 }

// TestC21_AShiftKilledAnywhereLeavesOneValidState: at each record of its journal and each write at the API server. Taken again it
// ends as an unbroken one, taken back all is as it was; and what leads requests never leads to what is not there.
func TestC21_AShiftKilledAnywhereLeavesOneValidState(t *testing.T) {
	client := startLight(t)
	kubetest.Gateway(t, client)
	t.Run("Ingress", func(t *testing.T) {
		if _, err := client.Typed.NetworkingV1().IngressClasses().Create(t.Context(), &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w := entryWorld(t, client, "killed", "nginx")
		fewSamples(w)
		held := w.lowered(t)
		killing{client, func() (there, back []*act) { return shiftActs(w, held) }, func() (string, error) {
			text := fmt.Sprint(objects(t, client, "killed"))
			list, err := client.Typed.NetworkingV1().Ingresses("killed").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return "", err
			}
			for _, ing := range list.Items {
				weight, split := ing.Annotations["nginx.ingress.kubernetes.io/canary-weight"]
				if !split {
					continue
				}
				text = fmt.Sprint(strings.Contains(text, "Service"), weight) // versions differ
				if !strings.Contains("|0|20|50|", "|"+weight+"|") || weight != "0" && !strings.HasPrefix(text, "true") {
					return text, fmt.Errorf("the canary has the weight %s, and there is a Service: %s", weight, text)
				}
			}
			return text, nil
		}}.everywhere(t)
	})
	t.Run("HTTPRoute", func(t *testing.T) {
		w, namespace := weightWorld(t, client, shopRoute)
		fewSamples(w)
		held := w.lowered(t)
		killing{client, func() (there, back []*act) { return shiftActs(w, held) }, func() (string, error) {
			spec, obj := routeOf(t, client, namespace)
			n := made(t, client, namespace)
			if strings.Contains(spec, "crossfade-shift-") && n != 2 {
				return spec, fmt.Errorf("the rules lead to a Service, and %d objects are there", n)
			}
			return fmt.Sprint(spec, len(obj.GetAnnotations()), n), nil
		}}.everywhere(t)
	})
}

// TestC21_AShiftByDNSKilledAnywhereLeavesOneValidState is the same of answers by weight, at the fake of Route 53.
func TestC21_AShiftByDNSKilledAnywhereLeavesOneValidState(t *testing.T) {
	w, fake := weighWorld(t, nil)
	held := w.lowered(t)
	killing{nil, func() (there, back []*act) { return answerActs(w, &held) }, func() (string, error) {
		var weights []string
		for _, set := range fake.Sets("Z1") {
			if set.Name == shopName && set.Type != "TXT" {
				weights = append(weights, fmt.Sprint(set.SetIdentifier, " ", set.Weight != nil, set.Values()))
			}
		}
		if n := len(weights); n != 1 && n != 2 {
			return "", fmt.Errorf("%d sets stand at the name: %v", n, weights)
		}
		return fmt.Sprint(weights), nil
	}}.everywhere(t)
}

// answerActs are the steps of a shift by DNS, the swap, and the return.
func answerActs(w *world, held *cutover.TTLResult) (there, back []*act) {
	now := *held
	for i, to := range []int{5, 25} {
		opts := w.shiftOptions(now, []int{0, 5}[i], to)
		there = append(there, &act{
			plan: func(ctx context.Context, _ *kube.Client) (*plan.Plan, error) { return cutover.PlanShift(ctx, opts) },
			apply: func(ctx context.Context, _ *kube.Client, p *plan.Plan, rec plan.Recorder) error {
				_, err := cutover.ApplyShift(ctx, p, rec, opts)
				return err
			},
		})
	}
	swap := w.swapOptions(now)
	there = append(there, &act{
		plan: func(ctx context.Context, _ *kube.Client) (*plan.Plan, error) { return cutover.PlanSwap(ctx, swap) },
		apply: func(ctx context.Context, _ *kube.Client, p *plan.Plan, rec plan.Recorder) error {
			_, err := cutover.ApplySwap(ctx, p, rec, swap)
			return err
		},
	})
	ret := func() cutover.ReturnOptions {
		opts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: plan.New("move", "none")}
		for _, a := range there {
			if a.saved != nil {
				opts.Swap = a.saved
			}
		}
		return opts
	}
	back = []*act{{
		plan: func(ctx context.Context, _ *kube.Client) (*plan.Plan, error) {
			p, err := cutover.PlanReturn(ctx, ret())
			if err == nil {
				held.Names = cutover.UnderFences(held.Names, cutover.PlannedFences(p))
			}
			return p, err
		},
		apply: func(ctx context.Context, _ *kube.Client, p *plan.Plan, rec plan.Recorder) error {
			_, err := cutover.ApplyReturn(ctx, p, rec, ret())
			return err
		},
	}}
	return there, back
}

// TestI06_ASwitchKilledAnywhereLeavesOneValidState is the same of hostnames whose backend is switched: fence, swap, return.
func TestI06_ASwitchKilledAnywhereLeavesOneValidState(t *testing.T) {
	server := startLight(t)
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		t.Run(kind, func(t *testing.T) {
			w := newRouteWorld(t, server, kind)
			held := w.fenced(t)
			killing{w.client, func() (there, back []*act) { return switchActs(w, &held) }, func() (string, error) {
				spec, made := w.spec(t), w.ours(t)
				if (strings.Contains(spec, "crossfade-web-") || strings.Contains(spec, w.green)) && len(made) != 1 {
					return spec, fmt.Errorf("the rules lead through what is not there: %s, %v", spec, made)
				}
				return fmt.Sprint(spec, made), nil
			}}.everywhere(t)
		})
	}
}

// switchActs are the swap and its return. The next swap has the return's fence.
func switchActs(w *routeWorld, held *cutover.TTLResult) (there, back []*act) {
	with := func(c *kube.Client) cutover.Options {
		opts := w.opts
		opts.Blue.Kube, opts.Green.Kube = c, c
		return opts
	}
	now := *held
	swap := func(c *kube.Client) cutover.SwapOptions {
		return cutover.SwapOptions{Options: with(c), App: "shop", Held: now.Of("shop")}
	}
	there = []*act{{
		plan: func(ctx context.Context, c *kube.Client) (*plan.Plan, error) { return cutover.PlanSwap(ctx, swap(c)) },
		apply: func(ctx context.Context, c *kube.Client, p *plan.Plan, rec plan.Recorder) error {
			_, err := cutover.ApplySwap(ctx, p, rec, swap(c))
			return err
		},
	}}
	ret := func(c *kube.Client) cutover.ReturnOptions {
		return cutover.ReturnOptions{Options: with(c), App: "shop", Swap: there[0].saved}
	}
	back = []*act{{
		plan: func(ctx context.Context, c *kube.Client) (*plan.Plan, error) {
			if there[0].saved == nil {
				return plan.New("move", "return"), nil // nothing was begun
			}
			p, err := cutover.PlanReturn(ctx, ret(c))
			if err == nil {
				held.Names = cutover.UnderFences(held.Names, cutover.PlannedFences(p))
			}
			return p, err
		},
		apply: func(ctx context.Context, c *kube.Client, p *plan.Plan, rec plan.Recorder) error {
			_, err := cutover.ApplyReturn(ctx, p, rec, ret(c))
			return err
		},
	}}
	return there, back
}
