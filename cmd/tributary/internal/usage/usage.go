// Package usage prints the usage of a command. The flags that name the server, which most
// commands share, come last and once:
//
//	root.SetUsageFunc(usage.Print)
//	usage.MarkServer(cmd.PersistentFlags(), "server", "token-file")
package usage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ServerHelp describes the flags that name the server.
const ServerHelp = `The server is that of --server or TRIBUTARY_SERVER. The token is read from --token-file,
or else from TRIBUTARY_TOKEN. It cannot be given on the command line, and is never sent
unencrypted to another machine.`

const serverFlag = "tributary-server"

// MarkServer marks flags as naming the server.
func MarkServer(set *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flag := set.Lookup(name)
		if flag.Annotations == nil {
			flag.Annotations = map[string][]string{}
		}
		flag.Annotations[serverFlag] = []string{}
	}
}

// IsServer reports whether a flag names the server.
func IsServer(flag *pflag.Flag) bool {
	_, is := flag.Annotations[serverFlag]
	return is
}

// Print prints the usage of a command: its forms, aliases, examples, subcommands and flags.
func Print(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
	} else {
		for form := range strings.SplitSeq(cmd.UseLine(), ", or ") {
			form = strings.TrimSuffix(strings.TrimPrefix(form, cmd.Parent().CommandPath()+" "), " [flags]")
			fmt.Fprintf(&b, "  %s %s [flags]\n", cmd.Parent().CommandPath(), form)
		}
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAliases:\n  %s\n", cmd.NameAndAliases())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	printCommands(&b, cmd)
	own, server := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	add := func(flag *pflag.Flag) {
		set := own
		if IsServer(flag) {
			set = server
		}
		if set.Lookup(flag.Name) == nil {
			set.AddFlag(flag)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	if own.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", own.FlagUsagesWrapped(width))
	}
	if server.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nServer:\n%s\n%s\n", server.FlagUsagesWrapped(width), ServerHelp)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s COMMAND --help\" for more about a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// FlagError returns the error of a flag that cannot be parsed, without the names of Go functions.
func FlagError(_ *cobra.Command, err error) error {
	before, number, found := strings.Cut(err.Error(), ": strconv.Parse")
	if !found {
		return err
	}
	kind := "a whole number"
	switch {
	case strings.HasPrefix(number, "Float"):
		kind = "a number"
	case strings.HasPrefix(number, "Bool"):
		kind = "true or false"
	}
	return errors.New(before + ": must be " + kind)
}

// width is the width of help texts, in columns.
const width = 100

func printCommands(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	b.WriteString("\nCommands:\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			fmt.Fprintf(b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
		}
	}
}
