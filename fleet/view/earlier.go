package view

import (
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Earlier is what was rendered for a change that must be rendered once more, since another change came
// before it. Give Views to Build or Next, and add ProblemsIn the next view to the problems of those. The
// zero value is nothing.
type Earlier struct {
	View     *View
	Problems fleet.Problems // of rendering it
}

// Views returns the view to take members from. There is none where a problem is shared: it is unknown
// which clusters have it.
func (e Earlier) Views() []*View {
	if e.View == nil || slices.ContainsFunc(e.Problems, func(p fleet.Problem) bool { return p.Cluster == "" }) {
		return nil
	}
	return []*View{e.View}
}

// ProblemsIn returns the problems of the members that another view has taken.
func (e Earlier) ProblemsIn(next *View) (taken fleet.Problems) {
	if len(e.Views()) == 0 {
		return nil
	}
	for _, p := range e.Problems {
		if m := next.Named(p.Cluster); m != nil && m == e.View.Named(p.Cluster) {
			taken = append(taken, p)
		}
	}
	return taken
}
