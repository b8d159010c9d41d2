package tree

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Builder builds a tree from entries in any order, such as the entries of an
// archive. Their names have been checked by entryName.
type Builder struct {
	budget Budget
	// unpacked is the number of bytes that may still be unpacked, and entries
	// the number of entries that may still be read, whether kept or not.
	unpacked int64
	entries  int
	// within is the directory that becomes the root; empty for the whole tree.
	// Entries elsewhere are left out.
	within string
	// found is true if there is such a directory.
	found bool
	// last is a tree whose memory unchanged files share.
	last *Tree
	// directories are keyed by their path below within; the root is ".".
	directories map[string]*dirBuilder
	buffer      []byte
}

// dirBuilder is a directory that is being built.
type dirBuilder struct {
	name, path string
	// children that are directories have incomplete nodes until the tree is
	// built.
	children map[string]*Node
}

// NewBuilder returns a Builder of the tree below a directory, which is empty for
// the whole tree. Files that are the same in the last tree, which may be nil,
// share its memory.
func NewBuilder(limits Limits, within string, last *Tree) *Builder {
	if last == nil {
		last = New(&Node{})
	}
	b := &Builder{
		budget: Budget{Limits: limits}, unpacked: MaxUnpacked(limits), entries: maxEntries(limits),
		within: within, found: within == "", last: last,
	}
	b.directories = map[string]*dirBuilder{".": newDirBuilder(".", "")}
	return b
}

func newDirBuilder(name, path string) *dirBuilder {
	return &dirBuilder{name: name, path: path, children: map[string]*Node{}}
}

// relative returns the path below within, and whether the name is within it.
func (b *Builder) relative(name string) (string, bool) {
	if b.within == "" || name == b.within {
		b.found = true
		return path.Clean(strings.TrimPrefix(name, b.within)), true
	}
	rest, ok := strings.CutPrefix(name, b.within+"/")
	b.found = b.found || ok
	return rest, ok
}

// AddDirectory adds a directory, which may exist already, because several
// layers may contain it. Directories of .git are left out: a checkout has them,
// but a tree does not.
func (b *Builder) AddDirectory(name string) error {
	name, ok := b.relative(name)
	if !ok || inGit(name) {
		return nil
	}
	_, err := b.directory(name)
	return err
}

// AddFile adds a regular file and reads its content.
func (b *Builder) AddFile(name string, mode fs.FileMode, size int64, content io.Reader) error {
	return b.add(name, func(name string) (*Node, error) {
		if err := b.budget.File(name, size); err != nil {
			return nil, err
		}
		data, err := b.content(name, size, content)
		return NewFile(name, mode&0o111 != 0, data), err
	})
}

// addLink adds a symbolic link with any target. A target outside of the tree is
// an error only when the link is opened.
func (b *Builder) addLink(name, target string) error {
	return b.add(name, func(name string) (*Node, error) {
		return &Node{Base: path.Base(name), Mode: ModeLink, Data: []byte(target)}, b.budget.Link(name, int64(len(target)))
	})
}

// AddUnusable adds an entry with a fault, which IsLocal.
func (b *Builder) AddUnusable(name string, mode fs.FileMode, fault error) error {
	parent, err := b.directory(path.Dir(name))
	if err != nil || parent == nil {
		return err
	}
	base := path.Base(name)
	_, err = b.put(parent, base, mode, func(string) (*Node, error) { return nil, fault })
	if err == nil {
		parent.children[base].Err = fault // also if the name has one
	}
	return err
}

func (b *Builder) add(name string, read func(name string) (*Node, error)) error {
	if b.within != "" && (name == b.within || strings.HasPrefix(b.within, name+"/")) {
		return WrongPath(name, "is a file or a symbolic link, not a directory; name the directory itself")
	}
	name, ok := b.relative(name)
	if !ok || inGit(name) {
		return nil
	}
	parent, err := b.directory(path.Dir(name))
	if err != nil || parent == nil {
		return err
	}
	_, err = b.put(parent, path.Base(name), modeFile, read)
	return err
}

// put adds an entry, which read returns, to a directory. It refuses a second
// entry with the same name.
func (b *Builder) put(parent *dirBuilder, base string, mode fs.FileMode, read func(name string) (*Node, error)) (*Node, error) {
	if there, ok := parent.children[base]; ok {
		return nil, NewFault(path.Join(parent.path, base), "is in the artifact twice%s; create it again with only one of them", describeKind(there))
	}
	name, err := b.budget.Enter(parent.path, base)
	var n *Node
	if err == nil {
		n, err = read(name)
	}
	if unusable := Unusable(base, mode, err); unusable != nil {
		n, err = unusable, nil
	}
	if err != nil {
		return nil, err
	}
	parent.children[base] = n
	return n, nil
}

// content returns the file's content in a new slice, or the last tree's slice
// if the content is the same.
func (b *Builder) content(name string, size int64, content io.Reader) ([]byte, error) {
	if int64(cap(b.buffer)) < size {
		b.buffer = make([]byte, size)
	}
	data := b.buffer[:size]
	if _, err := io.ReadFull(content, data); err != nil {
		return nil, err
	}
	if last, err := b.last.Lookup("read", name, false); err == nil && last.Mode.IsRegular() && bytes.Equal(last.Data, data) {
		return last.Data, nil
	}
	return bytes.Clone(data), nil
}

// directory returns the directory at that path and creates it, and those above
// it, if necessary. It returns nil if one of them cannot be used.
func (b *Builder) directory(name string) (*dirBuilder, error) {
	if d, ok := b.directories[name]; ok {
		return d, nil
	}
	d := b.directories["."]
	for base := range strings.SplitSeq(name, "/") {
		next, ok := b.directories[path.Join(d.path, base)]
		if !ok {
			if there := d.children[base]; there != nil && there.IsDir() {
				return nil, nil
			}
			n, err := b.put(d, base, ModeDirectory, func(string) (*Node, error) { return &Node{Base: base, Mode: ModeDirectory}, nil })
			if err != nil || n.Err != nil {
				return nil, err
			}
			next = newDirBuilder(base, path.Join(d.path, base))
			b.directories[next.path] = next
		}
		d = next
	}
	return d, nil
}

func describeKind(there *Node) string {
	switch {
	case there.IsLink():
		return ", once as a symbolic link"
	case there.IsDir():
		return ", once as a directory"
	}
	return ""
}

// inGit reports whether a path is in a .git directory.
func inGit(name string) bool {
	return name == ".git" || strings.HasPrefix(name, ".git/") || strings.Contains(name, "/.git/") || strings.HasSuffix(name, "/.git")
}

// Empty reports whether nothing was added.
func (b *Builder) Empty() bool { return len(b.directories["."].children) == 0 }

// Tree returns the finished tree.
func (b *Builder) Tree() (*Tree, error) {
	if !b.found {
		return nil, WrongPath(b.within, "is not in the artifact; name a directory that is")
	}
	root, err := b.node(b.directories["."])
	if err != nil {
		return nil, err
	}
	return New(root), nil
}

func (b *Builder) node(d *dirBuilder) (*Node, error) {
	children := make([]*Node, 0, len(d.children))
	for base, child := range d.children {
		if child.IsDir() && child.Err == nil {
			var err error
			if child, err = b.node(b.directories[path.Join(d.path, base)]); err != nil {
				return nil, err
			}
		}
		if child.IsEmpty() {
			continue
		}
		children = append(children, child)
	}
	return NewDirectory(d.name, d.path, children)
}

// MaxUnpacked returns the maximum unpacked size of an artifact. It leaves room
// for entries that are left out, such as the .git of a checkout.
func MaxUnpacked(l Limits) int64 { return 8*l.TreeSize + 64<<20 }

// maxEntries returns the maximum number of entries of an artifact, with room
// for entries that are left out.
func maxEntries(l Limits) int { return 2*l.Files + 1000 }

// EntryName returns the path for the name of an archive entry or the title of a
// layer; "." is the root. It refuses names that lead elsewhere.
func (b *Builder) EntryName(name string) (string, error) {
	switch {
	case name == "":
		return "", NewFault("", "the archive has an entry without a name; create it again")
	case path.IsAbs(name):
		return "", NewFault(name, "is an absolute path, which leads out of the artifact; create the archive again with relative paths")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", NewFault(name, "leads out of the artifact with ..; create the archive again from inside its directory")
		}
	}
	return path.Clean(name), nil
}
