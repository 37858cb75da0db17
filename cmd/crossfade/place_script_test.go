package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
)

// TestPlaceScripts runs the scripts about two places that no migration file names. Each has two fake S3 servers, one and two, with an
// account each, one of an Azure account with a hierarchical namespace, and directories; a script needs no cluster, so that these run with -short as well.
func TestPlaceScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "places"), Setup: setupPlaces, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExitsAt, "objects": cmdObjects, "odd": cmdOdd, "plant": cmdPlant, "shows": cmdShows, "gone": cmdGone, "asked": cmdAsked, "count": cmdCount, "slow": cmdSlow,
			"guard": cmdGuard, "configure": cmdConfigure, "configured": cmdConfigured,
			"hang": cmdHang, "broken": cmdBroken, "heal": cmdHeal, "stop-at": cmdStopAt, "change": cmdChange, "cut": cmdCut, "takes": cmdTakesAt, "dropping": cmdDropping,
		},
	})
}

// account is a fake S3 server behind a door that lets in one account alone, whose signatures it checks.
type account struct {
	*s3fake.Server
	door       *httptest.Server
	id, secret string
	open       atomic.Pointer[chan struct{}] // closed by heal
	broken     atomic.Pointer[breakage]

	mu   sync.Mutex
	base map[s3fake.Op]int
}

// breakage is a request that is refused.
type breakage struct {
	method, key string
	status      int
	code        string
}

type keyAccount string

func setupPlaces(env *testscript.Env) error {
	for _, name := range []string{"one", "two"} {
		a := &account{Server: s3fake.Start(s3fake.Options{}), id: "id-of-" + name, secret: "secret-of-" + name, base: map[s3fake.Op]int{}}
		env.Defer(a.Close)
		a.door = httptest.NewServer(a)
		env.Defer(a.door.Close)
		env.Values[keyAccount(name)] = a
		upper := strings.ToUpper(name)
		env.Setenv(upper, a.door.URL)
		env.Setenv(upper+"_HOST", strings.TrimPrefix(a.door.URL, "http://"))
		env.Setenv(upper+"_ID", a.id)
		env.Setenv(upper+"_KEY", a.secret)
	}
	lake := azurefake.Start(azurefake.Options{})
	env.Defer(lake.Close)
	env.Setenv("LAKE", lake.URL())
	env.Setenv("LAKE_KEY", azurefake.Key)
	env.Setenv("ODD", "bye\nFORGED\x1bRED") // a script itself cannot write them
	env.Setenv("EVIL", "evil\n  missing FORGED\x1b[31mRED")
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("LANG", "C.UTF-8")
	return nil
}

// ServeHTTP lets in who signs as this account.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, why string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, why) // the client may be gone
	}
	if why := a.unsigned(r); why != "" {
		refuse(http.StatusForbidden, "AccessDenied", why)
		return
	}
	if b := a.broken.Load(); b != nil && r.Method == b.method && (b.key == "*" || strings.HasSuffix(r.URL.Path, "/"+b.key)) {
		refuse(b.status, b.code, "broken on purpose")
		return
	}
	a.Server.ServeHTTP(w, r)
}

// unsigned says what is wrong with a request's signature, as
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html has it.
func (a *account) unsigned(r *http.Request) string {
	fields := map[string]string{}
	for _, part := range strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/") // ID, day, region, service, aws4_request
	if len(scope) != 5 || scope[0] != a.id {
		return "another account's credentials"
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20") + "\n"
	for _, name := range strings.Split(fields["SignedHeaders"], ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	hashed := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + a.secret)
	for _, part := range append(scope[1:], strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(hashed[:])}, "\n")) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if hex.EncodeToString(key) != fields["Signature"] {
		return "signed with another secret"
	}
	return ""
}

// cmdGuard makes something of an object that keeps it: guard ACCOUNT encrypt|archive|restore|seal BUCKET KEY [KEY NAME|CLASS].
func cmdGuard(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: guard ACCOUNT encrypt|archive|restore|seal BUCKET KEY [KEY NAME|CLASS]")
	}
	a, last := accountOf(ts, args[0]), args[len(args)-1]
	do := map[string]func(bucket, key string) error{
		"encrypt": func(b, k string) error { return a.Encrypt(b, k, last) },
		"archive": func(b, k string) error { return a.Archive(b, k, last) },
		"restore": func(b, k string) error { return a.Restore(b, k, true) },
		"seal":    a.Seal,
	}[args[1]]
	ts.Check(do(args[2], args[3]))
}

func accountOf(ts *testscript.TestScript, name string) *account {
	a, ok := ts.Value(keyAccount(name)).(*account)
	if !ok {
		ts.Fatalf("there is no account %q: it is one or two", name)
	}
	return a
}

func (a *account) bucket(ts *testscript.TestScript, name string) *s3.Bucket {
	b, err := s3.Open(context.Background(), s3.Options{
		Bucket: name, Endpoint: a.URL(), Region: "us-east-1", Credentials: s3.Credentials{AccessKey: a.id, SecretKey: a.secret},
	})
	ts.Check(err)
	return b
}

// access fills in for @12 the flags that say how both accounts are reached, one as source and two as destination; likewise for
// @21, and @1- and @-2 where the other end is no S3.
func access(ts *testscript.TestScript, args []string) []string {
	var out []string
	for _, arg := range args {
		if len(arg) != 3 || arg[0] != '@' {
			out = append(out, arg)
			continue
		}
		for i, side := range []string{"from", "to"} {
			name := map[byte]string{'1': "ONE", '2': "TWO"}[arg[i+1]]
			if name == "" {
				continue
			}
			out = append(out, "--"+side+"-endpoint", ts.Getenv(name), "--"+side+"-region", "us-east-1",
				"--"+side+"-access-key", "env:"+name+"_ID", "--"+side+"-secret-key", "env:"+name+"_KEY")
		}
	}
	return out
}

// cmdExitsAt is cmdExits, with access.
func cmdExitsAt(ts *testscript.TestScript, neg bool, args []string) {
	cmdExits(ts, neg, access(ts, args))
}

// cmdTakesAt is cmdTakes, with access.
func cmdTakesAt(ts *testscript.TestScript, neg bool, args []string) {
	cmdTakes(ts, neg, access(ts, args))
}

// cmdObjects makes a bucket with objects, whose content is their key unless said otherwise; a number and a B is so many x,
// and with a Y so many y: objects one data a b=other c=300000B.
func cmdObjects(ts *testscript.TestScript, _ bool, args []string) {
	b := accountOf(ts, args[0]).bucket(ts, args[1])
	ctx := context.Background()
	ts.Check(b.Make(ctx))
	for _, arg := range args[2:] {
		key, content, ok := strings.Cut(arg, "=")
		if !ok {
			content = key
		}
		for unit, letter := range map[string]string{"B": "x", "Y": "y"} {
			if n, err := strconv.Atoi(strings.TrimSuffix(content, unit)); err == nil && strings.HasSuffix(content, unit) {
				content = strings.Repeat(letter, n)
				break
			}
		}
		_, err := b.Put(ctx, key, strings.NewReader(content), int64(len(content)), bucket.PutOptions{Properties: bucket.Properties{
			ContentType: "text/plain", Metadata: map[string]string{"owner": "shop"}, Tags: map[string]string{"kind": "test"},
		}})
		ts.Check(err)
	}
}

// cmdPlant writes an object as somebody else's client does, under a key as Go writes it in quotes: plant one data 'a\nb' [CLASS].
func cmdPlant(ts *testscript.TestScript, _ bool, args []string) {
	key, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	r, err := http.NewRequest(http.MethodPut, accountOf(ts, args[0]).URL()+"/"+args[1]+"/"+url.PathEscape(key), strings.NewReader("planted in "+args[1]))
	ts.Check(err)
	if len(args) > 3 {
		r.Header.Set("X-Amz-Storage-Class", args[3])
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	ts.Check(answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("it was refused: %s", answer.Status)
	}
}

// cmdOdd writes an object of a storage class: odd one data a STANDARD_IA.
func cmdOdd(ts *testscript.TestScript, _ bool, args []string) {
	b := accountOf(ts, args[0]).bucket(ts, args[1])
	_, err := b.Put(context.Background(), args[2], strings.NewReader("odd"), 3, bucket.PutOptions{Properties: bucket.Properties{StorageClass: args[3]}})
	ts.Check(err)
}

// cmdGone deletes an object: gone two copy KEY.
func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	b := accountOf(ts, args[0]).bucket(ts, args[1])
	obj, err := b.Head(context.Background(), args[2])
	ts.Check(err)
	ts.Check(b.Delete(context.Background(), obj))
}

// cmdShows writes what a bucket holds to standard output, a line for each object: shows two copy.
func cmdShows(ts *testscript.TestScript, _ bool, args []string) {
	b := accountOf(ts, args[0]).bucket(ts, args[1])
	for obj, err := range b.List(context.Background(), bucket.ListOptions{}) {
		ts.Check(err)
		body, _, err := b.Open(context.Background(), obj.Key, bucket.ReadOptions{})
		ts.Check(err)
		raw, err := io.ReadAll(body)
		ts.Check(errors.Join(err, body.Close()))
		if len(raw) > 100 {
			raw = fmt.Appendf(nil, "%d bytes", len(raw))
		}
		_, _ = fmt.Fprintf(ts.Stdout(), "%s=%s\n", obj.Key, raw)
	}
}

// since counts the requests of a kind since count.
func (a *account) since(op s3fake.Op) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.Calls(op) - a.base[op]
}

func ops() []s3fake.Op {
	return []s3fake.Op{s3fake.List, s3fake.Head, s3fake.Get, s3fake.Put, s3fake.Delete, s3fake.CreateUpload, s3fake.UploadPart, s3fake.CompleteUpload, s3fake.GetTags, s3fake.MakeBucket, s3fake.GetConfiguration, s3fake.PutConfiguration}
}

// cmdCount begins to count an account's requests anew: count two.
func cmdCount(ts *testscript.TestScript, _ bool, args []string) {
	a := accountOf(ts, args[0])
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range ops() {
		a.base[op] = a.Calls(op)
	}
}

// cmdAsked demands how many requests of a kind there were since count: asked two put 3, or a range: asked two put 1-3.
func cmdAsked(ts *testscript.TestScript, _ bool, args []string) {
	op := s3fake.Op(args[1])
	if !slices.Contains(ops(), op) {
		ts.Fatalf("there is no kind of request %q", op)
	}
	low, high, isRange := strings.Cut(args[2], "-")
	if !isRange {
		high = low
	}
	least, err := strconv.Atoi(low)
	ts.Check(err)
	most, err := strconv.Atoi(high)
	ts.Check(err)
	if n := accountOf(ts, args[0]).since(op); n < least || n > most {
		ts.Fatalf("%s was asked %d times to %s, want %s", args[0], n, op, args[2])
	}
}

// cmdSlow lets the next requests of a kind be refused with SlowDown: slow two put 3.
func cmdSlow(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	accountOf(ts, args[0]).Inject(s3fake.Fault{Op: s3fake.Op(args[1]), Times: n, Status: http.StatusServiceUnavailable, Code: "SlowDown"})
}

// cmdBroken refuses every request of a kind for a key, * for all, or no more: broken one get KEY 403 AccessDenied, broken one get KEY.
func cmdBroken(ts *testscript.TestScript, _ bool, args []string) {
	a := accountOf(ts, args[0])
	if len(args) == 3 {
		a.broken.Store(nil)
		return
	}
	status, err := strconv.Atoi(args[3])
	ts.Check(err)
	a.broken.Store(&breakage{method: strings.ToUpper(args[1]), key: args[2], status: status, code: args[4]})
}

// cmdHang lets requests of a kind hang after the next few, until heal: hang two put 3.
func cmdHang(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	a := accountOf(ts, args[0])
	open := make(chan struct{})
	a.open.Store(&open)
	a.Inject(s3fake.Fault{Op: s3fake.Op(args[1]), Skip: n, Wait: func(ctx context.Context, _ string) error {
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	ts.Defer(func() { heal(a) })
}

func cmdHeal(ts *testscript.TestScript, _ bool, args []string) { heal(accountOf(ts, args[0])) }

func heal(a *account) {
	if open := a.open.Swap(nil); open != nil {
		close(*open)
	}
}

// cmdStopAt runs the command as a process of its own and ends it by a signal once an account was asked so often for a kind of
// request since count: stop-at kill two put 4 crossfade sync …, or stop-at int or hup, which must end with exit code 7. With stop-at
// scrape it reads its metrics at that moment into the file scraped, heals the account and waits for its good end.
func cmdStopAt(ts *testscript.TestScript, _ bool, args []string) {
	a, op, how := accountOf(ts, args[1]), s3fake.Op(args[2]), args[0]
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	args = access(ts, args[4:])
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	out, err := os.Create(ts.MkAbs("said"))
	ts.Check(err)
	defer func() { _ = out.Close() }()
	said := func() string { return ts.ReadFile("said") }
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0], cmd.Dir, cmd.Stdout, cmd.Stderr = args[0], ts.MkAbs("."), out, out
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "ONE_ID", "ONE_KEY", "TWO_ID", "TWO_KEY"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	// Under nohup the signal of a closed terminal is ignored, here and in what is started. Where it is asked for here, it is not.
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline := time.Now().Add(time.Minute)
	for a.since(op) < n {
		select {
		case err := <-ended:
			ts.Fatalf("it ended before %s was asked %d times to %s: %v\n%s", a.id, n, op, err, said())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			ts.Fatalf("never asked %d times to %s: %v\n%s", n, op, <-ended, said())
		}
	}
	want := 0
	switch how {
	case "kill":
		ts.Check(cmd.Process.Kill())
		want = -1
	case "int", "hup":
		ts.Check(cmd.Process.Signal(map[string]os.Signal{"int": os.Interrupt, "hup": syscall.SIGHUP}[how]))
		want = exitInterrupted
	case "scrape":
		scrape(ts, said())
		heal(a)
	default:
		ts.Fatalf("there is no way to stop %q", how)
	}
	err = <-ended
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("it ended with %v, want %d\n%s", err, want, said())
	}
}

// scrape reads the metrics of a process that has said where they are.
func scrape(ts *testscript.TestScript, said string) {
	_, url, ok := strings.Cut(said, "metrics at ")
	if !ok {
		ts.Fatalf("it did not say where its metrics are\n%s", said)
	}
	url, _, _ = strings.Cut(url, "\n")
	answer, err := http.Get(url)
	ts.Check(err)
	raw, err := io.ReadAll(answer.Body)
	ts.Check(errors.Join(err, answer.Body.Close()))
	ts.Check(os.WriteFile(ts.MkAbs("scraped"), raw, 0o600))
}
