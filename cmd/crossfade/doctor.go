package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) doctorCommand() *cobra.Command {
	var (
		opts crossfade.DoctorOptions
		rbac crossfade.RBACOptions
		want bool
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that the migration relies on, or print the least roles for it",
		Long: `Doctor looks at everything that a migration relies on: both API servers, the account's rights, versions, stores, names,
zones, room, and this machine. Every check runs, also when another fails; each line says ok, FAILED or not checked, with
its mend. It changes nothing but probe objects of its own, which it removes. Exit code 3 means that something failed or
could not be checked.

With --rbac it prints the least roles for both sides instead, derived from the migration file and from what blue holds.
It has to read both sides for that. The accounts that the file names may not do so yet, so say --blue-kubeconfig and
--green-kubeconfig, or --blue-context and --green-context, of an administrator, who then applies what is printed:

  crossfade doctor --rbac --blue-context blue-admin --green-context green-admin --side blue | kubectl --context blue-admin apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !want && rbac != (crossfade.RBACOptions{}) {
				return &usageError{errors.New("--side, --user and the kubeconfigs and contexts of both sides go with --rbac")}
			}
			m, err := p.inspect()
			if err != nil {
				return err
			}
			if want {
				return p.printRBAC(c, m, rbac)
			}
			d, err := m.Doctor(c.Context(), opts)
			if err != nil {
				return err
			}
			p.progress.Close()
			if p.json() {
				err = cli.JSON(p.out, d)
			} else {
				err = d.Print(p.out)
			}
			if err == nil && !d.OK() {
				return &silentError{code: exitRefused}
			}
			return err
		},
	}
	flags := c.Flags()
	flags.DurationVar(&opts.Limit, "limit", 0, "how long one check may take (default 10s; six times that where it reads all objects)")
	flags.BoolVar(&want, "rbac", false, "print the least roles as YAML to apply, and check nothing")
	flags.StringVar(&rbac.Side, "side", "", "with --rbac: blue or green alone")
	flags.StringVar(&rbac.User, "user", "", "with --rbac: give the roles to this user instead of a ServiceAccount")
	flags.StringVar(&rbac.Blue.Kubeconfig, "blue-kubeconfig", "", "with --rbac: read blue with this kubeconfig (default: the file's)")
	flags.StringVar(&rbac.Blue.Context, "blue-context", "", "with --rbac: its context (default: the current one; without --blue-kubeconfig the file's)")
	flags.StringVar(&rbac.Green.Kubeconfig, "green-kubeconfig", "", "with --rbac: read green with this kubeconfig (default: the file's)")
	flags.StringVar(&rbac.Green.Context, "green-context", "", "with --rbac: its context (default: the current one; without --green-kubeconfig the file's)")
	return c
}

func (p *program) printRBAC(c *cobra.Command, m *crossfade.Migration, opts crossfade.RBACOptions) error {
	roles, err := m.RBAC(c.Context(), opts)
	if err != nil {
		return err
	}
	p.progress.Close()
	if p.json() {
		return cli.JSON(p.out, roles)
	}
	return roles.Print(p.out)
}
