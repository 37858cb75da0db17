package cutover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/accesslog"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// maxLogLine is the longest line of an access log; a longer one cannot be read.
const maxLogLine = 1 << 20

// AccessLogEvidence reads the access logs of blue's ingress controllers, pod by pod.
type AccessLogEvidence struct {
	Kube *kube.Client
	Log  migration.AccessLog
	// Hostnames are those whose requests count, as the file writes them. A wildcard stands for every name below its parent.
	Hostnames []string
	// Stay are hostnames below such a wildcard that go on being asked for at blue.
	Stay []string
	// Namespaces are those of the applications on blue: where a log tells no name of a host, a backend that begins with one counts.
	Namespaces []string
	// Ignore are addresses of probes and scanners.
	Ignore []netip.Prefix
	Clock  clock.Clock
}

// Name implements Evidence.
func (a AccessLogEvidence) Name() string {
	return fmt.Sprintf("access log of %s in %s", a.Log.Selector, a.Log.Namespace)
}

// Coverage implements Evidence.
func (a AccessLogEvidence) Coverage() Coverage { return Whole }

// CountsKnock implements KnockCounter: a request is logged whether there is somebody behind the ingress or not.
func (a AccessLogEvidence) CountsKnock(k Knock) (time.Duration, bool) {
	return 0, a.moved(k.Hostname)
}

// accessState is what a look leaves to the next.
type accessState struct {
	// Pods by their uids.
	Pods map[string]accessPod `json:"pods"`
	// Seen says that a request was read once, of whatever name: so the log is written, and in the form that was said.
	Seen bool `json:"seen"`
}

// accessPod is how far a pod's log was read. The time is that of the node, as all times of its log are.
type accessPod struct {
	Restarts int32     `json:"restarts"`
	Last     time.Time `json:"last,omitzero"`
}

// accessTally is what the lines of one look say.
type accessTally struct {
	ours, others, nobodys, ignored int64
	details                        []string
	seen                           bool
}

// Collect implements Evidence. A look reads what was written since the last one. It reaches back to that, unless a pod has gone or
// began again, or its log was cut off in between: what was in it is lost. The first look only says where the reading begins.
//
// A log without a single request proves nothing: it may be switched off. So does a line that cannot be read (I8).
func (a AccessLogEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	pods, err := runningPods(ctx, a.Kube, a.Log.Namespace, a.Log.Selector)
	if err != nil {
		return Observation{}, err
	}
	before := accessState{}
	if len(last.State) > 0 {
		if err := json.Unmarshal(last.State, &before); err != nil {
			return Observation{}, fmt.Errorf("read the state of the last look: %w", err)
		}
	}
	obs := Observation{Evidence: a.Name(), Use: Quiet, At: a.now(), From: last.At}
	state := accessState{Pods: map[string]accessPod{}, Seen: before.Seen}
	var all accessTally
	for _, pod := range pods {
		was, known := before.Pods[string(pod.UID)]
		is := accessPod{Restarts: restarts(pod, a.Log.Container), Last: was.Last}
		switch {
		case known && is.Restarts != was.Restarts:
			is.Last = time.Time{}
			obs.lose("pod %s began again: what it logged last is lost", pod.Name)
		case !is.Last.IsZero():
			gone, err := a.cutOff(ctx, pod, is.Last)
			if err != nil {
				return Observation{}, err
			}
			if gone { // which is said once: what it has from now on is new
				is.Last = time.Time{}
				obs.lose("the log of pod %s was rotated: lines that nobody had read may be gone", pod.Name)
			}
		}
		counts := len(last.State) > 0 // all that is new, in a pod that is new too, came since the last look
		if err := a.read(ctx, pod, &is, counts, &all); err != nil {
			return Observation{}, err
		}
		state.Pods[string(pod.UID)] = is
	}
	for uid := range before.Pods {
		if _, still := state.Pods[uid]; !still {
			obs.lose("the pod with uid %s is gone: what it logged last is lost", uid)
		}
	}
	state.Seen = state.Seen || all.seen
	if !state.Seen {
		return Observation{}, errors.New("not one request is in it, of whatever name: whether it is written at all is not known")
	}
	return a.conclude(obs, state, all, len(pods))
}

func (a AccessLogEvidence) conclude(obs Observation, state accessState, all accessTally, pods int) (_ Observation, err error) {
	if obs.From.IsZero() {
		obs.From = obs.At
	}
	if all.ours > 0 {
		obs.Use, obs.Uses = Used, all.ours
	}
	obs.Text = fmt.Sprintf("%d pods logged %d requests since the last look for the names that have moved, %d for others, %d for nobody, %d of ignored clients",
		pods, all.ours, all.others, all.nobodys, all.ignored)
	obs.Details = cut(all.details)
	if obs.State, err = json.Marshal(state); err != nil {
		return Observation{}, fmt.Errorf("keep the state of this look: %w", err)
	}
	return obs, nil
}

// cutOff says whether the beginning of a pod's log is later than what was read last: it was rotated, and lines are gone that nobody has read.
func (a AccessLogEvidence) cutOff(ctx context.Context, pod corev1.Pod, last time.Time) (bool, error) {
	const first = 256 // bytes: the time of a line and a bit
	limit := int64(first)
	raw, err := a.Kube.Typed.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: a.Log.Container, Timestamps: true, LimitBytes: &limit}).DoRaw(ctx)
	if err != nil {
		return false, fmt.Errorf("read the log of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if len(raw) == 0 {
		return true, nil
	}
	at, _, err := stamped(string(raw))
	if err != nil {
		return false, fmt.Errorf("read the log of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return at.After(last), nil
}

// read takes in the lines of a pod that are later than the last one that was read.
func (a AccessLogEvidence) read(ctx context.Context, pod corev1.Pod, is *accessPod, counts bool, all *accessTally) (err error) {
	opts := &corev1.PodLogOptions{Container: a.Log.Container, Timestamps: true}
	if !is.Last.IsZero() {
		opts.SinceTime = &metav1.Time{Time: is.Last} // in whole seconds on the wire
	}
	stream, err := a.Kube.Typed.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, opts).Stream(ctx)
	if err != nil {
		return fmt.Errorf("read the log of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	if err := a.lines(stream, pod.Name, is, counts, all); err != nil {
		return fmt.Errorf("read the log of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

func (a AccessLogEvidence) lines(log io.Reader, pod string, is *accessPod, counts bool, all *accessTally) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLogLine)
	from := is.Last
	for lines.Scan() {
		at, line, err := stamped(lines.Text())
		if err != nil {
			return err
		}
		if !at.After(from) {
			continue
		}
		is.Last = at
		entry, err := accesslog.Parse(accesslog.Format(a.Log.Format), fieldsOf(a.Log.Fields), line)
		if errors.Is(err, accesslog.ErrOther) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the line of %s: %w", at.Format(time.RFC3339), err)
		}
		all.seen = true
		if counts {
			a.judge(entry, pod, all)
		}
	}
	return lines.Err()
}

// judge counts one request.
func (a AccessLogEvidence) judge(e accesslog.Entry, pod string, all *accessTally) {
	name := e.Host
	switch {
	case e.Client.IsValid() && slices.ContainsFunc(a.Ignore, func(p netip.Prefix) bool { return p.Contains(e.Client) }):
		all.ignored++
		return
	case e.Host != "" && a.moved(e.Host):
	case e.Host == "" && slices.ContainsFunc(a.Namespaces, func(ns string) bool {
		return strings.HasPrefix(e.Backend, ns+"-") && !strings.HasPrefix(e.Backend, ns+"-"+ownPrefix)
	}):
		name = e.Backend
	case e.Host == "" && e.Backend == "":
		all.nobodys++
		return
	default:
		all.others++
		return
	}
	all.ours++
	if len(all.details) < maxDetails {
		from := "an address that the log does not tell"
		if e.Client.IsValid() {
			from = e.Client.String()
		}
		all.details = append(all.details, fmt.Sprintf("pod %s: for %s from %s at %s", pod, name, from, e.At.UTC().Format(time.RFC3339)))
	}
}

// moved reports whether somebody who asked for a host asked for a name that has moved. A client may write an international name in
// letters of its own.
func (a AccessLogEvidence) moved(host string) bool {
	same := func(of string) bool { return sameName(of, host) }
	if slices.ContainsFunc(a.Hostnames, same) {
		return true
	}
	return !slices.ContainsFunc(a.Stay, same) && slices.ContainsFunc(a.Hostnames, func(of string) bool {
		below, wild := strings.CutPrefix(canonicalOr(of), "*")
		return wild && strings.HasSuffix(canonicalOr(host), below)
	})
}

func (a AccessLogEvidence) now() time.Time {
	if a.Clock == nil {
		return time.Now().UTC()
	}
	return a.Clock.Now().UTC()
}

// stamped takes the time off a line, which the kubelet puts in front of it.
func stamped(line string) (time.Time, string, error) {
	stamp, rest, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return time.Time{}, "", errors.New("a line has no time in front of it")
	}
	return at, rest, nil
}

// restarts counts how often the container of a log began again.
func restarts(pod corev1.Pod, container string) (n int32) {
	for _, s := range pod.Status.ContainerStatuses {
		if container == "" || s.Name == container {
			n += s.RestartCount
		}
	}
	return n
}

func fieldsOf(f *migration.AccessLogFields) accesslog.Fields {
	if f == nil {
		return accesslog.Fields{}
	}
	return accesslog.Fields(*f)
}
