package main

import (
	"github.com/spf13/cobra"
)

func (p *program) exportCommand() *cobra.Command {
	return p.verb("export", "", "Export blue's objects into a verified archive")
}

func (p *program) provisionCommand() *cobra.Command {
	return p.verb("provision", "", "Stand up the namespaces on green")
}

func (p *program) restoreCommand() *cobra.Command {
	return p.verb("restore", "", "Restore the archive on green, dark")
}

func (p *program) cutoverCommand() *cobra.Command {
	c := p.verb("cutover", "APPLICATION…", "Shift applications to green: freeze, final sync, start, checks, swap, soak")
	c.AddCommand(p.cutoverInspectCommand())
	return c
}

// verb is a command that takes the stages of one verb. Where names is set, arguments choose among them.
func (p *program) verb(name, names, short string) *cobra.Command {
	s := step{}
	s.opts.Verb = name
	c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs}
	if names != "" {
		c.Use, c.Args = name+" ["+names+"]", cobra.ArbitraryArgs
	}
	c.RunE = func(c *cobra.Command, chosen []string) error {
		s.opts.Names = chosen
		return p.step(c.Context(), s)
	}
	s.flags(c)
	if name == "cutover" {
		s.waitFlags(c)
	}
	return c
}
