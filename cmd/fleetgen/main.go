// Command fleetgen writes a synthetic fleet repo of any size, for benchmarks and for
// trying Tributary at the size of a future fleet:
//
//	fleetgen ./fleet --clusters 500 --stacks 6
//
// The same arguments give the same bytes. It never writes into a directory that is not
// empty.
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
		Long: `Writes a fleet repo into DIR. DIR is created if it does not exist, and must be
empty if it does. The same arguments give the same bytes, and the file of a cluster
does not depend on how many clusters there are.

A stack is the overlay of an environment with the component of a region. Clusters
are spread evenly over the stacks.`,
		Example: `  fleetgen ./fleet
  fleetgen ./fleet --clusters 500 --stacks 6 --inline 0.1 --seed 7
  tributary validate ./fleet

The exit status is 0 if the fleet repo was written, and 1 otherwise.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ExactArgs(1),
		RunE:          func(cmd *cobra.Command, args []string) error { return generate(args[0], o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Clusters, "clusters", o.Clusters, "number of clusters")
	f.IntVar(&o.Stacks, "stacks", o.Stacks, "number of stacks that clusters are placed on")
	f.IntVar(&o.Components, "components", o.Components, "platform components in each stack")
	f.IntVar(&o.Namespaces, "namespaces", o.Namespaces, "namespaces in each stack")
	f.IntVar(&o.Bindings, "bindings", o.Bindings, "cluster role bindings in each stack")
	f.IntVar(&o.Patches, "patches", o.Patches, "patches in each cluster's file")
	f.Float64Var(&o.Inline, "inline", o.Inline, "share of the clusters with a resource in their file, from 0 to 1")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed; each gives a different fleet of the same size")
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

// empty returns an error for a directory that is not empty, because an old cluster file
// in it would be part of the fleet.
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
	return fmt.Errorf("%s: is not empty; name an empty directory, or one that does not exist", dir)
}
