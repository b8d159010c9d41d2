package sources

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	fluxConfig = "application/vnd.cncf.flux.config.v1+json"
	// contentAnnotation is the digest of the tar within, which oras checks.
	contentAnnotation  = "io.deis.oras.content.digest"
	sourceAnnotation   = ocispec.AnnotationSource
	revisionAnnotation = ocispec.AnnotationRevision
	createdAnnotation  = ocispec.AnnotationCreated
)

// image is what a registry keeps of an artifact: a manifest, and the blobs that
// it names.
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

// emptyConfig is an image's that says nothing, which Flux and others may want to
// read but take nothing from.
const emptyConfig = `{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`

// newImage makes what flux push artifact would, but for times: one that says
// when it was made would be another one each time. To oras the layer is a
// directory to unpack in place, whose names are from the root as Flux wants them.
func newImage(packed *archive, annotations map[string]string) (*image, error) {
	config := newStored(fluxConfig, []byte(emptyConfig))
	layer := newStored(fluxContent, packed.data)
	layer.Annotations = map[string]string{
		titleAnnotation: ".", unpackAnnotation: "true", contentAnnotation: packed.content.String(),
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
