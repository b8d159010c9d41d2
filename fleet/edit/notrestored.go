package edit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// unrestored says of the kinds of changes that Restore does not undo what became of what, and what to do.
var unrestored = []struct {
	kind         fleet.ChangeKind
	noun, advice string
}{
	{fleet.Decommissioned, "decommissioned", "recommission it to bring it back"},
	{fleet.Recommissioned, "recommissioned", "decommission it to end it again"},
	{fleet.Purged, "purged", "it does not come back"},
	{fleet.Registered, "registered", "it stays, and so does its token"},
	{fleet.Written, "declared", "it stays"},
	{fleet.WentLive, "live", "to go back to an earlier release, pin it"},
	{fleet.Pinned, "set or removed", "change the pin itself"},
}

// maxNamed is how many things are named in one sentence.
const maxNamed = 3

// NotRestored returns one sentence for each kind of change after a generation that Restore does not undo.
// The changes are those since then, newest first. Only is as for Restore: of the delta of a cluster,
// changes of other clusters do not matter.
func NotRestored(changes []fleet.Change, only string) (sentences []string) {
	owner, own := strings.CutPrefix(only, fleet.OwnID(""))
	found := map[fleet.ChangeKind][]string{}
	ended := map[string]bool{} // clusters whose last end or return is known
	for i := range changes {
		c := &changes[i]
		for _, name := range namesOf(c) {
			if c.Kind == fleet.Decommissioned || c.Kind == fleet.Recommissioned || c.Kind == fleet.Purged {
				if ended[name] {
					continue
				}
				ended[name] = true
			}
			found[c.Kind] = append(found[c.Kind], name)
		}
	}
	for _, u := range unrestored {
		names := found[u.kind]
		if own && u.kind != fleet.WentLive && u.kind != fleet.Pinned {
			names = slices.DeleteFunc(names, func(name string) bool { return name != "cluster "+owner })
		} else if only != "" && u.kind != fleet.WentLive {
			continue
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) == 0 {
			continue
		}
		text := strings.Join(names[:min(len(names), maxNamed)], ", ")
		if more := len(names) - maxNamed; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		verb := "was "
		switch {
		case u.kind == fleet.WentLive:
			verb = "went "
		case len(names) > 1:
			verb = "were "
		}
		sentences = append(sentences, fmt.Sprintf("%s %s%s since, which is not undone: %s", text, verb, u.noun, u.advice))
	}
	return sentences
}

// namesOf returns what a change was about.
func namesOf(c *fleet.Change) (names []string) {
	switch {
	case c.Kind == fleet.WentLive && c.Release != nil:
		return []string{"release " + c.Release.Ref.Revision}
	case c.Kind == fleet.Pinned:
		for _, p := range c.Pins {
			names = append(names, "pin "+p.Pin)
		}
		return names
	case c.Kind == fleet.Registered:
		for _, cluster := range c.Clusters {
			names = append(names, "cluster "+cluster)
		}
		return names
	}
	for _, r := range c.Records {
		if c.Kind != fleet.Written || r.After.IsDeclared() && !r.Before.IsDeclared() {
			names = append(names, "cluster "+r.Cluster)
		}
	}
	return names
}
