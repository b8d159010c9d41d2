package remote

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
)

// BindName is Bind for a command that --confirm confirms by the name of what it removes.
func (f *WriteFlags) BindName(cmd *cobra.Command, noun string) {
	f.Bind(cmd)
	flag := cmd.PersistentFlags().Lookup("confirm")
	flag.Usage = "confirm by the name of the " + noun + ", instead of retyping it on a terminal"
}

// ConfirmName confirms a command by the name of what it removes: by --confirm, or by what is retyped on
// a terminal. Call it after the user has seen what goes.
func (f *WriteFlags) ConfirmName(cmd *cobra.Command, noun, name string) error {
	given := f.confirm
	if given == "" {
		in := terminal.Is(cmd.InOrStdin())
		if in == nil {
			return fmt.Errorf("%s: nothing was changed; if this is intended, repeat the command with --confirm %s", cmd.Name(), name)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "To go on, type the name of the %s: ", noun)
		line, err := bufio.NewReader(in).ReadString('\n')
		if given = strings.TrimSpace(line); err != nil && given == "" {
			return fmt.Errorf("%s: no name was typed, and nothing was changed", cmd.Name())
		}
	}
	if given != name {
		return fmt.Errorf("%s: %q is not the name of the %s, which is %q; nothing was changed", cmd.Name(), given, noun, name)
	}
	f.confirm = name
	return nil
}
