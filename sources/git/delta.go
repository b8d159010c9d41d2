package git

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxChain is the maximum length of a chain of deltas. It is Git's own limit.
const maxChain = 4095

// delta describes how to make an object from another one.
type delta struct {
	// offset is the delta's position in the pack, by which later deltas refer
	// to it.
	offset int64
	// instructions is the delta's position in the spool.
	instructions spooled
}

// readDelta reads a delta and records it until its base is known.
func (p *pack) readDelta(s *packfile.Scanner, header *packfile.ObjectHeader) error {
	if err := p.countInflated(header.Length); err != nil {
		return err
	}
	var head deltaHeader
	start := p.spool.size
	var w io.Writer = &head
	if header.Length <= p.bounds.FileSize {
		w = io.MultiWriter(&head, p.spool)
	}
	if err := inflateAll(s, w, header.Length); err != nil {
		return err
	}
	size, ok := head.targetSize()
	if !ok {
		return fmt.Errorf("%w: a delta without a size", errPack)
	}
	if size > p.bounds.FileSize || header.Length > p.bounds.FileSize {
		p.unresolved = true
		return nil
	}
	if err := p.countInflated(size); err != nil {
		return err
	}
	d := delta{header.Offset, spooled{header.Type, start, header.Length}}
	if header.Type == plumbing.OFSDeltaObject {
		p.byOffset[header.OffsetReference] = append(p.byOffset[header.OffsetReference], d)
	} else {
		p.byHash[header.Reference] = append(p.byHash[header.Reference], d)
	}
	return nil
}

// applyDeltas makes the objects that were sent as deltas.
func (p *pack) applyDeltas() error {
	for _, b := range p.bases {
		at := p.spool.index[b.hash]
		waiting := p.takeWaiting(b.offset, b.hash)
		if len(waiting) == 0 {
			continue
		}
		data, err := p.spool.read(at)
		if err != nil {
			return err
		}
		if err := p.applyAll(waiting, object{at.kind, data}, 1); err != nil {
			return err
		}
	}
	for hash := range p.byHash {
		// Offsets start at 12, after the header, so no delta has a base at 0.
		if from, ok := p.have[hash]; ok {
			if err := p.applyAll(p.takeWaiting(0, hash), from, 1); err != nil {
				return err
			}
		}
	}
	if len(p.byOffset)+len(p.byHash) > 0 {
		if !p.unresolved && len(p.tooLarge) == 0 && !p.partial() {
			return fmt.Errorf("%w: a delta without its base", errPack)
		}
		p.unresolved = true
	}
	return nil
}

// takeWaiting removes and returns the deltas that have an object as their base.
func (p *pack) takeWaiting(at int64, hash plumbing.Hash) []delta {
	list := append(p.byOffset[at], p.byHash[hash]...)
	delete(p.byOffset, at)
	delete(p.byHash, hash)
	return list
}

// applyAll makes all objects that depend on one, in depth-first order.
func (p *pack) applyAll(deltas []delta, from object, depth int) error {
	p.inMemory += int64(len(from.data))
	defer func() { p.inMemory -= int64(len(from.data)) }()
	if depth > maxChain || p.inMemory > p.bounds.TreeSize {
		return fmt.Errorf("%w: too many deltas depend on one another", errPack)
	}
	for _, d := range deltas {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		made, err := p.apply(d, from)
		if err != nil {
			return err
		}
		hash := plumbing.ComputeHash(made.kind, made.data)
		if _, err := p.spool.Write(made.data); err != nil {
			return err
		}
		p.spool.add(hash, made.kind, int64(len(made.data)))
		if next := p.takeWaiting(d.offset, hash); len(next) > 0 {
			if err := p.applyAll(next, made, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pack) apply(d delta, from object) (object, error) {
	instructions, err := p.spool.read(d.instructions)
	if err != nil {
		return object{}, err
	}
	data, err := packfile.PatchDelta(from.data, instructions)
	if err != nil {
		return object{}, fmt.Errorf("%w: %w", errPack, err)
	}
	return object{from.kind, data}, nil
}

// deltaHeader keeps the first bytes of a delta: the sizes of its base and of
// its result.
type deltaHeader struct {
	bytes [2 * binary.MaxVarintLen64]byte
	n     int
}

func (h *deltaHeader) Write(p []byte) (int, error) {
	h.n += copy(h.bytes[h.n:], p)
	return len(p), nil
}

// targetSize returns the size of the delta's result.
func (h *deltaHeader) targetSize() (int64, bool) {
	_, n := binary.Uvarint(h.bytes[:h.n])
	if n <= 0 {
		return 0, false
	}
	size, m := binary.Uvarint(h.bytes[n:h.n])
	return int64(size), m > 0 && int64(size) >= 0
}
