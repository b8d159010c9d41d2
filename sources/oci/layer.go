package oci

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
	"oras.land/oras-go/v2/content"
	ociremote "oras.land/oras-go/v2/registry/remote"
)

const (
	// FluxContent is the media type of the layer that Flux pushes.
	FluxContent = "application/vnd.cncf.flux.content.v1.tar+gzip"
	// UnpackAnnotation marks a layer that oras made from a directory.
	UnpackAnnotation = "io.deis.oras.content.unpack"
)

// layer is a layer to read.
type layer struct {
	ocispec.Descriptor
	// only is true if it is the only layer.
	only bool
	// copied is true if it must be an archive whatever its title.
	copied bool
}

func (l layer) title() string { return l.Annotations[titleAnnotation] }

// mustUnpack reports whether the layer must be an archive.
func (l layer) mustUnpack() bool {
	return l.copied || l.title() == "" || l.Annotations[UnpackAnnotation] == "true" || l.MediaType == FluxContent
}

// pull streams a layer into b. If it fails, b must not be used: only at its end
// is it known whether the layer matches the manifest.
func (l layer) pull(ctx context.Context, from *ociremote.Repository, b *tree.Builder) error {
	blob, err := from.Blobs().Fetch(ctx, l.Descriptor)
	if err != nil {
		return fmt.Errorf("layer %s: %w", l.Digest, explainSizeError(err, l.Descriptor))
	}
	defer blob.Close()
	verified := content.NewVerifyReader(blob, l.Descriptor)
	err = l.read(ctx, bufio.NewReaderSize(verified, tree.SniffLength), b)
	if ctx.Err() != nil {
		return ctx.Err() // This must not look like a fault of the content.
	}
	// What looks like a fault of the content may be a broken transfer, which
	// Verify detects.
	_, _ = io.Copy(io.Discard, verified)
	if err := verified.Verify(); err != nil {
		return fmt.Errorf("layer %s: %w", l.Digest, explainVerifyError(err))
	}
	var broken *tree.Fault
	if err != nil && !errors.As(err, &broken) {
		return tree.NewFault("", "layer %s of media type %s is broken: %s; push the artifact again", l.Digest, message.Clean(l.MediaType), message.Clean(err.Error()))
	}
	return err
}

// explainSizeError replaces oras-go's error for a registry that announces
// another size than the manifest or the index. Which of the two is wrong is
// unknown, so it is not a fault of the artifact.
func explainSizeError(err error, d ocispec.Descriptor) error {
	if !strings.HasSuffix(err.Error(), "mismatch Content-Length") { // The error has no type.
		return err
	}
	return fmt.Errorf("the registry has a different number of bytes than the expected %d; push the artifact again, or check the proxy in front of the registry", d.Size)
}

// explainVerifyError explains the error of a VerifyReader.
func explainVerifyError(err error) error {
	switch {
	case errors.Is(err, content.ErrMismatchedDigest):
		return fmt.Errorf("the registry sends content that does not match the digest: %w", err)
	case errors.Is(err, content.ErrTrailingData):
		return fmt.Errorf("the registry sends more bytes than the manifest says: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the registry sends fewer bytes than the manifest says: %w", err)
	}
	return err
}

func (l layer) read(ctx context.Context, r *bufio.Reader, b *tree.Builder) error {
	start, err := r.Peek(tree.SniffLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case l.mustUnpack() && !tree.Compressed(start) && !tree.IsArchive(start) && len(start) > 0:
		return tree.NewFault("", "layer %s of media type %s is not a tar archive and has no title to use as a file name; what tributary push, flux push artifact and oras push create is supported, and tar with or without gzip or zstd; name another layer with layer= and its media type", l.Digest, message.Clean(l.MediaType))
	case l.mustUnpack(), l.only && tree.IsArchive(start):
		return l.unpack(ctx, start, r, b)
	}
	name, err := b.EntryName(l.title())
	if err != nil {
		return err
	}
	if name == "." {
		return tree.NewFault("", "layer %s: its title %s is not a file name; push the artifact again", l.Digest, message.Printable(l.title()))
	}
	return b.AddFile(name, 0, l.Size, r)
}

func (l layer) unpack(ctx context.Context, start []byte, r io.Reader, b *tree.Builder) error {
	files, err := tree.Decompress(start, r)
	if err != nil {
		return err
	}
	defer files.Close()
	return b.AddTar(ctx, files)
}
