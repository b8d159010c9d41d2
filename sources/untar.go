package sources

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// untar adds the entries of a tar archive. It refuses entries that no fleet
// repo needs and entries that different machines would unpack differently. Even
// for an endless stream, it reads a bounded amount.
func untar(ctx context.Context, r io.Reader, b *builder) error {
	archive := tar.NewReader(&inflateLimiter{r, b})
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // entryName returns a better error.
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case b.entries <= 0:
			return tooManyFiles(b.budget.limits)
		}
		b.entries--
		if err := addEntry(b, header, archive); err != nil {
			return err
		}
	}
}

// maxUnpacked returns the maximum unpacked size of an artifact. It leaves room
// for entries that are left out, such as the .git of a checkout.
func maxUnpacked(l Limits) int64 { return 8*l.TreeSize + 64<<20 }

// maxEntries returns the maximum number of entries of an artifact, with room
// for entries that are left out.
func maxEntries(l Limits) int { return 2*l.Files + 1000 }

func addEntry(b *builder, header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil // git archive stores the commit here.
	}
	name, err := entryName(header.Name, b.budget.limits)
	if err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return b.addDirectory(name)
	case tar.TypeReg:
		if name == "." || strings.HasSuffix(header.Name, "/") {
			return &fault{header.Name, "is a file with the name of a directory; create the archive again"}
		}
		if sparse(header) {
			return &fault{name, "is a sparse file; create the archive again without --sparse"}
		}
		return b.addFile(name, fs.FileMode(header.Mode), header.Size, content)
	case tar.TypeSymlink:
		if name == "." {
			return &fault{header.Name, "is a symbolic link in place of the root; create the archive again"}
		}
		return b.addLink(name, header.Linkname)
	}
	return &fault{name, refusedType(header)}
}

func sparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func refusedType(header *tar.Header) string {
	switch header.Typeflag {
	case tar.TypeLink:
		return "is a hard link to " + printable(header.Linkname) + "; replace it with a copy or a symbolic link"
	case tar.TypeChar, tar.TypeBlock:
		return "is a device; remove it"
	case tar.TypeFifo:
		return "is a FIFO; remove it"
	case tar.TypeGNUSparse:
		return "is a sparse file; create the archive again without --sparse"
	}
	return fmt.Sprintf("has type %q, which is not a file, directory or symbolic link; remove it", header.Typeflag)
}

// inflateLimiter returns an error when an artifact unpacks to more than any
// tree within the limits needs, because a few compressed bytes can expand to
// any size.
type inflateLimiter struct {
	io.Reader
	into *builder
}

func (r *inflateLimiter) Read(p []byte) (int, error) {
	if r.into.unpacked <= 0 {
		return 0, &fault{"", fmt.Sprintf("its files are much larger than %s in total; move files that no cluster needs out of the fleet repo", bytesize(r.into.budget.limits.TreeSize))}
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.into.unpacked)])
	r.into.unpacked -= int64(n)
	return n, err
}
