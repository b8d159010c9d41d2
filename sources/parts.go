package sources

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
)

// A snapshot is packed in parts of some dozens of files, because a commit touches one
// file of thousands: all parts but one are those of the snapshot before, and are neither
// packed nor stored again. Where a part ends depends on the name of its last file alone,
// so that files which come or go move no others to another part.

// filesOfPart is how many files a part has on average: enough for them to be compressed
// by what they have in common.
const filesPerPart = 64

// endsPart tells whether a part ends after a file of that name.
func endsPart(name string) bool {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name) // which never fails
	return h.Sum32()%filesPerPart == 0
}

// part is some files of a tree, in order.
type part struct {
	files  []packedFile
	packed fleet.PackedPart // empty until it is packed
}

// packedFile is a file or link, with what tells that it is as it was before, if anything
// does.
type packedFile struct {
	name    string
	mode    fs.FileMode
	content fleet.Content
}

// lister lists what is in a tree.
type lister struct {
	ctx   context.Context
	tree  fs.FS
	files []packedFile
	// before are the directories that were listed last, and directories those of this time.
	before, directories map[*node]contents
}

// contents are what was found in a directory of that path, and below.
type contents struct {
	path  string
	files []packedFile
}

// children lists what is in a directory. Directories themselves are no more than
// the names of what is in them, as in Git.
func (l *lister) children(directory string, n *node) error {
	start := len(l.files)
	if known, ok := l.before[n]; ok && n != nil && known.path == directory {
		l.files = append(l.files, known.files...)
		l.record(n, directory, start) // not as it was known, which keeps all that was listed then
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
		n, known := entry.(*node) // nothing else is known to be the same again
		switch {
		case f.mode&fs.ModeIrregular != 0:
			continue
		case f.mode.IsDir():
			if err := l.children(f.name, n); err != nil {
				return err
			}
			continue
		}
		if known {
			f.mode, f.content = n.mode, fleet.ContentOf(n.data)
		}
		l.files = append(l.files, f)
	}
	l.record(n, directory, start)
	return nil
}

// listed notes what was found in a directory; n is nil where nothing tells it from others.
func (l *lister) record(n *node, directory string, start int) {
	if n != nil {
		l.directories[n] = contents{directory, l.files[start:len(l.files):len(l.files)]}
	}
}

// parts are the files that were listed, cut.
func (l *lister) parts() (parts []*part) {
	for start, i := 0, 0; i < len(l.files); i++ {
		if endsPart(l.files[i].name) || i == len(l.files)-1 {
			parts = append(parts, &part{files: l.files[start : i+1 : i+1]})
			start = i + 1
		}
	}
	return parts
}

// lastPacked are the parts that were packed last, and what they were of.
type lastPacked struct {
	mu          sync.Mutex
	parts       map[string]*part // by the name of the last file
	directories map[*node]contents
	files       int
}

// lister returns one that takes directories as they were listed last.
func (l *lastPacked) lister(ctx context.Context, tree fs.FS) *lister {
	if l == nil {
		return &lister{ctx: ctx, tree: tree, directories: map[*node]contents{}}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &lister{ctx: ctx, tree: tree, files: make([]packedFile, 0, l.files), before: l.directories, directories: map[*node]contents{}}
}

// share takes over those parts that are as they were.
func (l *lastPacked) reuseParts(parts []*part) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		known := l.parts[p.last()]
		unknown := func(f packedFile) bool { return f.content == fleet.Content{} }
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

// pack packs the part, unless it has been.
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
		panic(err) // the options are constants
	}
	return zip
}}

func sha256Sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

func (f packedFile) write(w *tar.Writer, from fs.FS) error {
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

// readForPacking also reads what may not be opened, such as a pointer of Git LFS.
func readForPacking(from fs.FS, name string) ([]byte, fs.FileMode, error) {
	if t, ok := from.(*tree); ok {
		n, err := t.findLink("pack", name)
		if err != nil {
			return nil, 0, err
		}
		return n.data, n.mode, nil
	}
	info, err := fs.Stat(from, name)
	if err != nil {
		return nil, 0, err
	}
	data, err := fs.ReadFile(from, name)
	return data, info.Mode(), err
}
