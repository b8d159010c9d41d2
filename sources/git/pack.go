package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// errPack is the error for a pack that does not contain what was requested.
var errPack = errors.New("the server sent a broken pack")

// pack reads the objects that a server sends and applies their deltas. go-git's
// own indexer keeps every object in memory, however large, and does not support
// deltas against objects that were sent earlier.
type pack struct {
	ctx    context.Context
	bounds packBounds
	spool  *spool
	// have contains objects of an earlier commit that deltas may use as a base.
	have objects
	// inflated counts the bytes of all objects, whether kept or not.
	inflated int64
	// tooLarge contains the objects that exceed the maximum file size. They are
	// skipped.
	tooLarge map[plumbing.Hash]bool
	// unresolved is true if some deltas were not applied, so that the hashes of
	// their results are unknown: their base or their result is too large.
	unresolved bool
	bases      []base
	// byOffset and byHash contain the deltas whose base has not been read yet.
	byOffset map[int64][]delta
	byHash   map[plumbing.Hash][]delta
	// inMemory counts the bytes of objects that are in memory while deltas are
	// applied.
	inMemory int64
}

// base is an object that was sent whole, at an offset in the pack.
type base struct {
	offset int64
	hash   plumbing.Hash
}

// readPack writes the objects of a pack to the spool. The caller closes the
// spool.
func readPack(ctx context.Context, r io.Reader, s *spool, have objects, bounds packBounds) (*pack, error) {
	p := &pack{
		ctx: ctx, bounds: bounds, spool: s, have: have,
		tooLarge: map[plumbing.Hash]bool{},
		byOffset: map[int64][]delta{},
		byHash:   map[plumbing.Hash][]delta{},
	}
	if err := p.scan(packfile.NewScanner(r)); err != nil {
		return nil, err
	}
	return p, p.applyDeltas()
}

// partial reports whether the server was told of a commit of which only a part
// is here. The server may then refer to objects that are missing here.
func (p *pack) partial() bool { return p.bounds.wide && p.have != nil }

func (p *pack) scan(s *packfile.Scanner) error {
	_, count, err := s.Header()
	if err != nil {
		return packError(err)
	}
	if int64(count) > p.bounds.objects {
		return p.bounds.tooManyObjects()
	}
	for range count {
		if err := p.object(s); err != nil {
			return packError(err)
		}
	}
	_, err = s.Checksum()
	return packError(err)
}

func (p *pack) object(s *packfile.Scanner) error {
	header, err := s.NextObjectHeader()
	if err != nil {
		return err
	}
	switch header.Type {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return p.readWhole(s, header)
	case plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		return p.readDelta(s, header)
	}
	return fmt.Errorf("%w: an object of type %d", errPack, header.Type)
}

// readWhole reads an object that was sent whole.
func (p *pack) readWhole(s *packfile.Scanner, header *packfile.ObjectHeader) error {
	if err := p.countInflated(header.Length); err != nil {
		return err
	}
	hasher := plumbing.NewHasher(header.Type, header.Length)
	keep := header.Length <= p.bounds.FileSize
	var w io.Writer = hasher
	if keep {
		w = io.MultiWriter(hasher, p.spool)
	}
	if err := inflateAll(s, w, header.Length); err != nil {
		return err
	}
	hash := hasher.Sum()
	if !keep {
		p.tooLarge[hash] = true
		return nil
	}
	p.spool.add(hash, header.Type, header.Length)
	p.bases = append(p.bases, base{header.Offset, hash})
	return nil
}

// countInflated counts bytes before they are decompressed, because a small pack
// can expand to any size.
func (p *pack) countInflated(size int64) error {
	if p.inflated += size; p.inflated > p.bounds.inflated || p.spool.size > p.bounds.spooled {
		return p.bounds.tooManyBytes()
	}
	return nil
}

func inflateAll(s *packfile.Scanner, w io.Writer, size int64) error {
	n, _, err := s.NextObject(w)
	if err == nil && n != size {
		err = fmt.Errorf("%w: an object is shorter than its header says", errPack)
	}
	return err
}

func packError(err error) error {
	var (
		broken *tree.Fault
		disk   *fs.PathError
	)
	switch {
	case err == nil, errors.As(err, &broken), errors.Is(err, errPack):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends too early", errPack)
	case errors.As(err, &disk):
		return fmt.Errorf("temporary file: %w; free some space, or set TMPDIR to a directory with enough space", disk.Err)
	case errors.Is(err, transport.ErrStalled), errors.Is(err, errTooMuch), errors.Is(err, errPreamble):
		return err
	}
	if told, ok := strings.CutPrefix(err.Error(), "unexpected error: "); ok { // go-git returns the server's messages this way.
		return fmt.Errorf("%w: it says: %s", errPack, told)
	}
	return fmt.Errorf("%w: %w", errPack, err)
}
