package tree

import (
	"cmp"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Limits bound the time and memory that one snapshot may cost, because a fleet
// repo is untrusted input. A zero field means its default.
type Limits struct {
	// FileSize is the maximum size of one file in bytes. The default is 16 MiB.
	FileSize int64
	// TreeSize is the maximum size of all files in bytes. The default is 256
	// MiB.
	TreeSize int64
	// Files is the maximum number of files, symbolic links and directories. The
	// default is 150,000.
	Files int
	// PathLength is the maximum length of a path, and of a symbolic link's
	// target, in bytes. The default is 1024.
	PathLength int
	// Depth is the maximum number of elements in a path. The default is 64.
	Depth int
}

// OrDefaults returns the limits with the defaults in place of zeros.
func (l Limits) OrDefaults() Limits {
	return Limits{
		FileSize:   cmp.Or(l.FileSize, 16<<20),
		TreeSize:   cmp.Or(l.TreeSize, 256<<20),
		Files:      cmp.Or(l.Files, 150_000),
		PathLength: cmp.Or(l.PathLength, 1024),
		Depth:      cmp.Or(l.Depth, 64),
	}
}

// Budget counts what a tree uses while it is read. Each entry is checked before
// it is read, so nothing beyond the limits is read.
type Budget struct {
	Limits Limits
	Files  int
	Bytes  int64
}

// Enter counts one entry of a directory and returns the entry's path from the
// root. It is called for each entry. If only that entry cannot be used, the
// error is for Unusable.
func (b *Budget) Enter(directory, base string) (string, error) {
	if b.Files++; b.Files > b.Limits.Files {
		return "", TooManyFiles(b.Limits)
	}
	if err := checkName(directory, base); err != nil {
		return "", err
	}
	name := path.Join(directory, base)
	if len(name) > b.Limits.PathLength {
		if b.Bytes += int64(len(base)); b.Bytes > b.Limits.TreeSize { // The name is kept.
			return "", tooManyBytes(shorten(name, 64), b.Limits)
		}
		return "", NewLocalFault(shorten(name, 64), "its path is longer than %d bytes; shorten it", b.Limits.PathLength)
	}
	if strings.Count(name, "/") >= b.Limits.Depth {
		return "", NewLocalFault(name, "is more than %d directories deep; flatten the tree", b.Limits.Depth)
	}
	return name, nil
}

// AddExisting counts files and bytes that are reused from an earlier tree.
func (b *Budget) AddExisting(name string, files int, bytes int64) error {
	if b.Files += files; b.Files > b.Limits.Files {
		return TooManyFiles(b.Limits)
	}
	if b.Bytes += bytes; b.Bytes > b.Limits.TreeSize {
		return tooManyBytes(name, b.Limits)
	}
	return nil
}

// File counts the size of a regular file.
func (b *Budget) File(name string, size int64) error {
	if size > b.Limits.FileSize {
		return TooLarge(name, b.Limits)
	}
	if b.Bytes += size; b.Bytes > b.Limits.TreeSize {
		return tooManyBytes(name, b.Limits)
	}
	return nil
}

// Link checks the length of a symbolic link's target.
func (b *Budget) Link(name string, size int64) error {
	if size > int64(b.Limits.PathLength) {
		return NewLocalFault(name, "a symbolic link to a path longer than %d bytes; remove it", b.Limits.PathLength)
	}
	return nil
}

// checkName refuses a tree with names that no checkout can produce, and names
// that not every machine supports. A file of such a name would otherwise be
// missing from the rendering without an error, on one machine or on all.
func checkName(directory, base string) error {
	switch {
	case base == "", base == ".", base == "..", base == ".git", strings.ContainsAny(base, "/\x00"):
		return NewFault(directory, "lists %s, which is not a valid file name; rewrite the commit", strconv.Quote(base))
	case !utf8.ValidString(base):
		return NewLocalFault(path.Join(directory, escapeBytes(base)), "its name is not UTF-8; rename it")
	case strings.ContainsFunc(base, breaksLines):
		return NewLocalFault(path.Join(directory, base), "its name contains control characters; rename it")
	case strings.Contains(base, `\`):
		return NewLocalFault(path.Join(directory, base), `its name contains a \, which separates directories on some systems; rename it`)
	}
	return nil
}

func breaksLines(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// TooLarge returns the fault for a file that is too large.
func TooLarge(name string, l Limits) error {
	return NewLocalFault(name, "is larger than %s; move it out of the fleet repo, or raise --max-file-size", message.Size(l.FileSize))
}

func tooManyBytes(name string, l Limits) error {
	return NewFault(name, "with this file, the tree is larger than %s; move files that no cluster needs out of the fleet repo, or raise --max-tree-size", message.Size(l.TreeSize))
}

// TooManyFiles returns the fault for a tree of too many files.
func TooManyFiles(l Limits) error {
	return NewFault("", "more than %d files and directories; move files that no cluster needs out of the fleet repo, or raise --max-files", l.Files)
}

// MuchTooLarge returns the fault for files of which more was read than a tree
// within the limits needs.
func MuchTooLarge(l Limits) error {
	return NewFault("", "its files are much larger than %s in total; move files that no cluster needs out of the fleet repo, or raise --max-tree-size", message.Size(l.TreeSize))
}
