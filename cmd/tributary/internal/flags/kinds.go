package flags

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Clusters choose clusters: by labels, and by what they are.
type Clusters struct {
	Selector string
	kinds    []clusterKind
}

type clusterKind struct {
	name, about string
	wanted      bool
}

// KindsHelp says what the kinds mean.
const KindsHelp = `Some flags leave the clusters that they are true of; several leave those that all of them
are true of. A decommissioned cluster is none of these:

  --late      it has missed three polls in a row of a set, and has not polled for a minute
  --behind    it lacks the release that the fleet goes to: it is kept on another one, or has
              not polled since
  --failing   the release that it should be on is not valid for it, or its polls are
              answered with an error
  --orphaned  its file has vanished from the fleet repo`

// Bind adds the flags to a command.
func (c *Clusters) Bind(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.Selector, "selector", "l", "", "labels of the clusters to show, in the syntax of kubectl")
	c.kinds = []clusterKind{
		{name: "late", about: "only clusters that no longer poll"},
		{name: "behind", about: "only clusters that lack the release that the fleet goes to"},
		{name: "failing", about: "only clusters that their release is not valid for"},
		{name: "orphaned", about: "only clusters whose file has vanished"},
	}
	for i := range c.kinds {
		cmd.Flags().BoolVar(&c.kinds[i].wanted, c.kinds[i].name, false, c.kinds[i].about)
	}
}

// Kinds returns the names of the kinds that are wanted.
func (c *Clusters) Kinds() (names []string) {
	for _, k := range c.kinds {
		if k.wanted {
			names = append(names, k.name)
		}
	}
	return names
}

// Check returns an error if clusters are chosen in two ways.
func (c *Clusters) Check(names []string) error {
	switch kinds := c.Kinds(); {
	case len(names) == 0:
		return nil
	case c.Selector != "":
		return errors.New("get clusters: use names or --selector, not both")
	case len(kinds) > 0:
		return fmt.Errorf("get clusters: use names or --%s, not both", kinds[0])
	}
	return nil
}
