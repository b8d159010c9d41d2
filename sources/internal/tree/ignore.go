package tree

import (
	"bytes"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// IgnoreFile is the name of the files that name what Flux leaves out.
const IgnoreFile = sourceignore.IgnoreFile

// Ignore returns the tree without the files that Flux leaves out: those that it
// excludes by default, such as images and the files of CI systems, and those
// that the ignore files in the tree name. It also returns their names.
// Directories in which nothing is ignored keep their nodes.
func (t *Tree) Ignore(ignoreFiles ...string) (kept *Tree, ignored []string) {
	w := ignorer{names: ignoreFiles}
	w.collect(t.Root, nil)
	w.matcher = sourceignore.NewDefaultMatcher(w.patterns, nil)
	return &Tree{w.prune(t.Root, nil)}, w.ignored
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
// ignored directory can be included again.
func (w *ignorer) prune(n *Node, at []string) *Node {
	children := make([]*Node, 0, len(n.Children))
	changed := false
	for _, child := range n.Children {
		within := append(slices.Clip(at), child.Base)
		kept := child
		switch {
		case len(child.Children) > 0:
			if kept = w.prune(child, within); len(kept.Children) == 0 {
				kept = nil
			}
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
