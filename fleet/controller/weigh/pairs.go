package weigh

import (
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Pairs returns the clusters that are not the same in two views, sorted by name. Before may be nil.
func Pairs(before, after *view.View) []impact.Pair {
	var old []*view.Member
	if before != nil {
		old = before.Members()
	}
	var found []impact.Pair
	for now := after.Members(); len(old)+len(now) > 0; {
		var a, b *view.Member
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Cluster.Name < now[0].Cluster.Name:
			a, old = old[0], old[1:]
		case len(old) == 0 || now[0].Cluster.Name < old[0].Cluster.Name:
			b, now = now[0], now[1:]
		default:
			a, b, old, now = old[0], now[0], old[1:], now[1:]
		}
		if p, differ := pair(a, b); differ {
			found = append(found, p)
		}
	}
	return found
}

// pairsOf returns those of some clusters, which are sorted.
func pairsOf(before, after *view.View, names []string) []impact.Pair {
	var found []impact.Pair
	for _, name := range names {
		if p, differ := pair(before.Named(name), after.Named(name)); differ {
			found = append(found, p)
		}
	}
	return found
}

func pair(a, b *view.Member) (p impact.Pair, differ bool) {
	if a != nil {
		p.Cluster, p.Before = a.Cluster.Name, &a.Rendered
	}
	if b != nil {
		p.Cluster, p.After = b.Cluster.Name, &b.Rendered
	}
	return p, !view.SameRendering(a, b)
}
