package git

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// errPack is the error for a pack that does not contain what was requested.
var errPack = errors.New("the server sent a broken pack")

// packBounds bound what one pack may cost, mostly in disk space. A pack has to
// be read to its end before it is known which of its objects are files of the
// fleet repo.
type packBounds struct {
	tree.Limits
	// wide is true for a pack that contains more than the fleet repo.
	wide bool
	// partial is true if the server was told of a commit of which only a part is
	// here. The server may then refer to objects that are missing here.
	partial bool
	// objects is the maximum number of objects, and object the maximum size of
	// one that is kept.
	objects, object int64
	// transfer is the maximum number of bytes that a server may send, inflated
	// the maximum after decompression, and spooled the maximum on disk.
	transfer, inflated, spooled int64
}

// boundsOf returns the bounds for a pack. They leave room for objects that
// servers send unasked, for files that are too large and are refused by name
// later, and for deltas, their results and directories. Wide is for a
// repository that contains more than the fleet repo, or its history.
func boundsOf(l tree.Limits, wide bool) packBounds {
	b := packBounds{
		Limits: l, wide: wide,
		// A tree has at most as many files and directories as it has entries.
		objects:  2*int64(l.Files) + 1000,
		object:   4 * l.FileSize,
		transfer: 8*l.TreeSize + 64<<20,
		inflated: 8*l.TreeSize + 64<<20,
		spooled:  2*l.TreeSize + 16<<20,
	}
	if wide {
		b.objects, b.transfer, b.inflated, b.spooled = 10*b.objects, 2*b.transfer, 8*b.inflated, 8*b.spooled
	}
	return b
}

func (b packBounds) tooManyObjects() error {
	if b.wide {
		return tree.NewFault("", "the repository has more than %d files, directories and commits; keep the fleet repo in one of its own", b.objects)
	}
	return tree.TooManyFiles(b.Limits)
}

func (b packBounds) tooManyBytes() error {
	if b.wide {
		return tree.NewFault("", "the repository around the fleet repo takes more than %s; keep the fleet repo in one of its own", message.Size(b.spooled))
	}
	return tree.MuchTooLarge(b.Limits)
}

// object is a Git object in memory.
type object struct {
	kind plumbing.ObjectType
	data []byte
	// tooLarge is true if the object is too large to be kept.
	tooLarge bool
}

func (o object) size() int64 {
	if o.tooLarge {
		return math.MaxInt64
	}
	return int64(len(o.data))
}

// objects are the objects of a commit, by hash.
type objects map[plumbing.Hash]object

// pack holds the objects that a server sends in a temporary file, decompressed
// and with their deltas applied, until the tree is built. Only then is it known
// which of them are files and what their names are.
//
// go-git scans packs and applies deltas. Its parser is not used, because it
// needs memory for each object before its size can be refused, and decompresses
// each object at least twice.
type pack struct {
	ctx    context.Context
	bounds packBounds
	// have contains objects of an earlier commit that deltas may use as a base.
	have objects

	file  *os.File
	w     *bufio.Writer
	size  int64 // of the file
	index map[plumbing.Hash]spooled
	// inflated counts the bytes of all objects, whether kept or not.
	inflated int64
	// skipped is true if the results of some deltas are unknown, because a base
	// or a result is too large.
	skipped bool
	// ready are the objects whose deltas have not been applied yet. byOffset and
	// byHash contain the deltas, by their base.
	ready    []base
	byOffset map[int64][]delta
	byHash   map[plumbing.Hash][]delta
}

// spooled is the position of an object in the file. An object that is too large
// to be kept has offset -1.
type spooled struct {
	kind         plumbing.ObjectType
	offset, size int64
}

// base is an object at an offset in the pack, which is 0 for one that is not in
// the pack.
type base struct {
	offset int64
	hash   plumbing.Hash
}

// delta describes how to make the object at an offset in the pack.
type delta struct {
	offset       int64
	instructions spooled
}

// readPack reads the objects of a pack. The caller closes the result.
func readPack(ctx context.Context, r io.Reader, have objects, bounds packBounds) (*pack, error) {
	file, err := os.CreateTemp("", "tributary-fetch-")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w; set TMPDIR to a directory that can be written to", err)
	}
	p := &pack{
		ctx: ctx, bounds: bounds, have: have,
		file: file, w: bufio.NewWriterSize(file, 64<<10), index: map[plumbing.Hash]spooled{},
		byOffset: map[int64][]delta{}, byHash: map[plumbing.Hash][]delta{},
	}
	// A file without a name is gone when the process ends, however it ends.
	if err = os.Remove(file.Name()); err == nil {
		err = p.scan(packfile.NewScanner(r))
	}
	if err == nil {
		err = p.applyDeltas()
	}
	if err != nil {
		p.close()
		return nil, packError(err)
	}
	return p, nil
}

func (p *pack) close() { _ = p.file.Close() }

func (p *pack) scan(s *packfile.Scanner) error {
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	if int64(count) > p.bounds.objects {
		return p.bounds.tooManyObjects()
	}
	for range count {
		header, err := s.NextObjectHeader()
		if err != nil {
			return err
		}
		if err := p.scanObject(s, header); err != nil {
			return err
		}
	}
	_, err = s.Checksum()
	return err
}

func (p *pack) scanObject(s *packfile.Scanner, header *packfile.ObjectHeader) error {
	if err := p.count(header.Length); err != nil {
		return err
	}
	at := spooled{header.Type, p.size, header.Length}
	hasher := plumbing.NewHasher(header.Type, header.Length)
	w := io.MultiWriter(hasher, p)
	if header.Length > p.bounds.object {
		at.offset, w = -1, hasher
	}
	switch n, _, err := s.NextObject(w); {
	case err != nil:
		return err
	case n != header.Length:
		return fmt.Errorf("%w: an object is shorter than its header says", errPack)
	}
	switch d := (delta{header.Offset, at}); header.Type {
	case plumbing.OFSDeltaObject:
		p.byOffset[header.OffsetReference] = append(p.byOffset[header.OffsetReference], d)
	case plumbing.REFDeltaObject:
		p.byHash[header.Reference] = append(p.byHash[header.Reference], d)
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		p.add(header.Offset, hasher.Sum(), at)
	default:
		return fmt.Errorf("%w: an object of type %d", errPack, header.Type)
	}
	return nil
}

// count counts the bytes of an object before they are decompressed, because a
// small pack can expand to any size.
func (p *pack) count(size int64) error {
	if p.inflated += size; p.inflated > p.bounds.inflated || p.size > p.bounds.spooled {
		return p.bounds.tooManyBytes()
	}
	return nil
}

// Write appends to the file.
func (p *pack) Write(data []byte) (int, error) {
	n, err := p.w.Write(data)
	p.size += int64(n)
	return n, err
}

func (p *pack) add(offset int64, hash plumbing.Hash, at spooled) {
	p.index[hash] = at
	p.ready = append(p.ready, base{offset, hash})
}

// read returns a copy of what is at a position.
func (p *pack) read(at spooled) ([]byte, error) {
	if err := p.w.Flush(); err != nil {
		return nil, err
	}
	data := make([]byte, at.size)
	_, err := p.file.ReadAt(data, at.offset)
	return data, err
}

// applyDeltas makes the objects that were sent as deltas. It holds one base and
// one result in memory, however long a chain of deltas is.
func (p *pack) applyDeltas() error {
	for hash := range p.byHash {
		if o, ok := p.have[hash]; ok && !o.tooLarge {
			p.ready = append(p.ready, base{hash: hash})
		}
	}
	for len(p.ready) > 0 {
		b := p.ready[len(p.ready)-1]
		p.ready = p.ready[:len(p.ready)-1]
		deltas := append(p.byOffset[b.offset], p.byHash[b.hash]...)
		delete(p.byOffset, b.offset)
		delete(p.byHash, b.hash)
		if len(deltas) == 0 {
			continue
		}
		if err := p.applyAll(deltas, b.hash); err != nil {
			return err
		}
	}
	if len(p.byOffset)+len(p.byHash) > 0 && !p.skipped && !p.bounds.partial {
		return fmt.Errorf("%w: a delta without its base", errPack)
	}
	return nil
}

func (p *pack) applyAll(deltas []delta, hash plumbing.Hash) error {
	from := p.have[hash]
	if at, ok := p.index[hash]; ok {
		if at.offset < 0 {
			p.skipped = true
			return nil
		}
		data, err := p.read(at)
		if err != nil {
			return err
		}
		from = object{kind: at.kind, data: data}
	}
	for _, d := range deltas {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.apply(d, from); err != nil {
			return err
		}
	}
	return nil
}

func (p *pack) apply(d delta, from object) error {
	if d.instructions.offset < 0 {
		p.skipped = true
		return nil
	}
	instructions, err := p.read(d.instructions)
	if err != nil {
		return err
	}
	size, err := resultSize(instructions)
	if err != nil {
		return err
	}
	if size > p.bounds.object {
		p.skipped = true
		return nil
	}
	if err := p.count(size); err != nil {
		return err
	}
	data, err := packfile.PatchDelta(from.data, instructions)
	if err != nil {
		return err
	}
	at := spooled{from.kind, p.size, int64(len(data))}
	if _, err := p.Write(data); err != nil {
		return err
	}
	p.add(d.offset, plumbing.ComputeHash(from.kind, data), at)
	return nil
}

// resultSize returns the second of the two numbers at the beginning of a delta,
// the sizes of its base and of its result.
func resultSize(delta []byte) (int64, error) {
	_, n := binary.Uvarint(delta)
	size, m := binary.Uvarint(delta[max(n, 0):])
	if n <= 0 || m <= 0 || int64(size) < 0 {
		return 0, fmt.Errorf("%w: a delta without a size", errPack)
	}
	return int64(size), nil
}

func packError(err error) error {
	var (
		broken *tree.Fault
		disk   *fs.PathError
	)
	switch {
	case errors.As(err, &broken), errors.Is(err, errPack), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends too early", errPack)
	case errors.As(err, &disk):
		return fmt.Errorf("temporary file: %w; free some space, or set TMPDIR to a directory with enough space", disk.Err)
	case errors.Is(err, transport.ErrStalled), errors.Is(err, errTooMuch), errors.Is(err, errPreamble):
		return err
	}
	if text, ok := strings.CutPrefix(err.Error(), "unexpected error: "); ok { // go-git returns the server's messages this way.
		return fmt.Errorf("%w: it says: %s", errPack, text)
	}
	return fmt.Errorf("%w: %w", errPack, err)
}
