package cosign

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Cosign 1 and 2 create a manifest under a tag of its own, with a layer for
// each signature. The layer is the text that was signed, and its annotation is
// the signature.
const (
	payloadMediaType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	payloadType         = "cosign container image signature"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// tagged checks the signatures under the tag. The newest come first, because
// Cosign appends them.
func (s *signatureSearch) tagged(ctx context.Context) (good bool, err error) {
	layers, err := s.taggedLayers(ctx)
	if err != nil {
		return false, unlessRecorded(s.record(err), err)
	}
	payloads := &payloads{search: s, read: map[digest.Digest]payload{}}
	for _, layer := range slices.Backward(layers) {
		err := s.checkLayer(ctx, layer, payloads)
		if err == nil {
			return true, nil
		}
		if !s.record(err) {
			return false, err
		}
	}
	return false, nil
}

func unlessRecorded(noted bool, err error) error {
	if noted {
		return nil
	}
	return err
}

// taggedLayers returns the layers of the tag's manifest; none if there is no
// such tag.
func (s *signatureSearch) taggedLayers(ctx context.Context) ([]ocispec.Descriptor, error) {
	of := s.manifest.Digest
	text, err := s.read(ctx, s.repo.Manifests(), of.Algorithm().String()+"-"+of.Encoded()+".sig")
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil {
		return nil, badSignature("their manifest cannot be read")
	}
	return manifest.Layers, nil
}

// checkLayer returns nil for a valid signature.
func (s *signatureSearch) checkLayer(ctx context.Context, layer ocispec.Descriptor, from *payloads) error {
	signed, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
	if err != nil || len(signed) == 0 || layer.MediaType != payloadMediaType {
		return badSignature("in a layer that Cosign did not create")
	}
	text, err := from.payload(ctx, layer.Digest)
	if err != nil {
		return err
	}
	if !s.keys.verifies(text, signed) {
		return anotherKey
	}
	return checkPayload(text, s.manifest.Digest)
}

func (k Keys) verifies(text, by []byte) bool {
	return slices.ContainsFunc(k, func(key key) bool {
		return key.VerifySignature(bytes.NewReader(by), bytes.NewReader(text)) == nil
	})
}

// checkPayload checks the content of a signed text, because anyone who can push
// may copy the signature of one artifact to another.
func checkPayload(text []byte, manifest digest.Digest) error {
	var p struct {
		Critical struct {
			Type  string
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			}
		}
	}
	switch err := json.Unmarshal(text, &p); {
	case err != nil, p.Critical.Type != payloadType:
		return badSignature("of something that is not an artifact")
	case p.Critical.Image.Digest != manifest.String():
		return anotherArtifact(p.Critical.Image.Digest)
	}
	return nil
}

// payloads reads each text once, because signing an artifact again produces the
// same text.
type payloads struct {
	search *signatureSearch
	read   map[digest.Digest]payload
}

type payload struct {
	text []byte
	err  error
}

func (p *payloads) payload(ctx context.Context, name digest.Digest) ([]byte, error) {
	if known, ok := p.read[name]; ok {
		return known.text, known.err
	}
	if len(p.read) == maxSignatures {
		return nil, tooMany
	}
	text, err := p.search.readListed(ctx, p.search.repo.Blobs(), name)
	p.read[name] = payload{text, err}
	return text, err
}
