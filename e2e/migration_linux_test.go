package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/e2e/demo"
	"github.com/crossfade-project/crossfade/e2e/proof"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/ten"
)

// world is what is kept of the rig while it is up, for tests that run when it is down again.
type world struct {
	result *demo.Result
	output string

	zoneBefore, zoneAfter []string
	secretsBefore         map[string]string // values of blue's Secrets, and of the rig's keys
	state                 map[string]string // files of the state folder and of the archive, by path

	// proof are migrations that went wrong on the same rig, beside the demo's; few are applications that moved there one after the other.
	proof *proof.Report
	few   *ten.Report

	greenReady        map[string]bool // Deployments, by name
	greenSuspended    bool            // the CronJob
	greenBanner       string          // spec.text, or an error
	greenStoreURL     string
	blueNamespaceGone bool

	draft draft
	roles roles
}

// theWorld plays the demo once for all tests of this package.
var theWorld = sync.OnceValues(play)

func migrated(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("it plays a whole migration on two clusters")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	w, err := theWorld()
	if err != nil {
		t.Fatalf("%v\n%s", err, w.output)
	}
	return w
}

func play() (*world, error) {
	w := &world{secretsBefore: map[string]string{}, state: map[string]string{}, greenReady: map[string]bool{}}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Minute)
	defer stop()
	dir, err := os.MkdirTemp("", "crossfade-e2e")
	if err != nil {
		return w, err
	}
	top, err := filepath.Abs("..")
	if err != nil {
		return w, err
	}
	binary := filepath.Join(dir, "crossfade")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/crossfade")
	build.Dir, build.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return w, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	var out, told strings.Builder
	proven := make(chan error, 2)
	began := false
	prepared := func(ctx context.Context, r *rig.Rig) error {
		if err := w.lookBefore(ctx, r); err != nil { // before other scenes have records in the zone
			return err
		}
		scenes, err := w.prepareProof(ctx, top, filepath.Join(dir, "proof"), r, &told)
		if err != nil {
			return err
		}
		began = true
		go func() { proven <- w.prove(ctx, scenes) }()
		go func() { proven <- w.moveFew(ctx, top, filepath.Join(dir, "ten"), binary, r) }()
		return w.lookAtDraft(ctx, r, top, binary)
	}
	inspect := func(ctx context.Context, r *rig.Rig) error {
		began = false
		return errors.Join(<-proven, <-proven, w.lookAfter(ctx, r)) // after the other scenes have taken theirs away
	}
	w.result, err = demo.Run(ctx, demo.Options{
		Top: top, Binary: binary, Dir: filepath.Join(dir, "rig"), Out: &out, Prepared: prepared, Inspect: inspect,
		Granted: func(ctx context.Context, r *rig.Rig) error { return w.lookAtRoles(ctx, r, top, binary) },
	})
	if began {
		stop() // the demo broke off before it asked for the proof's end
		err = errors.Join(err, <-proven, <-proven)
	}
	w.output = out.String() + told.String()
	return w, errors.Join(err, os.RemoveAll(dir))
}

// inEveryTest are the scenarios of make proof that every run of the tests plays: one kill, one rollback that is killed, one
// breach. make proof plays all.
var inEveryTest = regexp.MustCompile(`^(kill-swap|rollback-kill-back-sync|breach-green-answers-500)$`)

// prepareProof builds what the scenarios run, and makes their kinds before the demo's roles are printed.
func (w *world) prepareProof(ctx context.Context, top, dir string, r *rig.Rig, out io.Writer) (proof.Options, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return proof.Options{}, err
	}
	binary, err := proof.Build(ctx, top, dir)
	if err != nil {
		return proof.Options{}, err
	}
	scenes := proof.Options{Top: top, Dir: dir, Binary: binary, Rig: r.Info(), Only: inEveryTest, Out: out}
	return scenes, proof.Prepare(ctx, scenes)
}

// prove plays scenarios on the rig of the demo, at the same time.
func (w *world) prove(ctx context.Context, scenes proof.Options) error {
	var err error
	if w.proof, err = proof.Run(ctx, scenes); err != nil {
		return err
	}
	return w.proof.Print(scenes.Out)
}

// moveFew moves as many applications as a run of the tests has time for; make ten moves ten.
func (w *world) moveFew(ctx context.Context, top, dir, binary string, r *rig.Rig) error {
	var err error
	w.few, err = ten.Run(ctx, ten.Options{Top: top, Dir: dir, Binary: binary, Rig: r.Info(), Applications: 3})
	return err
}

func (w *world) lookBefore(ctx context.Context, r *rig.Rig) error {
	blue, err := r.Blue.Client()
	if err != nil {
		return err
	}
	secrets, err := blue.CoreV1().Secrets("demo").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, s := range secrets.Items {
		for key, value := range s.Data {
			w.secretsBefore["Secret "+s.Name+"/"+key] = string(value)
		}
	}
	keys, err := filepath.Glob(filepath.Join(r.Info().Keys, "*"))
	if err != nil {
		return err
	}
	for _, path := range keys {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w.secretsBefore["key "+filepath.Base(path)] = strings.TrimSpace(string(raw))
	}
	w.zoneBefore, err = transfer(r)
	return err
}

func (w *world) lookAfter(ctx context.Context, r *rig.Rig) error {
	var err error
	if w.zoneAfter, err = transfer(r); err != nil {
		return err
	}
	for _, part := range []string{"state", "archive"} {
		err := filepath.WalkDir(filepath.Join(r.Dir, part), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			w.state[strings.TrimPrefix(path, r.Dir)] = string(raw)
			return err
		})
		if err != nil {
			return err
		}
	}
	blue, err := r.Blue.Client()
	if err != nil {
		return err
	}
	_, err = blue.CoreV1().Namespaces().Get(ctx, "demo", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	w.blueNamespaceGone = apierrors.IsNotFound(err)
	return w.lookAtGreen(ctx, r)
}

func (w *world) lookAtGreen(ctx context.Context, r *rig.Rig) error {
	green, err := r.Green.Client()
	if err != nil {
		return err
	}
	deployments, err := green.AppsV1().Deployments("demo").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range deployments.Items {
		w.greenReady[d.Name] = d.Spec.Replicas != nil && d.Status.ReadyReplicas == *d.Spec.Replicas && *d.Spec.Replicas > 0
	}
	clock, err := green.BatchV1().CronJobs("demo").Get(ctx, "clock", metav1.GetOptions{})
	if err != nil {
		return err
	}
	w.greenSuspended = clock.Spec.Suspend != nil && *clock.Spec.Suspend
	config, err := green.CoreV1().ConfigMaps("demo").Get(ctx, "shop-config", metav1.GetOptions{})
	if err != nil {
		return err
	}
	w.greenStoreURL = config.Data["STORE_URL"]
	raw, err := green.RESTClient().Get().AbsPath("/apis/demo.crossfade.example/v1/namespaces/demo/banners").DoRaw(ctx)
	if err != nil {
		w.greenBanner = err.Error()
		return nil
	}
	w.greenBanner = string(raw)
	return nil
}

// transfer reads the whole zone, without the SOA, whose serial moves with every change.
func transfer(r *rig.Rig) ([]string, error) {
	if _, err := base64.StdEncoding.DecodeString(r.Names.Key.Secret); err != nil {
		return nil, err
	}
	msg := new(dns.Msg)
	msg.SetAxfr("apps.test.")
	name := dns.Fqdn(r.Names.Key.Name)
	msg.SetTsig(name, dns.HmacSHA256, 300, time.Now().Unix())
	tr := &dns.Transfer{TsigSecret: map[string]string{name: r.Names.Key.Secret}}
	answers, err := tr.In(msg, r.Info().Primary)
	if err != nil {
		return nil, fmt.Errorf("transfer the zone: %w", err)
	}
	var records []string
	for answer := range answers {
		if answer.Error != nil {
			return nil, fmt.Errorf("transfer the zone: %w", answer.Error)
		}
		for _, rr := range answer.RR {
			if rr.Header().Rrtype != dns.TypeSOA {
				records = append(records, rr.String())
			}
		}
	}
	sort.Strings(records)
	return records, nil
}

func TestI01_NoRequestFailsWhileApplicationsMove(t *testing.T) {
	w := migrated(t)
	totals := w.result.Load.Totals
	if totals.Failed() > 0 {
		t.Errorf("%d of %d requests failed: %+v", totals.Failed(), totals.Requests, w.result.Load.Failures)
	}
	for _, target := range w.result.Load.Targets {
		for _, side := range []string{"blue", "green"} {
			if target.Sides[side].Answers == 0 {
				t.Errorf("%s was never answered by %s: it did not move under load", target.Target.Host, side)
			}
		}
		for _, client := range target.Clients {
			if client.Connects < 2 {
				t.Errorf("the %s client of %s connected %d times: it stayed with blue", client.Kind, target.Target.Host, client.Connects)
			}
		}
	}
}

func TestI07_NoAcceptedWriteIsLostAndOneSideWritesAtATime(t *testing.T) {
	w := migrated(t)
	if w.result.Load.Totals.Writes == 0 || w.result.Load.Totals.Refused == 0 {
		t.Errorf("%d writes accepted and %d refused: there was nothing to lose, or no freeze", w.result.Load.Totals.Writes, w.result.Load.Totals.Refused)
	}
	if len(w.result.Lost) > 0 {
		t.Errorf("%d accepted writes are not on green: %+v", len(w.result.Lost), w.result.Lost)
	}
	for _, target := range w.result.Load.Targets {
		if target.Freeze != nil && len(target.Freeze.Switches) > 1 {
			t.Errorf("writes at %s went back and forth between the sides: %+v", target.Target.Host, target.Freeze.Switches)
		}
	}
	if len(w.result.Missing) > 0 || w.result.Ticks < 2 {
		t.Errorf("the clock has %d ticks on green and lacks %v", w.result.Ticks, w.result.Missing)
	}
}

// held fails the test where a scenario does not hold, and says what is wanting.
func held(t *testing.T, name string) proof.Result {
	t.Helper()
	for _, r := range migrated(t).proof.Results {
		if r.Name != name {
			continue
		}
		for _, what := range r.Wanting {
			t.Errorf("%s: %s", name, what)
		}
		t.Logf("%s: %d requests, %d failed, %d writes, %d lost, %v", name, r.Requests, r.Failed, r.Writes, r.Lost, r.Figures)
		return r
	}
	t.Fatalf("%s was not played", name)
	return proof.Result{}
}

func TestI07_ARunThatWasKilledAtItsSwapEndsAsAnUnbrokenOne(t *testing.T) {
	held(t, proof.Unbroken)
	held(t, "kill-swap")
}

func TestI07_ARollbackThatWasKilledBringsBlueBackWithEveryWriteOfGreen(t *testing.T) {
	held(t, "rollback-kill-back-sync")
}

func TestI07_ABreachAfterTheSwapGoesBackByItselfAndLosesNoWrite(t *testing.T) {
	if r := held(t, "breach-green-answers-500"); r.Failed == 0 {
		t.Error("no request failed: green was not broken")
	}
}

// Clients that honour TTLs, and those that keep their connections, see no failure while applications move one after the other; one that
// never connects again stays with blue and keeps it from being retired.
func TestI01_ApplicationsMoveOneByOneUnderClientsOfBothSorts(t *testing.T) {
	few := migrated(t).few
	for _, what := range few.Wanting {
		t.Error(what)
	}
	if len(few.Applications) != 3 || few.Looks == 0 || len(few.Explained) == 0 {
		t.Errorf("it did not come to its end: %+v", few)
	}
	for _, a := range few.Applications {
		t.Logf("%+v", a)
	}
}

func TestGreenRunsWhatBlueRan(t *testing.T) {
	w := migrated(t)
	for _, name := range []string{"happy-bandit", "shop"} {
		if !w.greenReady[name] {
			t.Errorf("Deployment %s is not ready on green: %v", name, w.greenReady)
		}
	}
	if w.greenSuspended {
		t.Error("the CronJob is still suspended on green")
	}
	if !strings.Contains(w.greenBanner, `"kind":"Banner"`) {
		t.Errorf("the custom resource is not on green: %s", w.greenBanner)
	}
	if !strings.HasPrefix(w.greenStoreURL, "az://") {
		t.Errorf("the shop's store on green is %q", w.greenStoreURL)
	}
	if !w.blueNamespaceGone {
		t.Error("blue's namespace is still there after retire")
	}
}

func TestI03_OtherRecordsOfTheZoneAreAsTheyWere(t *testing.T) {
	w := migrated(t)
	moved := func(rr string) bool {
		return strings.HasPrefix(rr, "happy-bandit.apps.test.") || strings.HasPrefix(rr, "shop.apps.test.")
	}
	before, after := slices.DeleteFunc(slices.Clone(w.zoneBefore), moved), slices.DeleteFunc(slices.Clone(w.zoneAfter), moved)
	if !slices.Equal(before, after) {
		t.Errorf("records that are not ours changed:\nbefore %v\nafter  %v", before, after)
	}
	for _, want := range []string{
		"happy-bandit.apps.test.\t20\tIN\tCNAME\thappy-bandit.demo.green.lb.test.",
		"shop.apps.test.\t20\tIN\tCNAME\tshop.demo.green.lb.test.",
	} {
		if !slices.Contains(w.zoneAfter, want) {
			t.Errorf("%q is not in the zone: %v", want, w.zoneAfter)
		}
	}
}

func TestI09_NoSecretStandsInTheStateOrTheArchive(t *testing.T) {
	w := migrated(t)
	if len(w.state) < 10 {
		t.Fatalf("only %d files were looked at", len(w.state))
	}
	for what, secret := range w.secretsBefore {
		if strings.Contains(strings.ToLower(what), "access") {
			continue // the ID of a key is no secret, and the rig's is the project's name
		}
		if len(secret) < 16 {
			t.Errorf("%s is too short to be told from chance", what)
		}
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			for path, content := range w.state {
				if strings.Contains(content, form) {
					t.Errorf("%s stands in %s", what, path)
				}
			}
			if strings.Contains(w.output, form) {
				t.Errorf("%s stands in the output", what)
			}
		}
	}
}

func TestEveryRehearsalIsStamped(t *testing.T) {
	w := migrated(t)
	if !w.result.Migration.Rehearsal {
		t.Error("the report does not say that it is of a rehearsal")
	}
	found := false
	for path, content := range w.state {
		if strings.HasSuffix(path, "certificate.md") {
			found = true
			if !strings.Contains(content, "Rehearsal") {
				t.Errorf("the certificate does not say that it is of a rehearsal:\n%s", content)
			}
		}
	}
	if !found {
		t.Error("there is no certificate")
	}
}
