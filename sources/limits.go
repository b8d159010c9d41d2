package sources

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
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

func (l Limits) orDefaults() Limits {
	return Limits{
		FileSize:   cmp.Or(l.FileSize, 16<<20),
		TreeSize:   cmp.Or(l.TreeSize, 256<<20),
		Files:      cmp.Or(l.Files, 150_000),
		PathLength: cmp.Or(l.PathLength, 1024),
		Depth:      cmp.Or(l.Depth, 64),
	}
}

// budget counts what a tree uses while it is read. Each entry is checked before
// it is read, so nothing beyond the limits is read.
type budget struct {
	limits Limits
	files  int
	bytes  int64
}

// enter counts one entry of a directory and returns the entry's path from the
// root. It is called for each entry.
func (b *budget) enter(directory, base string) (string, error) {
	if err := checkName(directory, base); err != nil {
		return "", err
	}
	name := path.Join(directory, base)
	if len(name) > b.limits.PathLength {
		return "", &fault{strings.ToValidUTF8(name[:min(len(name), 64)], "") + "…", fmt.Sprintf("its path is longer than %d bytes; shorten it", b.limits.PathLength)}
	}
	if strings.Count(name, "/") >= b.limits.Depth {
		return "", &fault{name, fmt.Sprintf("is more than %d directories deep; flatten the tree", b.limits.Depth)}
	}
	if b.files++; b.files > b.limits.Files {
		return "", tooManyFiles(b.limits)
	}
	return name, nil
}

// addExisting counts files and bytes that are reused from an earlier tree.
func (b *budget) addExisting(name string, files int, bytes int64) error {
	if b.files += files; b.files > b.limits.Files {
		return tooManyFiles(b.limits)
	}
	if b.bytes += bytes; b.bytes > b.limits.TreeSize {
		return tooManyBytes(name, b.limits)
	}
	return nil
}

// file counts the size of a regular file.
func (b *budget) file(name string, size int64) error {
	if size > b.limits.FileSize {
		return tooLarge(name, b.limits)
	}
	if b.bytes += size; b.bytes > b.limits.TreeSize {
		return tooManyBytes(name, b.limits)
	}
	return nil
}

// link checks the length of a symbolic link's target.
func (b *budget) link(name string, size int64) error {
	if size > int64(b.limits.PathLength) {
		return &fault{name, fmt.Sprintf("a symbolic link to a path longer than %d bytes; remove it", b.limits.PathLength)}
	}
	return nil
}

// checkName refuses names that no checkout can produce and that fs.FS cannot
// express. Such a file would otherwise be missing from the rendering without an
// error.
func checkName(directory, base string) error {
	switch {
	case base == "", base == ".", base == "..", base == ".git", strings.ContainsAny(base, "/\x00"):
		return &fault{directory, "lists " + strconv.Quote(base) + ", which is not a valid file name; rewrite the commit"}
	case !utf8.ValidString(base):
		return &fault{directory + "/" + base, "its name is not UTF-8; rename it"}
	}
	return nil
}

func tooLarge(name string, l Limits) error {
	return &fault{name, fmt.Sprintf("is larger than %s; move it out of the fleet repo", bytesize(l.FileSize))}
}

func tooManyBytes(name string, l Limits) error {
	return &fault{name, fmt.Sprintf("with this file, the tree is larger than %s; move files that no cluster needs out of the fleet repo", bytesize(l.TreeSize))}
}

func tooManyFiles(l Limits) error {
	return &fault{"", fmt.Sprintf("more than %d files and directories; move files that no cluster needs out of the fleet repo", l.Files)}
}

func bytesize(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
