package cache

import (
	"crypto/sha256"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// Recorder is a tree that records which questions it was asked and what it answered. What
// was made by reading a Recorder alone would be made the same from every tree that gives
// the same answers. It is safe for concurrent use.
type Recorder struct {
	tree fs.FS

	mu      sync.Mutex
	answers map[question]answer
}

type question struct {
	method string // Stat, Lstat, ReadLink, ReadDir or ReadFile
	name   string
}

// answer is what the tree returned, or the text of an error.
type answer struct {
	text string
	mode fs.FileMode
	size int64
	sum  [sha256.Size]byte
}

// NewRecorder returns a Recorder of a tree.
func NewRecorder(tree fs.FS) *Recorder {
	return &Recorder{tree: tree, answers: map[question]answer{}}
}

// Release drops the tree and keeps what was recorded. The Recorder cannot be read any
// more.
func (r *Recorder) Release() { r.tree = nil }

// Files returns the files that were read, sorted.
func (r *Recorder) Files() (files []string) {
	for q := range r.answers {
		if q.method == "ReadFile" {
			files = append(files, q.name)
		}
	}
	slices.Sort(files)
	return files
}

// Matches reports whether another tree gives the same answer to every question.
func (r *Recorder) Matches(tree fs.FS) bool {
	other := NewRecorder(tree)
	for q, want := range r.answers {
		switch q.method {
		case "Stat":
			_, _ = other.Stat(q.name)
		case "Lstat":
			_, _ = other.Lstat(q.name)
		case "ReadLink":
			_, _ = other.ReadLink(q.name)
		case "ReadDir":
			_, _ = other.ReadDir(q.name)
		default:
			_, _ = other.ReadFile(q.name)
		}
		if other.answers[q] != want {
			return false
		}
	}
	return true
}

func (r *Recorder) record(method string, name string, a answer, err error) {
	if err != nil {
		a = answer{text: err.Error()}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[question{method, name}] = a
}

func (r *Recorder) recordInfo(method string, name string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	var a answer
	if err == nil {
		a = answer{mode: info.Mode(), size: info.Size()}
		if info.IsDir() {
			a.size = 0 // the size of a directory means nothing
		}
	}
	r.record(method, name, a, err)
	return info, err
}

// Stat implements fs.StatFS.
func (r *Recorder) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(r.tree, name)
	return r.recordInfo("Stat", name, info, err)
}

// Lstat implements fs.ReadLinkFS.
func (r *Recorder) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(r.tree, name)
	return r.recordInfo("Lstat", name, info, err)
}

// ReadLink implements fs.ReadLinkFS.
func (r *Recorder) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(r.tree, name)
	r.record("ReadLink", name, answer{text: target}, err)
	return target, err
}

// ReadDir implements fs.ReadDirFS. It records the names and types of the entries.
func (r *Recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.tree, name)
	var all strings.Builder
	for _, e := range entries {
		all.WriteString(fs.FormatDirEntry(e) + "\n")
	}
	r.record("ReadDir", name, answer{sum: sha256.Sum256([]byte(all.String()))}, err)
	return entries, err
}

// ReadFile implements fs.ReadFileFS.
func (r *Recorder) ReadFile(name string) ([]byte, error) {
	data, err := fs.ReadFile(r.tree, name)
	r.record("ReadFile", name, answer{sum: sha256.Sum256(data)}, err)
	return data, err
}

// Open implements fs.FS for callers that read the whole file, which is what it records.
// It does not record the entries of a directory: use ReadDir.
func (r *Recorder) Open(name string) (fs.File, error) {
	if _, err := r.ReadFile(name); err != nil {
		return nil, err
	}
	return r.tree.Open(name)
}
