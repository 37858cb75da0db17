package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// TestScripts runs every script of testdata/script. A script has the two clusters as blue and green (kubectl in its own
// namespace, $NS), names below $NS.apps.test, an age key, and the S3 server; templates are filled in by expand.
func TestScripts(t *testing.T) { runScripts(t, filepath.Join("testdata", "script")) }

func runScripts(t *testing.T, dir string, files ...string) {
	t.Helper()
	w := theWorld(t)
	params := testscript.Params{
		Setup:               func(env *testscript.Env) error { return setup(w, env) },
		RequireExplicitExec: false, RequireUniqueNames: true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "dns":
				return w.DNSSkip == "", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"zone":   cmdZone,
			"expand": cmdExpand, "blue": cmdKubectl("BLUE_DIRECT"), "green": cmdKubectl("GREEN_DIRECT"),
			"exits": cmdExits, "kill-at": cmdKillAt, "name": cmdName, "leads": cmdLeads, "serve": cmdServe,
			"records": cmdRecords, "lapse": cmdLapse, "holds": cmdHolds, "journal": cmdJournal, "damage": cmdDamage, "change": cmdChange, "move": cmdMove, "s3": cmdS3, "canary": cmdCanary, "clean": cmdClean, "base64": cmdBase64, "hold": cmdHold, "unpack": cmdUnpack,
			"fill": cmdFill, "login": cmdLogin, "dropping": cmdDropping, "nobody": cmdNobody, "takes": cmdTakes, "cut": cmdCut, "forge": cmdForge, "pack": cmdPack,
			"deny-updates": cmdDenyUpdates, "late-dns": cmdLateDNS, "promql": cmdPromQL, "limited": cmdLimited,
			"configure-s3": cmdConfigureS3, "s3-configured": cmdS3Configured,
			"hooks": cmdHooks, "visit": cmdVisit, "account": cmdAccount, "used": cmdUsed, "without": cmdWithout,
			"weighing": cmdWeighing, "weights": cmdWeights, "fences": cmdFences,
		},
	}
	if len(files) > 0 {
		params.Files = files
	} else {
		params.Dir = dir
	}
	testscript.Run(t, params)
}

// values that a script's commands share.
type valueKey string

const (
	keyWeb  valueKey = "web"
	keyHeld valueKey = "held"
	// keyShared holds a map into which commands put what later ones need.
	keyShared valueKey = "shared"
	// keyWitness holds what stands between each side and its account.
	keyWitness valueKey = "witness"
)

// setup gives a script its namespace, its addresses and its keys.
func setup(w world, env *testscript.Env) error {
	name := strings.NewReplacer("script-", "", "_", "-", ".", "-").Replace(filepath.Base(env.WorkDir))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "archive.key"), []byte(identity.String()+"\n"), 0o600); err != nil {
		return err
	}
	both, err := standin.NewWeb()
	if err != nil {
		return err
	}
	env.Defer(both.Close)
	silent, err := net.Listen("tcp4", "127.0.0.1:0") // takes connections and never says a word, as a firewall that drops
	if err != nil {
		return err
	}
	env.Defer(func() { _ = silent.Close() })
	env.Values[keyWeb] = both
	env.Values[keyHeld] = map[string]*exec.Cmd{}
	env.Values[keyShared] = map[valueKey]any{}
	env.Values[keyWitness] = map[string]*witness{}
	for _, v := range [][2]string{
		{"NS", name}, {"HOST", name + ".apps.test"}, {"BLUE", w.Blue}, {"GREEN", w.Green}, {"BLUE_DIRECT", w.BlueDirect}, {"GREEN_DIRECT", w.GreenDirect},
		{"KUBECTL", w.Kubectl}, {"PRIMARY", w.Primary}, {"SECONDARY", w.Secondary}, {"RESOLVER", w.Resolver}, {"TSIG", w.TSIG},
		{"S3", w.S3}, {"S3_ACCESS", w.S3Access}, {"S3_SECRET", w.S3Secret},
		{"PORT", strconv.Itoa(both.Port)}, {"BLUE_IP", both.At["blue"]}, {"GREEN_IP", both.At["green"]},
		{"SILENT", silent.Addr().String()}, {"HOME", env.WorkDir}, {"LANG", "C.UTF-8"}, {"AGE_IDENTITY", identity.String()},
	} {
		env.Setenv(v[0], v[1])
	}
	return nil
}

// cmdExpand fills the script's variables into files: ${NAME}.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			if v := ts.Getenv(name); v != "" {
				return v
			}
			ts.Fatalf("%s: there is no variable %s", file, name)
			return ""
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// cmdKubectl runs kubectl against one side, in the script's namespace.
func cmdKubectl(kubeconfig string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		args = append([]string{"--kubeconfig=" + ts.Getenv(kubeconfig), "--namespace=" + ts.Getenv("NS"), "--cache-dir=" + ts.MkAbs(".kube-cache")}, args...)
		check(ts, neg, ts.Exec(ts.Getenv("KUBECTL"), args...))
	}
}

func check(ts *testscript.TestScript, neg bool, err error) {
	switch {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("it succeeded, and should have failed")
	}
}

// cmdExits runs a program and demands its exit code: exits 3 crossfade plan.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT…")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// journalOf finds the one journal below a script's folder.
func journalOf(ts *testscript.TestScript) string {
	return filepath.Join(ts.MkAbs("state"), "journal.jsonl")
}

// cmdKillAt runs the command as a process of its own and kills it (SIGKILL) as soon as its journal holds a record with a text:
// kill-at '"stage":"freeze/web"' crossfade run --yes. The text ended is an error: the moment was missed.
func cmdKillAt(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: kill-at TEXT PROGRAM ARGUMENT…")
	}
	text := []byte(os.Expand(args[0], ts.Getenv))
	cmd, out := start(ts, args[1:])
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		raw, err := os.ReadFile(journalOf(ts))
		if err == nil && bytes.Contains(raw, text) {
			ts.Check(cmd.Process.Kill())
			err := <-ended
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != -1 {
				ts.Fatalf("it ended before it was killed: %v\n%s", err, out())
			}
			ts.Logf("killed where the journal holds %s", text)
			return
		}
		select {
		case err := <-ended:
			ts.Fatalf("it ended before its journal held %s: %v\n%s", text, err, out())
		case <-deadline:
			_ = cmd.Process.Kill()
			<-ended
			ts.Fatalf("its journal never held %s\n%s", text, out())
		case <-tick.C:
		}
	}
}

// start starts a program with the script's environment; out returns what it has written so far.
func start(ts *testscript.TestScript, args []string) (cmd *exec.Cmd, out func() string) {
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(".out-" + filepath.Base(args[0])))
	ts.Check(err)
	cmd = exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), file, file
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "S3_ACCESS", "S3_SECRET", "TSIG", "TSIG_WRONG", "NS", "CANARY"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	ts.Check(cmd.Start())
	ts.Check(file.Close())
	return cmd, func() string {
		raw, err := os.ReadFile(file.Name())
		if err != nil {
			return err.Error()
		}
		return string(raw)
	}
}

// cmdHold starts a program that holds the migration, until its journal holds a text, and lets it run on: hold TEXT PROGRAM….
// It ends with the script, or by hold -end.
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	held := ts.Value(keyHeld).(map[string]*exec.Cmd)
	if len(args) == 1 && args[0] == "-end" {
		cmd := held["it"]
		delete(held, "it")
		ts.Check(cmd.Process.Signal(os.Interrupt))
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
			raw, _ := os.ReadFile(ts.MkAbs(".out-crossfade"))
			ts.Fatalf("interrupted, it ended with %v, want exit code %d\n%s", err, exitInterrupted, raw)
		}
		return
	}
	cmd, out := start(ts, args[1:])
	held["it"] = cmd
	ts.Defer(func() {
		if held["it"] == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	text := []byte(os.Expand(args[0], ts.Getenv))
	within(ts, time.Minute, func() error {
		raw, err := os.ReadFile(journalOf(ts))
		if err == nil && !bytes.Contains(raw, text) {
			err = fmt.Errorf("no %s in the journal\n%s", text, out())
		}
		return err
	})
}

// cmdRecords demands how often the journal holds a text: records 1 '"kind":"finished","stage":"export"'.
func cmdRecords(ts *testscript.TestScript, _ bool, args []string) {
	raw, err := os.ReadFile(journalOf(ts))
	ts.Check(err)
	text := os.Expand(args[1], ts.Getenv)
	if n := strings.Count(string(raw), text); strconv.Itoa(n) != args[0] {
		ts.Fatalf("the journal holds %s %d times, want %s", text, n, args[0])
	}
}

// cmdS3 makes a bucket at the S3 server with objects whose content is their name: s3 make BUCKET OBJECT….
func cmdS3(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	b, err := s3.Open(ctx, s3.Options{
		Bucket: args[1], Endpoint: ts.Getenv("S3"), Region: "us-east-1",
		Credentials: s3.Credentials{AccessKey: ts.Getenv("S3_ACCESS"), SecretKey: ts.Getenv("S3_SECRET")},
	})
	ts.Check(err)
	ts.Check(b.Make(ctx))
	for _, name := range args[2:] {
		_, err := b.Put(ctx, name, strings.NewReader(name), int64(len(name)), bucket.PutOptions{})
		ts.Check(err)
	}
}

// cmdZone writes every record of the script's own names, fences among them, into a file, as the primary has them: zone FILE.
func cmdZone(ts *testscript.TestScript, _ bool, args []string) {
	driver, err := new(zoneDrivers).open(context.Background(), crossfade.ZoneConfig{
		Name: "apps.test", RFC2136: &crossfade.RFC2136Zone{Server: ts.Getenv("PRIMARY"), Key: "crossfade", Secret: ts.Getenv("TSIG")},
	})
	ts.Check(err)
	sets, err := driver.(zone.Lister).List(context.Background())
	ts.Check(err)
	var lines []string
	for _, set := range sets {
		before, own := strings.CutSuffix(set.Name, ts.Getenv("HOST")+".")
		if own && (before == "" || before == "blue-" || before == "green-" || before == "green." || strings.HasPrefix(before, "_crossfade")) {
			lines = append(lines, fmt.Sprintf("%s %d %s %s\n", set.Name, set.TTL, set.Type, strings.Join(slices.Sorted(slices.Values(set.Data)), " ")))
		}
	}
	slices.Sort(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "")), 0o600))
}

// cmdChange replaces a text in a file: change FILE OLD NEW.
func cmdChange(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}

// cmdDamage changes one byte in the middle of the largest blob of an archive.
func cmdDamage(ts *testscript.TestScript, _ bool, args []string) {
	var largest string
	var size int64
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".json") {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	}))
	raw, err := os.ReadFile(largest)
	ts.Check(err)
	raw[len(raw)/2] ^= 1
	ts.Check(os.Chmod(largest, 0o600))
	ts.Check(os.WriteFile(largest, raw, 0o600))
	ts.Logf("damaged %s", largest)
}

func within(ts *testscript.TestScript, limit time.Duration, try func() error) {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// cmdName makes records by a signed update, as the zone's owner would: name OWNER TTL TYPE DATA.
func cmdName(ts *testscript.TestScript, _ bool, args []string) { putName(ts, false, args) }

// cmdMove is cmdName, and what the name held of the type before goes.
func cmdMove(ts *testscript.TestScript, _ bool, args []string) { putName(ts, true, args) }

func putName(ts *testscript.TestScript, alone bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: name OWNER TTL TYPE DATA")
	}
	ttl, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	addr, err := netip.ParseAddrPort(ts.Getenv("PRIMARY"))
	ts.Check(err)
	server := &nameserver.Server{Spec: nameserver.Spec{
		Name: "primary", Place: nameserver.Place{Addr: addr}, Key: nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: ts.Getenv("TSIG")},
	}}
	if alone {
		ts.Check(server.Clear(context.Background(), testZone, args[0]+".", args[2]))
	}
	record := dnsx.Record{Name: args[0] + ".", Type: args[2], TTL: uint32(ttl), Data: args[3]}
	ts.Check(server.Add(context.Background(), testZone, record))
	within(ts, time.Minute, func() error { return answers(ts, ts.Getenv("SECONDARY"), args[0], args[2], args[3]) })
}

// cmdLeads demands that both servers answer a name with exactly one CNAME: leads NAME TARGET.
func cmdLeads(ts *testscript.TestScript, neg bool, args []string) {
	for _, server := range []string{"PRIMARY", "SECONDARY"} {
		check(ts, neg, answers(ts, ts.Getenv(server), args[0], "CNAME", args[1]+"."))
	}
}

func answers(ts *testscript.TestScript, server, name, typ, want string) error {
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return err
	}
	answer, err := new(dnsx.Client).Ask(context.Background(), addr, name+".", typ, false)
	if err != nil {
		return err
	}
	if set := answer.Set(name+".", typ); len(set.Data) != 1 || set.Data[0] != want {
		return fmt.Errorf("%s answers %s %s with %v, want %s", server, name, typ, set.Data, want)
	}
	return nil
}

// cmdServe sets what a side's web server answers: serve green 500, or serve green 200 3 for three answers and 500 then.
func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	requests := 0
	if len(args) > 2 {
		requests, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	ts.Value(keyWeb).(*standin.Web).Answer(args[0], status, requests)
}
