package sources

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
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
type Archive struct{}

// Pack implements fleet.Archive: a tar compressed with zstd, with the digest of
// the tar.
func (Archive) Pack(ctx context.Context, tree fs.FS) (*fleet.Packed, error) {
	var data bytes.Buffer
	zip, err := zstd.NewWriter(&data, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	p := &packer{ctx, tree, tar.NewWriter(io.MultiWriter(sum, zip))}
	if err := p.children("."); err != nil {
		return nil, err
	}
	if err := errors.Join(p.tar.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return &fleet.Packed{Digest: digest.NewDigest(digest.SHA256, sum).String(), Data: data.Bytes()}, nil
}

type packer struct {
	ctx  context.Context
	tree fs.FS
	tar  *tar.Writer
}

// children writes what is in a directory. Directories themselves are no more than
// the names of what is in them, as in Git.
func (p *packer) children(directory string) error {
	list, err := fs.ReadDir(p.tree, directory)
	if err != nil {
		return err
	}
	for _, entry := range list {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.entry(path.Join(directory, entry.Name()), entry.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) entry(name string, mode fs.FileMode) error {
	switch {
	case mode&fs.ModeIrregular != 0:
		return nil
	case mode.IsDir():
		return p.children(name)
	case mode&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(p.tree, name)
		if err != nil {
			return err
		}
		return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
	}
	return p.file(name)
}

func (p *packer) file(name string) error {
	data, mode, err := readForPacking(p.tree, name)
	if err != nil {
		return err
	}
	if err := p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), Size: int64(len(data))}); err != nil {
		return err
	}
	_, err = p.tar.Write(data)
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

// Unpack implements fleet.Archive.
func (Archive) Unpack(ctx context.Context, p *fleet.Packed) (fs.FS, error) {
	unzip, err := zstd.NewReader(bytes.NewReader(p.Data), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer unzip.Close()
	sum := sha256.New()
	whole := io.TeeReader(unzip, sum)
	u := unpacker{".": nil}
	if err := u.read(ctx, tar.NewReader(whole)); err != nil {
		return nil, fmt.Errorf("packed snapshot %s: %w", p.Digest, err)
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return nil, fmt.Errorf("packed snapshot %s: %w", p.Digest, err)
	}
	if found := digest.NewDigest(digest.SHA256, sum).String(); found != p.Digest {
		return nil, fmt.Errorf("packed snapshot %s: holds %s; the store has been damaged", p.Digest, found)
	}
	root, err := u.directory(".")
	if err != nil {
		return nil, err
	}
	return &tree{root}, nil
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
