// Command load plays the users of web applications at steady rates until it is told
// to stop, and writes what they saw as JSON. See package load for who they are and
// what counts as a failure.
//
//	load -resolver 127.0.0.1:53 \
//	     -target happy-bandit.apps.test,reads=10,expect=happy-bandit \
//	     -target shop.apps.test,reads=10,writes=5,expect=shop \
//	     -duration 5m -report load.json
//
// It ends after -duration, or at SIGTERM or SIGINT. Exit status: 0 if nothing
// failed, 1 if a request failed or a write was lost, 2 if it could not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/e2e/load"
)

const (
	maxDuration   = time.Hour
	verifyLimit   = 5 * time.Minute
	progressEvery = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	failed, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	config   load.Config
	duration time.Duration
	report   string
	verify   map[string]string // host to base URL
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{verify: map[string]string{}}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	resolver := flags.String("resolver", "", "`host:port` of the recursive name server to ask")
	flags.Func("target", "`HOST[,port=80][,path=/][,expect=TEXT][,reads=N][,writes=N]`, rates a second for each of two users; may be repeated", func(text string) error {
		t, err := parseTarget(text)
		o.config.Targets = append(o.config.Targets, t)
		return err
	})
	flags.Func("verify", "`HOST=URL`: at the end read each accepted write of HOST at URL; may be repeated", func(text string) error {
		host, base, found := strings.Cut(text, "=")
		if !found || host == "" || base == "" {
			return errors.New("want HOST=http://host:port")
		}
		o.verify[host] = base
		return nil
	})
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "how long to run, at most 1h")
	flags.DurationVar(&o.config.Timeout, "timeout", 5*time.Second, "of one request")
	flags.StringVar(&o.config.Blue, "blue", "blue", "what X-Side says on blue")
	flags.StringVar(&o.config.Green, "green", "green", "what X-Side says on green")
	flags.StringVar(&o.report, "report", "", "`file` for the report as JSON")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case *resolver == "":
		return options{}, errors.New("-resolver is missing: give host:port of a name server")
	case o.duration <= 0 || o.duration > maxDuration:
		return options{}, fmt.Errorf("-duration %s: want more than 0 and at most %s", o.duration, maxDuration)
	}
	for host := range o.verify {
		// A misspelt host would be verified with success: it has no writes.
		if !slices.ContainsFunc(o.config.Targets, func(t load.Target) bool { return t.Host == host && t.Writes > 0 }) {
			return options{}, fmt.Errorf("-verify %s: no -target of that name has writes", host)
		}
	}
	o.config.Resolver = &load.DNSResolver{Server: *resolver}
	return o, nil
}

func parseTarget(text string) (load.Target, error) {
	host, rest, more := strings.Cut(text, ",")
	t := load.Target{Host: host}
	for more {
		var field string
		field, rest, more = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "port":
			t.Port, err = strconv.Atoi(value)
		case "path":
			t.Path = value
		case "expect":
			t.Expect = value
		case "reads":
			t.Reads, err = strconv.ParseFloat(value, 64)
		case "writes":
			t.Writes, err = strconv.ParseFloat(value, 64)
		default:
			err = errors.New("use port, path, expect, reads or writes")
		}
		if err != nil {
			return t, fmt.Errorf("field %q: %w", field, err)
		}
	}
	return t, nil
}

// run is the command without its process; failed says that users were let down.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (failed bool, err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return false, err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	o.config.Logger = logger
	l, err := load.New(o.config)
	if err != nil {
		return false, err
	}
	play(ctx, l, o.duration, logger)
	report := l.Report()
	if len(o.verify) > 0 {
		v, err := verify(ctx, report, o.verify)
		if err != nil {
			return false, err
		}
		report.Verification = &v
	}
	if o.report != "" {
		if err := report.Save(o.report); err != nil {
			return false, err
		}
	}
	return printSummary(stdout, report)
}

// play runs l for duration and says every half minute how it goes.
func play(ctx context.Context, l *load.Load, duration time.Duration, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx)
	}()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	for {
		select {
		case <-ended:
			return
		case <-progress.C:
			t := l.Report().Totals
			logger.Info("load goes on", "requests", t.Requests, "failed", t.Failed(), "writes", t.Writes, "refused", t.Refused)
		}
	}
}

// verify reads the accepted writes of all hosts that are to be verified. It has a
// limit of its own: the signal that ended the load is no reason to skip it.
func verify(ctx context.Context, report load.Report, bases map[string]string) (load.Verification, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyLimit)
	defer cancel()
	total := load.Verification{Lost: []load.Loss{}, Unread: []load.Loss{}}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for host, base := range bases {
		v, err := load.Verify(ctx, report.Accepted(host), load.HTTPRead(client, base, host))
		total.Checked += v.Checked
		total.Lost = append(total.Lost, v.Lost...)
		total.Unread = append(total.Unread, v.Unread...)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func printSummary(stdout io.Writer, report load.Report) (failed bool, err error) {
	t := report.Totals
	line := fmt.Sprintf("load: %d requests, %d failed, %d writes, %d refused, longest freeze %.1f s",
		t.Requests, t.Failed(), t.Writes, t.Refused, report.LongestFreeze().Seconds())
	failed = t.Failed() > 0 || t.Requests == 0 // nothing asked is nothing proven
	if v := report.Verification; v != nil {
		line += fmt.Sprintf(", %d verified, %d lost, %d not read", v.Checked, len(v.Lost), len(v.Unread))
		failed = failed || !v.OK()
	}
	_, err = fmt.Fprintln(stdout, line)
	return failed, err
}
