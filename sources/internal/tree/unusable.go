package tree

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// A file that nothing needs must not make the whole tree useless. If a file
// cannot be used, because it is too large or because of its name, it is listed in
// the tree, and opening it returns its fault. An archive of the tree contains the
// fault in place of the file.

// IsLocal reports whether err is a fault of a single file, without which the rest
// of a tree can be used.
func IsLocal(err error) bool {
	var broken *Fault
	return errors.As(err, &broken) && broken.local
}

// Unusable returns the node of an entry that cannot be used because of err. It
// returns nil if err is not a fault of the entry alone.
func Unusable(base string, mode fs.FileMode, err error) *Node {
	if !IsLocal(err) {
		return nil
	}
	n := &Node{Base: escapeBytes(base), Mode: modeFile, Err: err}
	if mode.IsDir() {
		n.Mode = ModeDirectory
	}
	return n
}

// escapeBytes returns a name as UTF-8, which fs.FS requires. No two names become
// the same, because a name with a backslash cannot be used either.
func escapeBytes(name string) string {
	var text strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&text, `\x%02x`, name[i])
		} else {
			text.WriteString(name[i : i+size])
		}
		i += size
	}
	return text.String()
}

// Fault returns the error for opening a node that is in an archive as its fault;
// nil for other nodes. A Git LFS pointer is in the archive itself.
func (n *Node) Fault() error {
	if n.Err == nil || IsLFSPointer(n.Data) {
		return nil
	}
	return n.Err
}

// UnusableEntry is an entry of an archive that is a fault in place of a file.
type UnusableEntry struct {
	Path string `json:"path"`
	// Directory is true for a directory.
	Directory bool `json:"directory,omitempty"`
	// File is the file as Message is about it.
	File    string `json:"file"`
	Message string `json:"message"`
}

// NewUnusableEntry returns the entry for a node that has a Fault.
func NewUnusableEntry(name string, n *Node) UnusableEntry {
	u := UnusableEntry{Path: name, Directory: n.IsDir(), File: name, Message: n.Err.Error()}
	if broken := (*Fault)(nil); errors.As(n.Err, &broken) {
		u.File, u.Message = broken.file, broken.message
	}
	return u
}

// Node returns the node of the entry.
func (u UnusableEntry) Node() *Node {
	var mode fs.FileMode
	if u.Directory {
		mode = fs.ModeDir
	}
	return Unusable(path.Base(u.Path), mode, NewLocalFault(u.File, "%s", u.Message))
}

// unusableRecord is a record of any header of a tar archive, which other tools
// skip. It lists entries that cannot be used.
const unusableRecord = "TRIBUTARY.unusable"

// maxUnusable is the maximum size of the record. Go reads at most 1 MiB.
const maxUnusable = 512 << 10

// UnusableRecord returns the records of a header for the entries; nil for none.
func UnusableRecord(entries ...UnusableEntry) (map[string]string, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(entries)
	if len(text) > maxUnusable {
		err = NewFault(entries[0].File, "%s (and too many other files like it: %d)", entries[0].Message, len(entries))
	}
	return map[string]string{unusableRecord: string(text)}, err
}

// UnusableIn returns the entries that a header lists.
func UnusableIn(header *tar.Header) (entries []UnusableEntry) {
	_ = json.Unmarshal([]byte(header.PAXRecords[unusableRecord]), &entries) // Another program's record is skipped.
	return entries
}

func (b *Builder) addUnusable(u UnusableEntry) error {
	name, err := b.EntryName(u.Path)
	if err != nil {
		return err
	}
	u.Message = message.Clean(u.Message)
	n := u.Node()
	return b.AddUnusable(name, n.Mode, n.Err)
}
