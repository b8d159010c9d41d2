package cosign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/verify"
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
func (s *search) tagged(ctx context.Context) error {
	layers, err := s.taggedLayers(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(layers)
	return s.first(len(layers), func(i int) error { return s.checkLayer(ctx, layers[i]) })
}

// taggedLayers returns the layers of the tag's manifest; none if there is no
// such tag.
func (s *search) taggedLayers(ctx context.Context) ([]ocispec.Descriptor, error) {
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
func (s *search) checkLayer(ctx context.Context, layer ocispec.Descriptor) error {
	signed, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
	if err != nil || len(signed) == 0 || layer.MediaType != payloadMediaType {
		return badSignature("in a layer that Cosign did not create")
	}
	if s.texts[layer.Digest] == nil {
		if len(s.texts) == maxSignatures {
			return tooMany
		}
		s.texts[layer.Digest] = sync.OnceValues(func() ([]byte, error) { return s.readListed(ctx, s.repo.Blobs(), layer.Digest) })
	}
	text, err := s.texts[layer.Digest]()
	if err != nil {
		return err
	}
	if err := s.trust.checkSignature(signed, layer.Annotations, text); err != nil {
		return err
	}
	return checkPayload(text, s.manifest.Digest)
}

// checkSignature returns nil if one of the signers signed a text.
func (t trust) checkSignature(signed []byte, annotations map[string]string, text []byte) error {
	byKey := func(k key) bool { return k.VerifySignature(bytes.NewReader(signed), bytes.NewReader(text)) == nil }
	withCertificate := annotations[certificateAnnotation] != ""
	switch {
	case slices.ContainsFunc(t.keys, byKey):
		return nil
	case t.certificates != nil && withCertificate:
		sum := sha256.Sum256(text)
		b, err := taggedBundle(signed, annotations, sum[:])
		if err != nil {
			return badSignature("with a certificate or log entry that cannot be read")
		}
		_, err = t.certificates.check(b, verify.WithArtifact(bytes.NewReader(text)))
		return err
	case len(t.keys) == 0:
		return badSignature("made with a key instead of a certificate")
	case withCertificate:
		return badSignature("made with a certificate instead of a key")
	}
	return anotherKey
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
