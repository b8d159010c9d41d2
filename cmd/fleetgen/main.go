// Command fleetgen writes a synthetic fleet repo of any size, for benchmarks and for who
// wants to see Tributary at the size of a fleet that is still to come. The same arguments
// give the same bytes. It never touches a directory that has something in it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

func main() { os.Exit(run()) }

func run() int {
	if err := newGenerate().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "fleetgen:", err)
		return 1
	}
	return 0
}

func newGenerate() *cobra.Command {
	o := synthetic.Default()
	cmd := &cobra.Command{
		Use:   "fleetgen DIR",
		Short: "Write a synthetic fleet repo",
		Long: `Writes a fleet repo into DIR, which is made where it is missing and must be empty
where it is not. The same arguments give the same bytes, and a cluster's file does
not depend on how many clusters there are.

A stack is an environment's overlay with a region's component; clusters are spread
over them evenly.`,
		Example: `  fleetgen ./fleet
  fleetgen ./fleet --clusters 500 --stacks 6 --inline 0.1 --seed 7
  tributary validate ./fleet

Exit status is 0 if the fleet repo is written, and 1 if not.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ExactArgs(1),
		RunE:          func(cmd *cobra.Command, args []string) error { return generate(args[0], o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Clusters, "clusters", o.Clusters, "clusters of the fleet")
	f.IntVar(&o.Stacks, "stacks", o.Stacks, "stacks that they are placed on")
	f.IntVar(&o.Components, "components", o.Components, "platform components in each stack")
	f.IntVar(&o.Namespaces, "namespaces", o.Namespaces, "namespaces in each stack")
	f.IntVar(&o.Bindings, "bindings", o.Bindings, "cluster role bindings in each stack")
	f.IntVar(&o.Patches, "patches", o.Patches, "patches in each cluster's file")
	f.Float64Var(&o.Inline, "inline", o.Inline, "share of the clusters whose file has a resource inline, from 0 to 1")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "another seed gives another fleet of the same size")
	return cmd
}

func generate(dir string, o synthetic.Options) error {
	f, err := synthetic.New(o)
	if err != nil {
		return err
	}
	if err := empty(dir); err != nil {
		return err
	}
	return f.Write(dir)
}

// empty refuses a directory with something in it, because a cluster's file that stays
// there from the last time would be part of the fleet.
func empty(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	switch _, err := d.Readdirnames(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s: is not empty; name a directory that is, or is still to be made", dir)
}
