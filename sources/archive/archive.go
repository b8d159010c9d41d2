// Package archive packs a tree: for the store, which keeps the snapshots of
// releases, and for a server that compares it with the fleet.
//
//	packed, err := archive.New().Pack(ctx, snapshot.Tree)
//	tree, err := archive.Archive{}.Unpack(ctx, packed)
//
// A snapshot is packed in parts, so that a commit costs what it changes.
package archive

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
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Archive is a fleet.Archive. Only Archive reads what it packs, in this version
// or a later one. Unlike an OCI artifact, it keeps links, and names that not
// every machine supports. The zero value is ready to use.
type Archive struct{ last *lastPacked }

// New returns an Archive that remembers what it packed last. For a
// similar tree, it packs only the parts that have changed.
func New() Archive { return Archive{&lastPacked{}} }

// Pack implements fleet.Archive. The result is a list of the digests of parts,
// with its own digest. Each part is a tar of some files, compressed with zstd,
// with the digest of the tar.
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

// listMagic is the first line of a list of parts.
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
	return tree.New(root), nil
}

// packed reads all parts of a snapshot.
func (u unpacker) packed(ctx context.Context, p *fleet.Packed) error {
	list, isList := bytes.CutPrefix(p.Data, []byte(listMagic))
	if !isList {
		return errors.New("is not a list of parts; the store is damaged")
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

// archive reads a compressed tar and verifies its digest.
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

// unpacker maps the path of each directory to its nodes.
type unpacker map[string][]*tree.Node

func (u unpacker) read(ctx context.Context, archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // Links may lead anywhere, because they are not followed here.
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		for _, unusable := range tree.UnusableIn(header) {
			u.add(path.Dir(unusable.Path), unusable.Node())
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		n := &tree.Node{Base: path.Base(header.Name), Mode: tree.ModeLink, Data: []byte(header.Linkname)}
		if header.Typeflag == tar.TypeReg {
			data, err := io.ReadAll(archive)
			if err != nil {
				return err
			}
			n = tree.NewFile(header.Name, header.Mode&0o111 != 0, data)
		}
		u.add(path.Dir(header.Name), n)
	}
}

// add adds a node to a directory, which is created if it does not exist.
func (u unpacker) add(directory string, n *tree.Node) {
	if _, there := u[directory]; !there {
		u.add(path.Dir(directory), &tree.Node{Base: path.Base(directory), Mode: tree.ModeDirectory})
	}
	u[directory] = append(u[directory], n)
}

func (u unpacker) directory(name string) (*tree.Node, error) {
	children := u[name]
	for i, child := range children {
		if !child.IsDir() || child.Err != nil {
			continue
		}
		var err error
		if children[i], err = u.directory(path.Join(name, child.Base)); err != nil {
			return nil, err
		}
	}
	return tree.NewDirectory(path.Base(name), name, children)
}
