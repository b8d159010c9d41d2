package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"hash/fnv"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// A snapshot is packed in parts of some dozens of files. A commit usually
// changes a few files of thousands, so nearly all parts are those of the
// previous snapshot, and need not be packed or stored again. Only the name of
// its last file decides where a part ends, so added or removed files do not
// move other files between parts.

// filesPerPart is the average number of files in a part: enough that they
// compress well together.
const filesPerPart = 64

// endsPart reports whether a part ends after a file of that name.
func endsPart(name string) bool {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name) // never fails
	return h.Sum32()%filesPerPart == 0
}

// part is a run of files of a tree, in order.
type part struct {
	files  []packedFile
	packed fleet.PackedPart // empty until the part is packed
}

// packedFile is a file or link. If its content has an identity, that shows
// whether the file has changed.
type packedFile struct {
	name    string
	mode    fs.FileMode
	content fleet.Content
	// unusable is not nil for an entry that cannot be used.
	unusable *tree.Node
}

// lister lists the files of a tree.
type lister struct {
	ctx   context.Context
	tree  fs.FS
	files []packedFile
	// before are the directories that were listed last, and directories those
	// of this run.
	before, directories map[*tree.Node]contents
}

// contents are the path of a directory and the files in and below it.
type contents struct {
	path  string
	files []packedFile
}

// children lists the files in and below a directory. As in Git, directories
// have no entries of their own.
func (l *lister) children(directory string, n *tree.Node) error {
	start := len(l.files)
	if known, ok := l.before[n]; ok && n != nil && known.path == directory {
		l.files = append(l.files, known.files...)
		l.record(n, directory, start) // A new entry, so that the old file list is not kept alive.
		return l.ctx.Err()
	}
	list, err := fs.ReadDir(l.tree, directory)
	if err != nil {
		return err
	}
	for _, entry := range list {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		f := packedFile{name: path.Join(directory, entry.Name()), mode: entry.Type()}
		n, known := entry.(*tree.Node) // Only a *node is known to be unchanged.
		switch {
		case known && n.Fault() != nil:
			f.unusable = n
		case f.mode.IsDir():
			if err := l.children(f.name, n); err != nil {
				return err
			}
			continue
		}
		if known && f.unusable == nil {
			f.mode, f.content = n.Mode, fleet.ContentOf(n.Data)
		}
		l.files = append(l.files, f)
	}
	l.record(n, directory, start)
	return nil
}

// record stores the files that were found in a directory. n is nil if the
// directory has no identity.
func (l *lister) record(n *tree.Node, directory string, start int) {
	if n != nil {
		l.directories[n] = contents{directory, l.files[start:len(l.files):len(l.files)]}
	}
}

// parts divides the listed files into parts.
func (l *lister) parts() (parts []*part) {
	for start, i := 0, 0; i < len(l.files); i++ {
		if endsPart(l.files[i].name) || i == len(l.files)-1 {
			parts = append(parts, &part{files: l.files[start : i+1 : i+1]})
			start = i + 1
		}
	}
	return parts
}

// lastPacked contains the parts that were packed last, and the directories they
// came from.
type lastPacked struct {
	mu          sync.Mutex
	parts       map[string]*part // by the name of the last file
	directories map[*tree.Node]contents
	files       int
}

// lister returns a lister that reuses the directories that were listed last.
func (l *lastPacked) lister(ctx context.Context, files fs.FS) *lister {
	if l == nil {
		return &lister{ctx: ctx, tree: files, directories: map[*tree.Node]contents{}}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &lister{ctx: ctx, tree: files, files: make([]packedFile, 0, l.files), before: l.directories, directories: map[*tree.Node]contents{}}
}

// reuseParts takes the packed form of unchanged parts.
func (l *lastPacked) reuseParts(parts []*part) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		known := l.parts[p.last()]
		unknown := func(f packedFile) bool { return f.content == fleet.Content{} && f.unusable == nil }
		if known != nil && slices.Equal(known.files, p.files) && !slices.ContainsFunc(p.files, unknown) {
			p.packed = known.packed
		}
	}
}

func (l *lastPacked) remember(from *lister, parts []*part) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts, l.directories, l.files = make(map[string]*part, len(parts)), from.directories, len(from.files)
	for _, p := range parts {
		l.parts[p.last()] = p
	}
}

func (p *part) last() string { return p.files[len(p.files)-1].name }

// pack packs the part, unless it is packed already.
func (p *part) pack(ctx context.Context, from fs.FS) error {
	if p.packed.Digest != "" {
		return ctx.Err()
	}
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, f := range p.files {
		if err := f.write(w, from); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	zip := partEncoders.Get().(*zstd.Encoder)
	defer partEncoders.Put(zip)
	p.packed.Data = bytes.Clone(zip.EncodeAll(plain.Bytes(), nil))
	p.packed.Digest = digest.NewDigestFromBytes(digest.SHA256, sha256Sum(plain.Bytes())).String()
	return ctx.Err()
}

var partEncoders = sync.Pool{New: func() any {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return zip
}}

func sha256Sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

func (f packedFile) write(w *tar.Writer, from fs.FS) error {
	if f.unusable != nil {
		records, err := tree.UnusableRecord(tree.NewUnusableEntry(f.name, f.unusable))
		if err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: records})
	}
	if f.mode&fs.ModeSymlink != 0 {
		target, err := fs.ReadLink(from, f.name)
		if err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.name, Linkname: target, Mode: 0o777})
	}
	data, mode, err := readForPacking(from, f.name)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(mode.Perm()), Size: int64(len(data))}); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// readForPacking also reads files that cannot be opened, such as Git LFS
// pointers.
func readForPacking(from fs.FS, name string) ([]byte, fs.FileMode, error) {
	if t, ok := from.(*tree.Tree); ok {
		n, err := t.Lookup("pack", name, false)
		if err != nil {
			return nil, 0, err
		}
		return n.Data, n.Mode, nil
	}
	info, err := fs.Stat(from, name)
	if err != nil {
		return nil, 0, err
	}
	data, err := fs.ReadFile(from, name)
	return data, info.Mode(), err
}
