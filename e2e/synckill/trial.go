package synckill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Destination is what a trial copies to.
type Destination string

// The destinations.
const (
	Fake      Destination = "s3"
	MinIO     Destination = "minio"
	Directory Destination = "directory"
)

// A Point is when a trial's command is killed. Everything in it follows from the seed and the number.
type Point struct {
	Number int
	To     Destination
	// Share is how far into the unbroken run the first kill is, from 0 to 1: of its requests, or where Phase is empty, of its time.
	Share float64
	Phase Phase
	// Again, where it is not 0, kills the second run too.
	Again float64
}

func (p Point) String() string {
	text := fmt.Sprintf("%03d-%s-%.3f", p.Number, p.To, p.Share)
	if p.Phase != "" {
		text += "-" + string(p.Phase)
	}
	if p.Again > 0 {
		text += fmt.Sprintf("-then-%.3f", p.Again)
	}
	return text
}

// Points are so many kills: half of them at requests, half at moments, a third of them twice, over all destinations.
func Points(seed uint64, n int, to ...Destination) []Point {
	rnd := rand.New(rand.NewPCG(seed, 1))
	out := make([]Point, n)
	for i := range out {
		p := Point{Number: i + 1, To: to[i%len(to)], Share: rnd.Float64()}
		if i/len(to)%2 == 0 {
			p.Phase = []Phase{Before, After, Answered}[rnd.IntN(3)]
		}
		if rnd.IntN(3) == 0 {
			p.Again = rnd.Float64()
		}
		out[i] = p
	}
	return out
}

// measure is an unbroken run.
type measure struct {
	requests int
	time     time.Duration
}

// trial is one destination and the runs of the command to it.
type trial struct {
	k     *Killer
	name  string
	dir   string
	to    Destination
	watch *watch
	kills int
}

func (k *Killer) newTrial(ctx context.Context, name string, to Destination) (*trial, error) {
	t := &trial{k: k, name: name, dir: filepath.Join(k.opts.Dir, name), to: to, watch: newWatch()}
	k.source.watch(name, t.watch)
	if err := os.MkdirAll(filepath.Join(t.dir, "to"), 0o755); err != nil {
		return nil, err
	}
	if to == Directory {
		return t, nil
	}
	k.at[to].front.watch(name, t.watch)
	return t, k.at[to].client.MakeBucket(ctx, name, minio.MakeBucketOptions{})
}

// command is the one that is typed.
func (t *trial) command(ctx context.Context) *exec.Cmd {
	args := []string{"sync", "s3://source", "", "--yes", "--state", filepath.Join(t.dir, "state"), "--concurrency", strconv.Itoa(concurrency), "--from-endpoint", t.k.source.server.URL,
		"--from-access-key", "env:FROM_KEY", "--from-secret-key", "env:FROM_SECRET"}
	env := append(os.Environ(), "FROM_KEY="+t.name, "FROM_SECRET=secret")
	switch at := t.k.at[t.to]; t.to {
	case Directory:
		args[2] = filepath.Join(t.dir, "to")
	case Fake:
		args[2] = "s3://" + t.name
		args = append(args, "--to-endpoint", at.front.server.URL)
	case MinIO:
		args[2] = "minio+" + at.front.server.URL + "/" + t.name
	}
	if at, ok := t.k.at[t.to]; ok {
		args = append(args, "--to-access-key", "env:TO_KEY", "--to-secret-key", "env:TO_SECRET")
		env = append(env, "TO_KEY="+at.key, "TO_SECRET="+at.secret)
	}
	cmd := exec.CommandContext(ctx, t.k.opts.Program, args...)
	cmd.Env, cmd.Dir = env, t.dir
	return cmd
}

// run runs the command, and kills it at a request, or after some time. To be killed is no error.
func (t *trial) run(ctx context.Context, at int, phase Phase, after time.Duration) error {
	var output bytes.Buffer
	cmd := t.command(ctx)
	cmd.Stdout, cmd.Stderr = &output, &output
	t.watch.run(at, phase, func() { _ = cmd.Process.Kill() }) // it may have ended
	if err := cmd.Start(); err != nil {
		return err
	}
	if after > 0 {
		defer time.AfterFunc(after, t.watch.kill).Stop()
	}
	err := cmd.Wait()
	t.watch.inFlight.Wait()
	t.watch.mu.Lock()
	killed := t.watch.killed && err != nil
	t.watch.mu.Unlock()
	if killed {
		t.kills++
		return nil
	}
	if err != nil {
		return fmt.Errorf("the command ended with %w: %s", err, strings.TrimSpace(output.String()))
	}
	return nil
}

// kill is one trial: it kills, runs again, and looks.
func (t *trial) kill(ctx context.Context, p Point, whole measure) error {
	for _, share := range []float64{p.Share, p.Again} {
		if share == 0 {
			continue
		}
		at, after := 0, time.Duration(0)
		if p.Phase != "" {
			at = max(1, int(share*float64(whole.requests)))
		} else {
			after = max(time.Millisecond, time.Duration(share*float64(whole.time)))
		}
		if err := t.run(ctx, at, p.Phase, after); err != nil {
			return err
		}
	}
	if err := t.run(ctx, 0, "", 0); err != nil {
		return fmt.Errorf("the last run: %w", err)
	}
	return t.look(ctx)
}

// look says what is not as it must be.
func (t *trial) look(ctx context.Context) error {
	var found []error
	if t.to == Directory {
		found = append(found, compareDirectory(filepath.Join(t.dir, "to"), t.k.want))
	} else {
		client := t.k.at[t.to].client
		found = append(found, compareBucket(ctx, client, t.name, t.k.want), unfinished(ctx, client, t.name, t.k.want))
	}
	return errors.Join(append(found, t.once(), t.state())...)
}

// once demands that every part was stored once, and that no more small objects were written again than were on their way.
func (t *trial) once() error {
	if t.to == Directory {
		return nil
	}
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	var found []error
	again := 0
	for key, thing := range t.k.want {
		if thing.parts == 0 {
			again += t.watch.puts[key] - 1
		}
		for number := 1; number <= thing.parts; number++ {
			if n := t.watch.parts[fmt.Sprintf("%s part %d", key, number)]; n != 1 {
				found = append(found, fmt.Errorf("part %d of %s was stored %d times", number, key, n))
			}
		}
	}
	if again > concurrency*t.kills {
		found = append(found, fmt.Errorf("%d small objects were written again after %d kills", again, t.kills))
	}
	return errors.Join(found...)
}

// concurrency is how many objects the command has under way.
const concurrency = 16

// state demands that nothing but the manifest and the lock is left beside it.
func (t *trial) state() error {
	entries, err := os.ReadDir(filepath.Join(t.dir, "state"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "manifest.jsonl" && name != "lock" {
			return fmt.Errorf("%s is left in the state directory", name)
		}
	}
	return nil
}

// storeAt is a server behind a front.
type storeAt struct {
	front       *front
	client      *minio.Core
	key, secret string
}
