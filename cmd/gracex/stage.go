package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/release"
)

// checkFlags are about the command that looks at a program before it is used.
type checkFlags struct {
	command, user string
}

func (f *checkFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.command, "check", "", "`command` that looks at the program before it is used, as \"{} -check-config\",\nwhere {} is its path")
	c.Flags().StringVar(&f.user, "check-user", "", "`user` that runs the command of --check")
}

func (f *checkFlags) set(o *release.StageOptions) {
	o.Check, o.CheckUser = strings.Fields(f.command), f.user
}

// stageFlags say what is accepted as a release.
type stageFlags struct {
	check   checkFlags
	accept  release.StageOptions
	version string // of a file at hand
}

func (f *stageFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.version, "version", "", "`version` of a file at hand; left out, that of its build information")
	fl.BoolVar(&f.accept.Again, "again", false, "accept a program that was taken back before")
	fl.BoolVar(&f.accept.Older, "older", false, "accept a release that is older than the last good one")
	fl.BoolVar(&f.accept.OtherProgram, "rename", false, "accept a program with another main module than that which runs")
	f.check.add(c)
}

func (f *stageFlags) options() release.StageOptions {
	o := f.accept
	f.check.set(&o)
	return o
}
