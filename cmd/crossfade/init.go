package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) initCommand() *cobra.Command {
	var opts crossfade.InitOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first migration file by looking at both clusters",
		Long: `Init looks at two live clusters and writes a first migration file (-f) with comments: the applications that it found on
blue, their hostnames, buckets, claims and checks, the zones, and what green lacks. Every value that only a person can
decide reads "FILL IN: …"; plan and run refuse the file, and list those lines, until none is left.

It reads only, within a time limit, and says in the file what it could not see. Of Secrets it keeps the names of their
keys. A file that exists is refused unless you say --force.`,
		Example: `  crossfade init --blue-context old --green-context new --namespace shop
  crossfade init --blue-kubeconfig old.kubeconfig --green-kubeconfig new.kubeconfig --rehearsal -f try.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			opts.Path, opts.Tool = p.file, version()
			draft, err := crossfade.Init(c.Context(), opts)
			if err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				return cli.JSON(p.out, draft)
			}
			return draft.Print(p.out)
		},
	}
	flags := c.Flags()
	flags.StringVar(&opts.Blue.Kubeconfig, "blue-kubeconfig", "", "kubeconfig of the side that serves now (default: KUBECONFIG, then the home folder)")
	flags.StringVar(&opts.Blue.Context, "blue-context", "", "its context (default: the current one)")
	flags.StringVar(&opts.Green.Kubeconfig, "green-kubeconfig", "", "kubeconfig of the side that will serve (default: KUBECONFIG, then the home folder)")
	flags.StringVar(&opts.Green.Context, "green-context", "", "its context (default: the current one)")
	flags.StringSliceVarP(&opts.Namespaces, "namespace", "n", nil, "blue's namespaces that are to move (default: all with workloads but the platform's own)")
	flags.StringVar(&opts.Name, "name", "", "name of the migration (default: that of the one namespace)")
	flags.StringSliceVar(&opts.Hostnames, "hostname", nil, "hostnames to look up beside those that blue's objects name")
	flags.StringSliceVar(&opts.Zones, "zone", nil, "zones in which names of Services are looked for")
	flags.StringSliceVar(&opts.Resolvers, "resolver", nil, "resolvers to ask, address:port (default: this machine's)")
	flags.StringSliceVar(&opts.NameServers, "name-server", nil, "authoritative servers of the zones, address:port, the primary first (default: those that the delegation names)")
	flags.BoolVar(&opts.Rehearsal, "rehearsal", false, "write short safety times, for a first try")
	flags.BoolVar(&opts.Force, "force", false, "overwrite the file if it exists")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "print the file and write nothing")
	flags.DurationVar(&opts.Limit, "limit", 30*time.Second, "how long each cluster, and the name servers, may take")
	return c
}
