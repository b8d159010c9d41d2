// Command tributary renders fleet repos and serves their clusters' inputs to
// Flux. This package is wiring: flags in, exit code out. It is the only place
// that knows all rooms, and it holds no rule of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { end(stop) })
	cmd, err := newRoot().ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "tributary: interrupted")
	case !errors.Is(err, exitcode.ErrReported):
		fmt.Fprintln(os.Stderr, "tributary:", err)
	}
	return exitcode.Of(cmd, err)
}

// end sees to it that the first signal ends the process even where kustomize is
// at work, which cannot be interrupted, and that a second one does at once.
func end(stop context.CancelFunc) {
	stop()
	time.Sleep(patienceWithLibraries)
	fmt.Fprintln(os.Stderr, "tributary: ended by a signal, in the middle of its work")
	os.Exit(1)
}

// patienceWithLibraries is longer than the server takes to let requests end.
const patienceWithLibraries = 25 * time.Second

// named wants one argument for each name, and says which one is missing.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s: name a %s; see tributary %[1]s --help", path, names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%s: %q is one argument too many; see tributary %[1]s --help", path, args[len(names)])
		}
		return nil
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tributary",
		Short: "Render a fleet of clusters from Git and serve each one's inputs to Flux",
		Long: `Tributary takes a fleet repo (kustomize bases and overlays, and a small file per
cluster), computes the inputs of every cluster, and serves them to the Flux
Operator that polls for them.

Every flag can also be set by the environment: --tokens-file by
TRIBUTARY_TOKENS_FILE, and so on.`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	root.AddCommand(newServe(), newRender(), newValidate(), newDiff(), newPush(),
		newGet(), newPatch(), newApply(), newDelete(), newRollback(), newRelease(), newPin(), newUnpin(),
		newLabel(), newDecommission(), newToken(), newRegister(), newBootstrap())
	return root
}

// fromEnvironment sets every flag that the command line leaves out and the
// environment has.
func fromEnvironment(flags *pflag.FlagSet) error {
	var wrong error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "TRIBUTARY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, set := os.LookupEnv(name)
		if !set || f.Changed || wrong != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			wrong = fmt.Errorf("%s=%q: %w", name, value, err)
		}
	})
	return wrong
}
