package impact

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// Sum adds up what changes for all clusters, with clusters for which the same changes as one group.
// The impact has no digest yet.
func Sum(diffs []Diff) *fleet.Impact {
	sum := &fleet.Impact{Clusters: len(diffs)}
	groups := map[[sha256.Size]byte]int{}
	for _, d := range diffs {
		count(sum, d.group.Changes)
		at, known := groups[d.key]
		if !known {
			at = len(sum.Groups)
			groups[d.key] = at
			sum.Groups = append(sum.Groups, d.group)
		}
		sum.Groups[at].Clusters = append(sum.Groups[at].Clusters, d.Cluster)
	}
	slices.SortStableFunc(sum.Groups, func(a, b fleet.ImpactGroup) int {
		return cmp.Or(
			cmp.Compare(lost(&b), lost(&a)),
			cmp.Compare(len(b.Clusters), len(a.Clusters)),
			cmp.Compare(a.Clusters[0], b.Clusters[0]),
		)
	})
	return sum
}

func count(sum *fleet.Impact, changes []fleet.InputEffect) {
	for _, c := range changes {
		switch c.Effect {
		case fleet.Added:
			sum.Added++
		case fleet.Changed:
			sum.Changed++
			sum.Fields += len(c.Fields)
		case fleet.Removed:
			sum.Removed++
		case fleet.Moved:
			sum.Moved++
		}
	}
}

// SetDigest sets the digest of an impact: of all that it says, and of the clusters that the release
// that has it is not valid for. It does not depend on the revision, so that a commit can name the
// digest of its own impact.
func SetDigest(i *fleet.Impact, failing []fleet.FailingCluster) {
	i.Digest = ""
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", fleet.EncodeJSON(i))
	for _, f := range failing {
		fmt.Fprintln(h, f.Cluster)
	}
	i.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// LossesOf returns what clusters lose by an impact, as the change log keeps it.
func LossesOf(i *fleet.Impact) []fleet.LossGroup {
	var all []fleet.LossGroup
	places := map[string]int{}
	for _, g := range i.Groups {
		inputs := lostInputs(&g)
		if len(inputs) == 0 {
			continue
		}
		slices.SortFunc(inputs, compareRefs)
		key := string(fleet.EncodeJSON(inputs))
		at, known := places[key]
		if !known {
			at = len(all)
			places[key], all = at, append(all, fleet.LossGroup{Inputs: inputs})
		}
		all[at].Clusters = append(all[at].Clusters, g.Clusters...)
	}
	for _, g := range all {
		slices.Sort(g.Clusters)
	}
	if len(i.Orphaned) > 0 {
		all = append(all, fleet.LossGroup{Clusters: i.Orphaned, Orphaned: true})
	}
	for _, l := range i.Lists {
		if len(l.Removed) > 0 {
			all = append(all, fleet.LossGroup{Clusters: l.Removed, Lists: []string{l.Selector}})
		}
	}
	return all
}

// Covers reports whether all that an impact removes, the approved impact removes as well. The
// approved impact may be nil, and covers nothing then.
func Covers(approved, i *fleet.Impact) bool {
	if approved == nil {
		return false
	}
	allowed := map[string]bool{}
	for loss := range losses(approved) {
		allowed[loss] = true
	}
	for loss := range losses(i) {
		if !allowed[loss] {
			return false
		}
	}
	return true
}

// losses yields a text for each thing that each cluster loses, and each that is lost to those who poll
// by a dns or a list.
func losses(i *fleet.Impact) iter.Seq[string] {
	return func(yield func(string) bool) {
		var around []string
		for _, name := range i.Orphaned {
			around = append(around, name+" file")
		}
		for _, r := range i.Reowned {
			around = append(around, r.DNS+" owner "+r.To)
		}
		for _, l := range i.Lists {
			for _, name := range l.Removed {
				around = append(around, name+" list "+l.Selector)
			}
		}
		for _, loss := range around {
			if !yield(loss) {
				return
			}
		}
		for _, g := range i.Groups {
			var names []string
			for _, input := range lostInputs(&g) {
				names = append(names, " input "+input.String())
			}
			for _, set := range slices.Concat(g.Vanished, g.Emptied) {
				names = append(names, " set "+set)
			}
			for _, part := range g.StaleParts {
				names = append(names, " part "+part)
			}
			for _, name := range names {
				for _, cluster := range g.Clusters {
					if !yield(cluster + name) {
						return
					}
				}
			}
		}
	}
}

// lost returns how many inputs each cluster of the group loses. An input that moves is lost.
func lost(g *fleet.ImpactGroup) (n int) {
	for _, c := range g.Changes {
		if c.Effect == fleet.Removed || c.Effect == fleet.Moved {
			n++
		}
	}
	return n
}

// lostInputs returns the inputs that each cluster of the group loses.
func lostInputs(g *fleet.ImpactGroup) (lost []fleet.InputRef) {
	for _, c := range g.Changes {
		if c.Effect == fleet.Removed || c.Effect == fleet.Moved {
			lost = append(lost, fleet.InputRef{Set: c.Set, ID: c.ID})
		}
	}
	return lost
}

// Losses describes in one line which inputs an impact removes, for the first few groups.
func Losses(i *fleet.Impact, groups int) string {
	var all []string
	for _, g := range i.Groups {
		var inputs []string
		for _, in := range lostInputs(&g) {
			inputs = append(inputs, in.String())
		}
		if len(inputs) == 0 {
			continue
		}
		if len(all) == groups {
			all = append(all, "…")
			break
		}
		all = append(all, fmt.Sprintf("%s of %d clusters (%s)", strings.Join(inputs, ", "), len(g.Clusters), abbreviate(g.Clusters, 3)))
	}
	return strings.Join(all, "; ")
}

// abbreviate joins the first few of some names.
func abbreviate(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
