package sources

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/tributary-gitops/tributary/fleet"
)

// Archive is a fleet.Archive. What it makes of a tree is for itself to read, by
// any later version: unlike what Push makes, links stay links, and names may be
// such that not every machine could have them. A submodule leaves nothing behind.
// The zero value is ready.
type Archive struct{ last *lastPacked }

// NewArchive returns an Archive that remembers what it packed last, so that of a tree
// which is nearly the same only what is another is packed again.
func NewArchive() Archive { return Archive{&lastPacked{}} }

// Pack implements fleet.Archive: a list of the digests of parts, with its own digest.
// Each part is a tar of some files, compressed with zstd, with the digest of the tar.
func (a Archive) Pack(ctx context.Context, tree fs.FS) (*fleet.Packed, error) {
	l := a.last.lister(ctx, tree)
	if err := l.children(".", nil); err != nil {
		return nil, err
	}
	parts := l.parts()
	a.last.reuseParts(parts)
	p := &fleet.Packed{Data: []byte(listMagic)}
	for _, part := range parts {
		if err := part.pack(ctx, tree); err != nil {
			return nil, err
		}
		p.Data = fmt.Appendln(p.Data, part.packed.Digest)
		p.Parts = append(p.Parts, part.packed)
	}
	p.Digest = digest.FromBytes(p.Data).String()
	a.last.remember(l, parts)
	return p, nil
}

// listMagic is the first line of a list of parts. Before there were parts the data was a
// compressed tar of the whole tree, which begins otherwise.
const listMagic = "tributary parts 1\n"

// Unpack implements fleet.Archive.
func (Archive) Unpack(ctx context.Context, p *fleet.Packed) (fs.FS, error) {
	u := unpacker{".": nil}
	if err := u.packed(ctx, p); err != nil {
		return nil, fmt.Errorf("packed snapshot %s: %w", p.Digest, err)
	}
	root, err := u.directory(".")
	if err != nil {
		return nil, err
	}
	return &tree{root}, nil
}

// packed reads a snapshot: all its parts, or the one archive that it once was.
func (u unpacker) packed(ctx context.Context, p *fleet.Packed) error {
	list, isList := bytes.CutPrefix(p.Data, []byte(listMagic))
	if !isList {
		return u.archive(ctx, fleet.PackedPart{Digest: p.Digest, Data: p.Data})
	}
	if found := digest.FromBytes(p.Data).String(); found != p.Digest {
		return fmt.Errorf("contains %s; the store is damaged", found)
	}
	var listed []byte
	for _, part := range p.Parts {
		listed = fmt.Appendln(listed, part.Digest)
		if err := u.archive(ctx, part); err != nil {
			return fmt.Errorf("part %s: %w", part.Digest, err)
		}
	}
	if !bytes.Equal(listed, list) {
		return errors.New("has other parts than it lists; the store is damaged")
	}
	return nil
}

// archive reads a compressed tar, which must be that of the digest.
func (u unpacker) archive(ctx context.Context, part fleet.PackedPart) error {
	unzip, err := zstd.NewReader(bytes.NewReader(part.Data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer unzip.Close()
	sum := digest.SHA256.Hash()
	whole := io.TeeReader(unzip, sum)
	if err := u.read(ctx, tar.NewReader(whole)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return err
	}
	if found := digest.NewDigest(digest.SHA256, sum).String(); found != part.Digest {
		return fmt.Errorf("contains %s; the store is damaged", found)
	}
	return nil
}

// unpacker has what lies in each directory, by its path.
type unpacker map[string][]*node

func (u unpacker) read(ctx context.Context, archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // Links may lead anywhere; they are not followed.
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		n := &node{name: path.Base(header.Name), mode: modeLink, data: []byte(header.Linkname)}
		if header.Typeflag == tar.TypeReg {
			data, err := io.ReadAll(archive)
			if err != nil {
				return err
			}
			n = newFileNode(header.Name, header.Mode&0o111 != 0, data)
		}
		u.add(path.Dir(header.Name), n)
	}
}

// add puts a node into a directory, which is made where there is none.
func (u unpacker) add(directory string, n *node) {
	if _, there := u[directory]; !there {
		u.add(path.Dir(directory), &node{name: path.Base(directory), mode: modeDirectory})
	}
	u[directory] = append(u[directory], n)
}

func (u unpacker) directory(name string) (*node, error) {
	children := u[name]
	for i, child := range children {
		if !child.IsDir() {
			continue
		}
		var err error
		if children[i], err = u.directory(path.Join(name, child.name)); err != nil {
			return nil, err
		}
	}
	return newDirectoryNode(path.Base(name), name, children)
}
