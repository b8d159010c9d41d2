package sources

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits bound what one snapshot may cost in time and memory, because a fleet
// repo is untrusted input. A field that is zero stands for its default.
type Limits struct {
	// FileSize is the most bytes of one file; 16 MiB.
	FileSize int64
	// TreeSize is the most bytes of all files together; 256 MiB.
	TreeSize int64
	// Files is the most files, symbolic links and directories together; 150,000.
	Files int
	// PathLength is the most bytes of a path, and of a symbolic link's target; 1024.
	PathLength int
	// Depth is the most names in a path; 64.
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

// budget is what is left of the limits while a tree is read. Everything is
// asked for before it is read.
type budget struct {
	limits Limits
	files  int
	bytes  int64
}

// enter is asked for each entry of a directory, and returns the entry's path
// from the root.
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

// take is asked for what was entered before, and is entered again.
func (b *budget) addExisting(name string, files int, bytes int64) error {
	if b.files += files; b.files > b.limits.Files {
		return tooManyFiles(b.limits)
	}
	if b.bytes += bytes; b.bytes > b.limits.TreeSize {
		return tooManyBytes(name, b.limits)
	}
	return nil
}

// file is asked for each regular file.
func (b *budget) file(name string, size int64) error {
	if size > b.limits.FileSize {
		return tooLarge(name, b.limits)
	}
	if b.bytes += size; b.bytes > b.limits.TreeSize {
		return tooManyBytes(name, b.limits)
	}
	return nil
}

// link is asked for each symbolic link.
func (b *budget) link(name string, size int64) error {
	if size > int64(b.limits.PathLength) {
		return &fault{name, fmt.Sprintf("a symbolic link to a path longer than %d bytes; remove it", b.limits.PathLength)}
	}
	return nil
}

// checkName refuses what no checkout could have produced, and what fs.FS has no
// way to name: such a file would be missing from what is rendered without a word.
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
