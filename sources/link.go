package sources

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// maxLinks is how many symbolic links one path may lead through; Linux's own number.
const maxLinks = 40

// find returns what name stands for, following symbolic links.
func (t *tree) find(op, name string) (*node, error) {
	n, err := t.walk(op, name, true)
	if err == nil && n.err != nil {
		return nil, n.err
	}
	return n, err
}

// findLink returns what stands at name, be it a symbolic link or unreadable.
func (t *tree) findLink(op, name string) (*node, error) {
	return t.walk(op, name, false)
}

func (t *tree) walk(op, name string, follow bool) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	w := walker{at: []*node{t.root}}
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

// walker goes through a tree name by name, as a kernel does: a link's target is
// relative to the directory in which the link really lies.
type walker struct {
	// at are the nodes from the root to where the walk is.
	at    []*node
	todo  []step
	links int
}

// step is a name to go to, and the link whose target it comes from; nil for a
// name of the path that was asked for.
type step struct {
	name string
	link *link
}

type link struct{ path, target string }

func (w *walker) here() *node { return w.at[len(w.at)-1] }

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
	if err := w.here().err; err != nil {
		return err
	}
	if !w.here().mode.IsDir() {
		return fs.ErrNotExist
	}
	switch next.name {
	case "", ".":
		return nil
	case "..": // Only a link's target can have it: fs.ValidPath refuses it in a name.
		if len(w.at) == 1 {
			return next.link.leadsOut()
		}
		w.at = w.at[:len(w.at)-1]
		return nil
	}
	n := w.here().child(next.name)
	if n == nil {
		return fs.ErrNotExist
	}
	if n.isLink() && (follow || len(w.todo) > 0) {
		return w.follow(n)
	}
	w.at = append(w.at, n)
	return nil
}

func (w *walker) follow(n *node) error {
	l := &link{path: w.path(n.name), target: string(n.data)}
	if w.links++; w.links > maxLinks {
		return &fault{l.path, "symbolic link to " + printable(l.target) + " leads in a circle; point it at a file"}
	}
	if path.IsAbs(l.target) {
		return l.leadsOut()
	}
	w.push(l.target, l)
	return nil
}

// path is where the walk is, with a name below it.
func (w *walker) path(name string) string {
	names := make([]string, 0, len(w.at))
	for _, n := range w.at[1:] {
		names = append(names, n.name)
	}
	return strings.Join(append(names, name), "/")
}

func (l *link) leadsOut() error {
	return &fault{l.path, "symbolic link to " + printable(l.target) + " leads out of the fleet repo; replace it with a copy"}
}
