package main

import (
	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade/internal/cli"
)

func (p *program) portsCommand() *cobra.Command {
	var env bool
	c := &cobra.Command{
		Use:   "ports",
		Short: "Show which node ports the applications get on green",
		Long: `Ports reads the archive and green's Services and prints the map from blue's node ports to green's: as a table, as JSON
(-o json), or as lines for an environment file (--env). It changes nothing; restore uses the same map.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := p.inspect()
			if err != nil {
				return err
			}
			ports, err := m.Ports(c.Context())
			if err != nil {
				return err
			}
			p.progress.Close()
			switch {
			case p.json():
				return cli.JSON(p.out, ports)
			case env:
				return ports.PrintEnv(p.out)
			}
			return ports.Print(p.out)
		},
	}
	c.Flags().BoolVar(&env, "env", false, "print lines for an environment file")
	return c
}
