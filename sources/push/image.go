package push

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tributary-gitops/tributary/sources/oci"
)

const (
	fluxConfig = "application/vnd.cncf.flux.config.v1+json"
	// contentAnnotation is the digest of the uncompressed tar, which oras
	// verifies.
	contentAnnotation = "io.deis.oras.content.digest"
)

// image is an artifact in a registry: a manifest and the blobs that it names.
type image struct {
	manifest, config, layer stored
}

// stored is a blob or manifest.
type stored struct {
	ocispec.Descriptor
	data []byte
}

func newStored(mediaType string, data []byte) stored {
	return stored{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data}
}

// emptyConfig is an image configuration without information. Flux and other
// clients may require one but do not use it.
const emptyConfig = `{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`

// newImage creates the same image as flux push artifact, but without the time
// of creation, which would change the digest each time. For oras, the layer is
// a directory to unpack in place; its names start at the root, as Flux
// requires.
func newImage(packed *archive, annotations map[string]string) (*image, error) {
	config := newStored(fluxConfig, []byte(emptyConfig))
	layer := newStored(oci.FluxContent, packed.data)
	layer.Annotations = map[string]string{
		ocispec.AnnotationTitle: ".", oci.UnpackAnnotation: "true", contentAnnotation: packed.content.String(),
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.Descriptor, Layers: []ocispec.Descriptor{layer.Descriptor}, Annotations: annotations,
	})
	if err != nil {
		return nil, err
	}
	return &image{newStored(ocispec.MediaTypeImageManifest, manifest), config, layer}, nil
}

func (i *image) size() int64 { return i.manifest.Size + i.config.Size + i.layer.Size }
