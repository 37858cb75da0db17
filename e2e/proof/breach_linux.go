package proof

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// A breach is something that breaks on green after the swap. It returns how to mend it.
type breach struct {
	name   string
	damage func(ctx context.Context, t *trial) (mend func(context.Context) error, err error)
}

func breaches() []scenario {
	var list []scenario
	for _, b := range []breach{
		{"green-answers-500", breakAnswers},
		{"green-pods-vanish", breakPods},
		{"green-address-silent", breakAddress},
	} {
		// The soak is longer than the way back takes, so that it is the soak that sees the fault.
		list = append(list, scenario{name: "breach-" + b.name, group: "breach-" + b.name, pace: pace{soak: "20s", idle: "8s"}, play: func(ctx context.Context, t *trial) error {
			return t.breached(ctx, b)
		}})
	}
	return append(list, scenario{
		name: "breach-held-on-green", group: "breach-held-on-green", pace: pace{soak: "20s", idle: "8s", volumes: true},
		play: func(ctx context.Context, t *trial) error { return t.heldOnGreen(ctx) },
	})
}

// heldOnGreen breaks green where what it has accepted cannot be brought back, and wants it to stay there with a word why. Then
// it mends green, and wants the next run to go on to the end.
func (t *trial) heldOnGreen(ctx context.Context) error {
	t.outage = true
	end, err := t.start(ctx, "", "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	if _, err := t.journaled(ctx, `"kind":"planned","stage":"soak/shop"`); err != nil {
		return errors.Join(err, ended(end))
	}
	if _, err := t.writes(ctx, "green", time.Now(), 10); err != nil {
		return errors.Join(err, ended(end))
	}
	mend, err := breakAnswers(ctx, t)
	if err != nil {
		return errors.Join(err, ended(end))
	}
	run, err := end()
	if err != nil {
		return errors.Join(err, mend(ctx))
	}
	said, err := os.ReadFile(run.log)
	if err != nil {
		return errors.Join(err, mend(ctx))
	}
	t.want(run.code == 6 && strings.Contains(string(said), "the volumes of shop"), "the run ended with %s; want exit 6, and what cannot come back", run)
	shop := t.demo.Host("shop")
	t.want(t.watch.where(shop) == "green", "%s leads to %s; want green", shop, t.watch.where(shop))
	if err := mend(ctx); err != nil {
		return err
	}
	if _, err := t.run(ctx, "run", "--yes", "-o", "json"); err != nil {
		return err
	}
	return t.settle(ctx, "green")
}

// breached breaks green in its soak, when it has taken writes, and wants the application back on blue by itself with all
// that green had accepted. Then it mends green, and wants the next run to bring it there.
func (t *trial) breached(ctx context.Context, b breach) error {
	t.outage = true
	before, err := t.look(ctx)
	if err != nil {
		return err
	}
	end, err := t.start(ctx, "", "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	if _, err := t.journaled(ctx, `"kind":"planned","stage":"soak/shop"`); err != nil {
		return errors.Join(err, ended(end))
	}
	if _, err := t.writes(ctx, "green", time.Now(), 10); err != nil {
		return errors.Join(err, ended(end))
	}
	mend, err := b.damage(ctx, t)
	if err != nil {
		return errors.Join(err, ended(end))
	}
	broke := time.Now()
	run, err := end()
	if err != nil {
		return errors.Join(err, mend(ctx))
	}
	t.want(run.code == 4, "the run ended with %s; want exit 4", run)
	if err := t.backOnBlue(ctx, broke); err != nil {
		return errors.Join(err, mend(ctx))
	}
	after, err := t.look(ctx)
	if err != nil {
		return errors.Join(err, mend(ctx))
	}
	mine := func(st state) state { return shopOf(st.only("blue ", "zone shop")) }
	for _, d := range mine(after).differences(mine(before)) {
		t.want(false, "blue is not as it was: %.400s", d)
	}
	if err := mend(ctx); err != nil {
		return err
	}
	again, err := t.run(ctx, "run", "--yes", "--approve", "2", "-o", "json")
	if err != nil {
		return err
	}
	t.tell("next run", "exit %d", again.code)
	return t.settle(ctx, "green")
}

// lowered is the TTL of a record that the migration has lowered; a return leaves it so, for the next try.
var lowered = regexp.MustCompile(`\t[0-9]+\tIN\t`)

// shopOf is the state without TTLs, and without the clock, whose turn has not come.
func shopOf(st state) state {
	out := state{}
	for key, value := range st {
		if !strings.Contains(key, "clock") {
			out[key] = lowered.ReplaceAllString(value, "\tIN\t")
		}
	}
	return out
}

func ended(end func() (ending, error)) error {
	_, err := end()
	return err
}

// backOnBlue measures the way back, and wants every write so far on blue.
func (t *trial) backOnBlue(ctx context.Context, broke time.Time) error {
	shop := t.demo.Host("shop")
	decided, err := t.journaled(ctx, `"kind":"noted","stage":"returning"`)
	if err != nil {
		return err
	}
	t.tell("decided after", "%s", seconds(decided.Sub(broke)))
	// Answers that users hold in caches end with the TTL; then they are served, and write.
	if err := wait(ctx, 8*time.Second); err != nil {
		return err
	}
	servers, resolver := t.watch.moved(shop, "blue", broke)
	t.want(!servers.IsZero() && !resolver.IsZero(), "%s leads to %s", shop, t.watch.where(shop))
	t.tell("names back", "%s", seconds(servers.Sub(broke)))
	t.tell("resolver", "%s", seconds(resolver.Sub(broke)))
	books := t.users.Report()
	for _, target := range books.Targets {
		if target.Target.Host != shop {
			continue
		}
		good, failed := broke, 0
		for _, o := range target.Outages {
			failed += o.Failed
			if o.To == nil {
				t.want(false, "%s users have had no good answer since %s", o.Client, o.From.Format(time.TimeOnly))
			} else if o.To.After(good) {
				good = *o.To
			}
		}
		t.tell("users served", "%s", seconds(good.Sub(broke)))
		t.tell("failed requests", "%d", failed)
		for _, s := range target.Freeze.Switches {
			if s.To == "blue" && s.First.After(broke) {
				t.tell("blue writes", "%s", seconds(s.First.Sub(broke)))
				return nil
			}
		}
	}
	t.want(false, "blue has accepted no write since the return")
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// breakAnswers lets green's application answer 500 to users and checks, while Kubernetes finds it healthy.
func breakAnswers(ctx context.Context, t *trial) (func(context.Context) error, error) {
	entry, err := t.rig.Side("green").Balancer(ctx, t.name, "shop")
	if err != nil {
		return nil, err
	}
	tell := func(ctx context.Context, path string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+entry.IP+path, nil)
		if err != nil {
			return err
		}
		answer, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", path, answer.Status)
		}
		return errors.Join(err, answer.Body.Close())
	}
	mend := func(ctx context.Context) error {
		err := tell(ctx, "/admin/mend")
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil // it was stopped, and begins unbroken
		}
		return err
	}
	return mend, tell(ctx, "/admin/break")
}

// breakPods ends green's pods at once, and lets no new one start.
func breakPods(ctx context.Context, t *trial) (func(context.Context) error, error) {
	client, err := t.rig.Side("green").Client()
	if err != nil {
		return nil, err
	}
	deployments := client.AppsV1().Deployments(t.name)
	was, err := deployments.Get(ctx, "shop", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read green's shop: %w", err)
	}
	patch := func(ctx context.Context, body string) error {
		_, err := deployments.Patch(ctx, "shop", types.JSONPatchType, []byte(body), metav1.PatchOptions{})
		return err
	}
	const image = "/spec/template/spec/containers/0/image"
	err = patch(ctx, `[{"op":"replace","path":"/spec/strategy","value":{"type":"Recreate"}},{"op":"replace","path":"`+image+`","value":"registry.green.test/none:1"}]`)
	if err != nil {
		return nil, fmt.Errorf("break green's shop: %w", err)
	}
	pods := client.CoreV1().Pods(t.name)
	err = pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{LabelSelector: "app=shop"})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("end green's pods: %w", err)
	}
	return func(ctx context.Context) error {
		return patch(ctx, `[{"op":"replace","path":"/spec/strategy","value":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}},`+
			`{"op":"replace","path":"`+image+`","value":"`+was.Spec.Template.Spec.Containers[0].Image+`"}]`)
	}, nil
}

// breakAddress drops every packet to the address of green's load balancer.
func breakAddress(ctx context.Context, t *trial) (func(context.Context) error, error) {
	green := t.rig.Side("green")
	entry, err := green.Balancer(ctx, t.name, "shop")
	if err != nil {
		return nil, err
	}
	rule := func(ctx context.Context, action string) error {
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", green.Space, "iptables", "-w", "-t", "raw", action, "PREROUTING", "-d", entry.IP, "-j", "DROP")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("drop packets to %s: %w: %s", entry.IP, err, out)
		}
		return nil
	}
	return func(ctx context.Context) error { return rule(ctx, "-D") }, rule(ctx, "-I")
}
