package render

import (
	"crypto/sha256"
	"io/fs"
	"sync"
)

// trace is a tree that remembers what was asked of it, and what it answered. What was
// made by reading it alone is the same of every tree that answers the same: that is how
// a stack is known to be the one of the revision before without being built again.
type trace struct {
	tree fs.FS

	mu    sync.Mutex
	asked map[question]reply
}

type question struct {
	of   rune // s for Stat, l for Lstat, k for ReadLink, f for ReadFile
	name string
}

// reply is what was answered, or the text of an error.
type reply struct {
	text string
	mode fs.FileMode
	size int64
	sum  [sha256.Size]byte
}

func newTrace(tree fs.FS) *trace { return &trace{tree: tree, asked: map[question]reply{}} }

// holds tells whether another tree answers all that was asked the same.
func (t *trace) holds(tree fs.FS) bool {
	other := newTrace(tree)
	for q, known := range t.asked {
		switch q.of {
		case 's':
			_, _ = other.Stat(q.name)
		case 'l':
			_, _ = other.Lstat(q.name)
		case 'k':
			_, _ = other.ReadLink(q.name)
		default:
			_, _ = other.ReadFile(q.name)
		}
		if other.asked[q] != known {
			return false
		}
	}
	return true
}

func (t *trace) note(of rune, name string, r reply, err error) {
	if err != nil {
		r = reply{text: err.Error()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked[question{of, name}] = r
}

func (t *trace) noteInfo(of rune, name string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	var r reply
	if err == nil {
		r = reply{mode: info.Mode(), size: info.Size()}
		if info.IsDir() {
			r.size = 0 // it means nothing there
		}
	}
	t.note(of, name, r, err)
	return info, err
}

// Stat implements fs.StatFS.
func (t *trace) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(t.tree, name)
	return t.noteInfo('s', name, info, err)
}

// Lstat implements fs.ReadLinkFS.
func (t *trace) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(t.tree, name)
	return t.noteInfo('l', name, info, err)
}

// ReadLink implements fs.ReadLinkFS.
func (t *trace) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(t.tree, name)
	t.note('k', name, reply{text: target}, err)
	return target, err
}

// ReadFile implements fs.ReadFileFS.
func (t *trace) ReadFile(name string) ([]byte, error) {
	data, err := fs.ReadFile(t.tree, name)
	t.note('f', name, reply{sum: sha256.Sum256(data)}, err)
	return data, err
}

// Open implements fs.FS, for who reads a file whole. Of a directory, which nobody opens
// whose reading is traced, it is not known what was read.
func (t *trace) Open(name string) (fs.File, error) {
	if _, err := t.ReadFile(name); err != nil {
		return nil, err
	}
	return t.tree.Open(name)
}
