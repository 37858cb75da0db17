package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/metrics"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// program is what every verb shares: its streams and the flags that all of them have.
type program struct {
	name     string
	in       io.Reader
	out      io.Writer
	errs     io.Writer
	progress *cli.Progress

	// metrics is nil unless --metrics asks for some.
	metrics *metrics.Metrics

	file      string
	output    string
	logFormat string
	shown     string
	verbose   bool

	called bool // the arguments were understood, and a verb is being run
}

func newProgram(arg0 string, in io.Reader, out, errs io.Writer) *program {
	name := "crossfade"
	if strings.HasPrefix(strings.TrimSuffix(filepath.Base(arg0), ".exe"), "kubectl-") {
		name = "kubectl crossfade"
	}
	return &program{name: name, in: in, out: out, errs: errs, progress: cli.NewProgress(errs, cli.IsTerminal(errs))}
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "crossfade",
		Short: "Move applications from a running blue cluster to a new green one",
		Long: `Crossfade moves applications from a running blue cluster to a new green one, side by side, and fades traffic over
one application at a time. An application that fails its checks goes back to blue by itself.

A migration is declared in one file. "crossfade init" writes a first one, "crossfade plan" shows what would happen,
"crossfade run" takes the migration as far as its gates allow and goes on where it stopped, "crossfade status" shows
where it stands. The other verbs take one step by itself.`,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: p.name},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return p.checkFlags(c) },
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.errs)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&p.file, "file", "f", "migration.yaml", "the migration file")
	flags.StringVarP(&p.output, "output", "o", "text", "form of the result: text or json")
	flags.StringVar(&p.logFormat, "log-format", "text", "form of the log on standard error: text or json")
	flags.StringVar(&p.shown, "progress", "auto", "form of the progress on standard error: auto (bars on a terminal, else lines), plain (lines), json (an event a line, and the log in JSON) or none")
	flags.BoolVarP(&p.verbose, "verbose", "v", false, "log details")
	root.AddCommand(
		p.initCommand(), p.doctorCommand(), p.planCommand(), p.runCommand(), p.statusCommand(),
		p.exportCommand(), p.syncCommand(), p.verifyCommand(), p.provisionCommand(), p.portsCommand(), p.restoreCommand(),
		p.cutoverCommand(), p.rollbackCommand(), p.retireCommand(), p.auditCommand(), p.cleanupCommand(), p.supportCommand(),
		p.versionCommand(), p.nodeFlowsCommand(), p.forwarderCommand(), exitCodesTopic(),
	)
	return root
}

func (p *program) checkFlags(c *cobra.Command) error {
	p.called = true
	switch p.shown {
	case "auto":
	case "plain", "none", "json":
		p.progress.Close()
		p.progress = cli.NewProgress(p.errs, false)
		if p.shown == "json" && !c.Flags().Changed("log-format") {
			p.logFormat = "json"
		}
	default:
		return &usageError{fmt.Errorf("--progress is %q: it must be auto, plain, json or none", p.shown)}
	}
	if p.output != "text" && p.output != "json" {
		return &usageError{fmt.Errorf("--output is %q: it must be text or json", p.output)}
	}
	if p.logFormat != "text" && p.logFormat != "json" {
		return &usageError{fmt.Errorf("--log-format is %q: it must be text or json", p.logFormat)}
	}
	return nil
}

func (p *program) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if p.verbose {
		opts.Level = slog.LevelDebug
	}
	if p.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.progress, opts))
	}
	return slog.New(slog.NewTextHandler(p.progress, opts))
}

// load reads the migration file. Whatever is wrong with it is a mistake in what was given.
func (p *program) load() (*crossfade.File, error) {
	file, err := crossfade.Load(p.file)
	if err != nil {
		return nil, &usageError{err}
	}
	return file, nil
}

// loadToGoBack reads the migration file for those who look, or go back: what only the end of blue asks for is a warning.
func (p *program) loadToGoBack() (*crossfade.File, error) {
	file, err := crossfade.LoadToGoBack(p.file)
	if err != nil {
		return nil, &usageError{err}
	}
	if file.Unretirable != nil {
		for _, problem := range strings.Split(file.Unretirable.Error(), "\n") {
			p.logger().Warn("plan, run and retire refuse the file: blue cannot be ended as it says", "because", problem)
		}
	}
	return file, nil
}

// open opens the migration for work; the caller closes it.
func (p *program) open() (*crossfade.Migration, error) { return p.openAs(p.load, false) }

// openAs opens the migration for work, and lets it ask for approvals where somebody is there to answer.
func (p *program) openAs(load func() (*crossfade.File, error), ask bool) (*crossfade.Migration, error) {
	file, err := load()
	if err != nil {
		return nil, err
	}
	opts, err := p.options()
	if err != nil {
		return nil, err
	}
	if ask {
		opts.Approve = p.askApproval
	}
	return crossfade.Open(file, opts)
}

// inspect opens the migration for looking only.
func (p *program) inspect() (*crossfade.Migration, error) { return p.inspectAs(p.load) }

func (p *program) inspectAs(load func() (*crossfade.File, error)) (*crossfade.Migration, error) {
	file, err := load()
	if err != nil {
		return nil, err
	}
	opts, err := p.options()
	if err != nil {
		return nil, err
	}
	return crossfade.Inspect(file, opts), nil
}

func (p *program) options() (crossfade.Options, error) {
	log := p.logger()
	opts := crossfade.Options{
		Tool:       version(),
		Actor:      actor(),
		OpenBucket: openBucket,
		Memory:     boundMemory(os.Getenv),
		OpenZone:   new(zoneDrivers).open,
		Getenv:     os.Getenv,
		Secrets:    secretsOf(os.Environ()),
		Log:        log,
		Events:     p.events(),
	}
	if p.metrics != nil {
		opts.Asked = func(op string, took time.Duration, err error) { p.metrics.Asked(op, took, outcome(err)) }
	}
	return opts, arm(&opts)
}

// secretsOf lists the values of the variables whose names say that they hold secrets: hooks inherit them, and may repeat them.
// A path to a secret is none.
func secretsOf(environ []string) []string {
	var list []string
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); redact.Names(name) && !filepath.IsAbs(value) {
			list = append(list, value)
		}
	}
	return list
}

func actor() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	u, err := user.Current()
	if err != nil {
		return "unknown@" + host
	}
	return u.Username + "@" + host
}

// json reports whether the result is wanted as JSON.
func (p *program) json() bool { return p.output == "json" }

// printf writes to standard output.
func (p *program) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.out, format, args...)
	return err
}

// end prints the error, if there is one, and returns the exit code.
func (p *program) end(err error) int {
	p.progress.Close()
	if err == nil {
		return exitDone
	}
	if !p.called {
		err = &usageError{err} // no verb was reached: the arguments are wrong
	}
	var silent *silentError
	if !errors.As(err, &silent) {
		p.say("%s", cli.Error(err))
	}
	return exitCode(err)
}

// say writes a line for people to standard error.
func (p *program) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.errs, p.name+": "+format+"\n", args...) // there is nowhere else to say it
}
