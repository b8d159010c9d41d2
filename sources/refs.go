package sources

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tributary-gitops/tributary/fleet"
)

const branchPrefix = "refs/heads/"

// tip is the commit that a branch is at.
type tip struct {
	name string
	hash plumbing.Hash
}

// revision is what Flux calls it.
func (t tip) revision() string { return t.name + "@sha1:" + t.hash.String() }

// branch finds a branch; "" stands for the one that HEAD points to.
func (r *remote) branch(name string) (tip, error) {
	if name == "" {
		return r.head()
	}
	hash, ok := r.refs.References[branchPrefix+name]
	if !ok {
		return tip{}, fmt.Errorf("branch %s: %w; %s", printable(name), fleet.ErrNotFound, r.branches())
	}
	return tip{name, hash}, nil
}

func (r *remote) head() (tip, error) {
	if r.refs.Head == nil {
		return tip{}, fmt.Errorf("default branch: %w; name one with ?ref=, %s", fleet.ErrNotFound, r.branches())
	}
	for _, link := range r.refs.Capabilities.Get(capability.SymRef) {
		if name, ok := strings.CutPrefix(link, "HEAD:"+branchPrefix); ok {
			return tip{name, *r.refs.Head}, nil
		}
	}
	return tip{"HEAD", *r.refs.Head}, nil // Detached, or a server that does not tell.
}

// branches tells a few of those that exist, for someone who misspelt one.
func (r *remote) branches() string {
	const few = 5
	var names []string
	for ref := range r.refs.References {
		if name, ok := strings.CutPrefix(ref, branchPrefix); ok {
			names = append(names, printable(name))
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "there are no branches"
	case len(names) > few:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	case len(names) == 1:
		return "there is " + names[0]
	}
	last := len(names) - 1
	return fmt.Sprintf("there are %s and %s", strings.Join(names[:last], ", "), names[last])
}
