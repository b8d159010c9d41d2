// Command tributary renders fleet repos and serves the inputs of their clusters to Flux.
//
// This package turns flags into calls and errors into exit codes, with one file for each
// command. It is the only package that imports both the server and the adapters.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/complete"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/usage"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stderr := takeStderr()
	context.AfterFunc(ctx, func() { exitOnSignal(stop, stderr) })
	root := newRoot()
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "tributary: interrupted")
	case !errors.Is(err, exitcode.ErrReported):
		fmt.Fprintln(stderr, "tributary:", err)
	}
	return exitcode.Of(cmd, err)
}

// takeStderr returns the standard error output for what Tributary says itself. What
// libraries write to os.Stderr is dropped from then on: kustomize prints a line for each
// deprecated field of each build, without a file, between the JSON lines of a server's log.
// Tributary reports such fields itself. Panics of the Go runtime are still printed.
func takeStderr() *os.File {
	stderr := os.Stderr
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	return stderr
}

// exitOnSignal exits a while after the first signal, because a kustomize build cannot be
// interrupted. A second signal ends the process at once.
func exitOnSignal(stop context.CancelFunc, stderr io.Writer) {
	stop()
	time.Sleep(shutdownTimeout)
	fmt.Fprintln(stderr, "tributary: stopped by a signal before it was done")
	os.Exit(1)
}

// shutdownTimeout is longer than the server waits for its last requests.
const shutdownTimeout = 25 * time.Second

// named requires one argument for each name, and names the first one that is missing.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s: name a %s; see tributary %[1]s --help", path, names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%s: unexpected argument %q; see tributary %[1]s --help", path, args[len(names)])
		}
		return nil
	}
}

// withSubcommands adds subcommands to a command that does nothing by itself. Without a known
// subcommand it returns an error that lists them. noun says what their names stand for.
func withSubcommands(cmd *cobra.Command, noun string, subcommands ...*cobra.Command) *cobra.Command {
	names := make([]string, len(subcommands))
	for i, sub := range subcommands {
		names[i] = sub.Name()
	}
	last := len(names) - 1
	list := strings.Join(names[:last], ", ") + " or " + names[last]
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s: name a %s: %s; see tributary %[1]s --help", cmd.Name(), noun, list)
		}
		return fmt.Errorf("%s: unknown %s %q: must be %s", cmd.Name(), noun, args[0], list)
	}
	cmd.RunE = func(*cobra.Command, []string) error { return nil }
	cmd.AddCommand(subcommands...)
	return cmd
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tributary",
		Short: "Render a fleet of clusters from Git and serve each one's inputs to Flux",
		Long: `Tributary reads a fleet repo (kustomize bases and overlays, and a small file for each
cluster), computes the inputs of every cluster, and serves them to the cluster's Flux
Operator, which polls for them.

Every flag can also be set by an environment variable: --tokens-file by
TRIBUTARY_TOKENS_FILE, and so on.`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flags.FromEnvironment(cmd.Flags()) },
	}
	root.SetUsageFunc(usage.Print)
	root.SetFlagErrorFunc(usage.FlagError)
	root.AddCommand(newServe(), newRender(), newValidate(), newDiff(), newPush(),
		newStatus(), newGet(), newCompare(), newEvents(), newWait(), newPatch(), newApply(), newDelete(), newRollback(), newRelease(), newPin(), newUnpin(),
		newLabel(), newDecommission(), newRecommission(), newToken(), newRegister(), newBootstrap(),
		newVersion(), newWhoami())
	complete.Names(root)
	return root
}
