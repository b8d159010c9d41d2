package flags

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// FromEnvironment sets every flag that the command line does not set from its environment
// variable.
func FromEnvironment(set *pflag.FlagSet) error {
	var wrong error
	set.VisitAll(func(f *pflag.Flag) {
		name := "TRIBUTARY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, found := os.LookupEnv(name)
		if !found || f.Changed || wrong != nil {
			return
		}
		if err := set.Set(f.Name, value); err != nil {
			wrong = fmt.Errorf("%s=%q: %w", name, value, err)
		}
	})
	return wrong
}
