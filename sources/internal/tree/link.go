package tree

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// maxLinks is the maximum number of symbolic links in one path. It is Linux's
// own limit.
const maxLinks = 40

// find returns the node at name, following symbolic links.
func (t *Tree) find(op, name string) (*Node, error) {
	n, err := t.Lookup(op, name, true)
	if err == nil && n.Err != nil {
		return nil, n.Err
	}
	return n, err
}

// Lookup returns the node at name, even one that cannot be opened. It follows a
// symbolic link in the last element only if follow is true. Errors name op.
func (t *Tree) Lookup(op, name string, follow bool) (*Node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	w := walker{at: []*Node{t.Root}}
	w.push(name, nil)
	for len(w.todo) > 0 {
		if err := w.step(follow); errors.Is(err, fs.ErrNotExist) {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		} else if err != nil {
			return nil, err
		}
	}
	return w.here(), nil
}

// walker walks through a tree one path element at a time, as a kernel does: the
// target of a link is relative to the directory that contains the link.
type walker struct {
	// at are the nodes from the root to the current position.
	at    []*Node
	todo  []step
	links int
}

// step is a path element, and the link whose target contains it; nil for an
// element of the requested path.
type step struct {
	name string
	link *link
}

type link struct{ path, target string }

func (w *walker) here() *Node { return w.at[len(w.at)-1] }

func (w *walker) push(path string, from *link) {
	names := strings.Split(path, "/")
	todo := make([]step, 0, len(names)+len(w.todo))
	for _, name := range names {
		todo = append(todo, step{name, from})
	}
	w.todo = append(todo, w.todo...)
}

func (w *walker) step(follow bool) error {
	next := w.todo[0]
	w.todo = w.todo[1:]
	if err := w.here().Err; err != nil {
		return err
	}
	if !w.here().Mode.IsDir() {
		return fs.ErrNotExist
	}
	switch next.name {
	case "", ".":
		return nil
	case "..": // Only a link's target can contain it, because fs.ValidPath refuses it.
		if len(w.at) == 1 {
			return next.link.leadsOut()
		}
		w.at = w.at[:len(w.at)-1]
		return nil
	}
	n := w.here().Child(next.name)
	if n == nil {
		return fs.ErrNotExist
	}
	if n.IsLink() && n.Err == nil && (follow || len(w.todo) > 0) {
		return w.follow(n)
	}
	w.at = append(w.at, n)
	return nil
}

func (w *walker) follow(n *Node) error {
	l := &link{path: w.path(n.Base), target: string(n.Data)}
	if w.links++; w.links > maxLinks {
		return NewFault(l.path, "symbolic link to %s leads in a circle; point it at a file", message.Printable(l.target))
	}
	if path.IsAbs(l.target) {
		return l.leadsOut()
	}
	w.push(l.target, l)
	return nil
}

// path returns the path of a name in the current directory.
func (w *walker) path(name string) string {
	names := make([]string, 0, len(w.at))
	for _, n := range w.at[1:] {
		names = append(names, n.Base)
	}
	return strings.Join(append(names, name), "/")
}

func (l *link) leadsOut() error {
	return NewFault(l.path, "symbolic link to %s leads out of the fleet repo; replace it with a copy", message.Printable(l.target))
}
