package preview

import (
	"fmt"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// clusterLines describes which clusters a change adds, orphans, renames or re-owns, and what that
// does to lists of clusters. Losses come first.
func clusterLines(i *fleet.Impact) (all []effectLine) {
	add := func(mark byte, format string, args ...any) {
		all = append(all, effectLine{mark, textfmt.Visible(fmt.Sprintf(format, args...))})
	}
	names := func(clusters []string) string { return textfmt.List(clusters, maxNames) }
	if n := len(i.Orphaned); n > 0 {
		add('-', "%s would be orphaned, because the file vanishes, and stay as it is: %s", textfmt.Count(n, "cluster"), names(i.Orphaned))
	}
	for _, line := range aroundLines(i.Reowned, i.Lists) {
		add(line.mark, "%s", line.text)
	}
	same := map[string]string{fleet.RenamedByDNS: "dns", fleet.RenamedByContent: "content"}
	for _, r := range i.Renamed {
		add('~', "cluster %s seems to be renamed to %s: both have the same %s", r.From, r.To, same[r.By])
	}
	if n := len(i.New); n > 0 {
		add('+', "%s: %s", textfmt.Count(n, "new cluster"), names(i.New))
	}
	return all
}

// aroundLines describes what changes for those who poll by a dns, or poll a list of clusters.
func aroundLines(reowned []fleet.ReownedName, lists []fleet.ListEffect) (all []effectLine) {
	for _, r := range reowned {
		all = append(all, effectLine{'-', fmt.Sprintf("dns %s finds cluster %s instead of %s", r.DNS, r.To, r.From)})
	}
	for _, l := range lists {
		name := "the list of all clusters"
		if l.Selector != "" {
			name = "the list of clusters with " + l.Selector
		}
		if n := len(l.Removed); n > 0 {
			all = append(all, effectLine{'-', fmt.Sprintf("%s loses %d of %d: %s", name, n, l.Before, textfmt.List(l.Removed, maxNames))})
		}
		if n := len(l.Added); n > 0 {
			all = append(all, effectLine{'+', fmt.Sprintf("%s gains %d: %s", name, n, textfmt.List(l.Added, maxNames))})
		}
	}
	return all
}

// Around describes, one a line, what a write changes for those who poll by a dns, or poll a list of
// clusters.
func Around(r *fleet.Result) (lines []string) {
	for _, line := range aroundLines(r.Reowned, r.Lists) {
		lines = append(lines, textfmt.Visible(line.text))
	}
	return lines
}
