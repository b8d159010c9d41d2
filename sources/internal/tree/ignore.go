package tree

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// IgnoreFile is the name of the files that name what Flux leaves out.
const IgnoreFile = sourceignore.IgnoreFile

// FleetFile at the root is never left out. Repositories of Flux often ignore everything but a
// few directories, and without the file there is no fleet.
const FleetFile = "fleet.yaml"

// Ignore returns the tree without the files that Flux leaves out: those that it
// excludes by default, such as images and the files of CI systems, and those
// that the ignore files in the tree name. It also returns their names.
// Directories in which nothing is ignored keep their nodes.
//
// If previous, which may be nil, is what was kept of an earlier tree by the same
// patterns, its files are not matched again. To match each of ten thousand files
// takes longer than the rest of reading a commit that changes one of them.
func (t *Tree) Ignore(previous *Tree, ignoreFiles ...string) (kept *Tree, ignored []string) {
	w := ignorer{names: ignoreFiles}
	w.collect(t.Root, nil)
	w.matcher = sourceignore.NewDefaultMatcher(w.patterns, nil)
	var known *Node
	if previous != nil && reflect.DeepEqual(previous.patterns, w.patterns) {
		known = previous.Root
	}
	return &Tree{Root: w.prune(t.Root, known, nil), patterns: w.patterns}, w.ignored
}

type ignorer struct {
	names    []string
	patterns []gitignore.Pattern
	matcher  gitignore.Matcher
	ignored  []string
}

// collect reads the ignore files from the root down, because those below take
// precedence.
func (w *ignorer) collect(n *Node, at []string) {
	for _, name := range w.names {
		if file := n.Child(name); file != nil && file.Mode.IsRegular() {
			w.patterns = append(w.patterns, sourceignore.ReadPatterns(bytes.NewReader(file.Data), at)...)
		}
	}
	for _, child := range n.Children {
		if child.IsDir() {
			w.collect(child, append(slices.Clip(at), child.Base))
		}
	}
}

// prune matches files and not directories, as Flux does, so a file of an
// ignored directory can be included again. What known, the same directory as it
// was kept before, has is kept.
func (w *ignorer) prune(n, known *Node, at []string) *Node {
	children := make([]*Node, 0, len(n.Children))
	changed := false
	for _, child := range n.Children {
		within := append(slices.Clip(at), child.Base)
		kept := child
		before := known.Child(child.Base)
		switch {
		case len(child.Children) > 0:
			if kept = w.prune(child, before, within); len(kept.Children) == 0 {
				kept = nil
			}
		case before != nil && len(before.Children) == 0 && before.IsDir() == child.IsDir():
		case len(at) == 0 && child.Base == FleetFile && !child.IsDir():
		case w.matcher.Match(within, child.IsDir()):
			w.ignored = append(w.ignored, strings.Join(within, "/"))
			kept = nil
		}
		if changed = changed || kept != child; kept != nil {
			children = append(children, kept)
		}
	}
	if !changed {
		return n
	}
	return &Node{Base: n.Base, Mode: n.Mode, Children: children}
}
