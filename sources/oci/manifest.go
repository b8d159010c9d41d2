package oci

import (
	"encoding/json"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// maxLayers is more than any tool creates.
const maxLayers = 128

// manifest is the manifest of an image or an index, from the OCI specification
// or Docker. Its fields tell which it is. The media type that the registry
// claims is ignored, because neither digest nor signature covers it.
type manifest struct {
	MediaType string               `json:"mediaType"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Manifests []ocispec.Descriptor `json:"manifests"`
	FSLayers  json.RawMessage      `json:"fsLayers"`
	// Annotations are read apart, because nothing depends on them.
	Annotations json.RawMessage `json:"annotations"`
	// Blobs is a field of the artifact manifest, which was dropped from the
	// specification.
	Blobs json.RawMessage `json:"blobs"`
}

func parseManifest(content []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return m, tree.NewFault("", "the manifest is not the JSON of an image; push the artifact again")
	}
	switch {
	case m.FSLayers != nil:
		return m, tree.NewFault("", "the manifest uses Docker's first schema, which is not supported; push the artifact again with a current tool")
	case m.Blobs != nil:
		return m, tree.NewFault("", "the manifest is an OCI artifact manifest, which is obsolete; push the artifact again as an image manifest")
	case m.Layers != nil && m.Manifests != nil:
		return m, tree.NewFault("", "the manifest is an image and an index at once; push the artifact again")
	}
	return m, nil
}

func (m manifest) isIndex() bool { return m.Manifests != nil || isIndexType(m.MediaType) }

func isIndexType(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// image returns the image of an index that is read: the first one for
// linux/amd64 or without a platform, as in Flux. Fleet repos are usually not
// pushed as an index, because their files do not depend on a platform.
func (m manifest) image() (ocispec.Descriptor, error) {
	for _, d := range m.Manifests {
		if d.Platform != nil && (d.Platform.OS != "linux" || d.Platform.Architecture != "amd64") {
			continue
		}
		return d, nil
	}
	return ocispec.Descriptor{}, tree.NewFault("", "the artifact is an index of %d images in place of an image, and none of them is for linux/amd64; push the image itself, or name its digest", len(m.Manifests))
}

var errNestedIndex = tree.NewFault("", "the artifact is an index of indexes in place of an image; push the image itself, or name its digest")

const titleAnnotation = ocispec.AnnotationTitle

// selectLayers returns the layers to read: the first one, or the first one of
// the reference's media type, as in Flux. Layers with titles are all read, as
// oras pull does, unless one layer is to be copied.
func (m manifest) selectLayers(a Reference) ([]ocispec.Descriptor, error) {
	if len(m.Layers) > maxLayers {
		return nil, tree.NewFault("", "the artifact has more than %d layers; push it again as one layer", maxLayers)
	}
	layers := m.Layers
	if a.Layer != "" {
		layers = slices.DeleteFunc(slices.Clone(layers), func(d ocispec.Descriptor) bool { return d.MediaType != a.Layer })
	}
	switch {
	case len(m.Layers) == 0:
		return nil, tree.NewFault("", "the artifact has no layers and so no files; push it again")
	case len(layers) == 0:
		return nil, tree.NewFault("", "the artifact has no layer of media type %s; name one that it has with layer=: %s", a.Layer, m.mediaTypes())
	case a.Copy, layers[0].Annotations[titleAnnotation] == "":
		return layers[:1], nil
	}
	return slices.DeleteFunc(slices.Clone(layers), func(d ocispec.Descriptor) bool { return d.Annotations[titleAnnotation] == "" }), nil
}

// mediaTypes lists the media types of the layers.
func (m manifest) mediaTypes() string {
	var types []string
	for _, d := range m.Layers {
		if !slices.Contains(types, d.MediaType) {
			types = append(types, d.MediaType)
		}
	}
	return message.Clean(strings.Join(types, ", "))
}

// checkLayers checks what can be checked before a layer is pulled.
func checkLayers(layers []ocispec.Descriptor, limits tree.Limits) error {
	var size int64
	for _, d := range layers {
		if err := d.Digest.Validate(); err != nil {
			return tree.NewFault("", "a layer has the digest %s, which is not possible; push the artifact again", message.Clean(message.Printable(string(d.Digest))))
		}
		if d.Size < 0 {
			return tree.NewFault("", "layer %s has a size of %d bytes, which is not possible; push the artifact again", d.Digest, d.Size)
		}
		if d.Size > tree.MaxUnpacked(limits)-size {
			return tree.NewFault("", "layer %s: with its %d bytes the artifact is much larger than %s; move files that no cluster needs out of the fleet repo", d.Digest, d.Size, message.Size(limits.TreeSize))
		}
		size += d.Size
	}
	return nil
}
