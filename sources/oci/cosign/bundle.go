package cosign

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Cosign 3 creates a manifest that refers to the artifact, with one layer, a
// Sigstore bundle. The bundle contains a statement about the artifact and a
// signature of the statement.
const (
	bundleMediaType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signaturePredicate = "https://sigstore.dev/cosign/sign/v1"
)

// bundles checks the bundles that refer to the manifest.
func (s *search) bundles(ctx context.Context) error {
	referrers, err := s.referrers(ctx)
	if err != nil {
		return err
	}
	left := maxSignatures
	return s.first(len(referrers), func(i int) error { return s.checkReferrer(ctx, referrers[i], &left) })
}

// referrers lists the manifests that may be bundles, with the registry's API
// or, if there is none, with the tag that replaces it. If their creation times
// are known, the newest come first, because keys are replaced and artifacts are
// signed again.
func (s *search) referrers(ctx context.Context) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	collect := func(page []ocispec.Descriptor) error {
		all = append(all, slices.DeleteFunc(page, isOtherType)...)
		return nil
	}
	err := s.repo.Referrers(ctx, s.manifest, "", collect)
	if noSuchAPI(err) {
		if err = s.repo.SetReferrersCapability(false); err == nil {
			err = s.repo.Referrers(ctx, s.manifest, "", collect)
		}
	}
	if errors.Is(err, errdef.ErrTooManyPages) || errors.Is(err, errdef.ErrSizeExceedsLimit) {
		s.record(tooMany)
		err = nil
	}
	slices.SortStableFunc(all, func(a, b ocispec.Descriptor) int {
		return cmp.Compare(b.Annotations[ocispec.AnnotationCreated], a.Annotations[ocispec.AnnotationCreated])
	})
	return all, err
}

// isOtherType reports whether a manifest is certainly not a bundle. Some
// registries return the type of the manifest's configuration, which is the
// empty type.
func isOtherType(d ocispec.Descriptor) bool {
	return d.ArtifactType != bundleMediaType && d.ArtifactType != ocispec.MediaTypeEmptyJSON && d.ArtifactType != ""
}

// noSuchAPI reports whether err is one of the answers of registries to an API
// that they do not support.
func noSuchAPI(err error) bool {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

// checkReferrer returns nil for a valid signature. It decrements left if it
// fetches one.
func (s *search) checkReferrer(ctx context.Context, referrer ocispec.Descriptor, left *int) error {
	if predicate := referrer.Annotations["dev.sigstore.bundle.predicateType"]; predicate != "" && predicate != signaturePredicate {
		return attestation(predicate)
	}
	if *left--; *left < 0 {
		return tooMany
	}
	text, err := s.readListed(ctx, s.repo.Manifests(), referrer.Digest)
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != bundleMediaType {
		return badSignature("in a manifest without a bundle")
	}
	if text, err = s.readListed(ctx, s.repo.Blobs(), manifest.Layers[0].Digest); err != nil {
		return err
	}
	return s.trust.checkBundle(text, s.manifest.Digest)
}

// checkBundle returns nil for a bundle in which one of the signers signed the
// statement that this is the artifact. Other tools sign other statements about
// an artifact, such as how it was built, with the same keys; those are not
// signatures of the artifact.
func (t trust) checkBundle(text []byte, artifact digest.Digest) error {
	var b bundle.Bundle
	switch err := b.UnmarshalJSON(text); {
	case err != nil:
		return badSignature("in a bundle that cannot be read")
	case b.GetDsseEnvelope() == nil:
		return badSignature("in a bundle without a statement")
	}
	sum, err := hex.DecodeString(artifact.Encoded())
	if err != nil {
		return err
	}
	signed, err := t.verifyBundle(&b, verify.WithArtifactDigest(artifact.Algorithm().String(), sum))
	if err == nil && signed.Statement.GetPredicateType() != signaturePredicate {
		err = attestation(signed.Statement.GetPredicateType())
	}
	return err
}

// verifyBundle returns what one of the signers signed.
func (t trust) verifyBundle(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	withKey := b.GetVerificationMaterial().GetPublicKey() != nil
	switch {
	case !withKey && t.certificates == nil:
		return nil, badSignature("made with a certificate instead of a key")
	case !withKey:
		return t.certificates.check(b, artifact)
	case len(t.keys) == 0:
		return nil, badSignature("made with a key instead of a certificate")
	}
	why := anotherKey
	for _, key := range t.keys {
		signed, err := key.bundles.Verify(b, verify.NewPolicy(artifact, verify.WithKey()))
		if err == nil {
			return signed, nil
		}
		why = key.rejectionReason(b, why)
	}
	return nil, why
}

// rejectionReason reports whether a bundle was rejected because it is for
// another artifact; otherwise it returns the given reason.
func (k key) rejectionReason(b *bundle.Bundle, otherwise badSignature) badSignature {
	signed, err := k.bundles.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey()))
	if err != nil {
		return otherwise
	}
	return anotherArtifact(subjectDigest(signed.Statement))
}

// subjectDigest returns the digest of the artifact that a statement is about.
func subjectDigest(s *intoto.Statement) string {
	for _, subject := range s.GetSubject() {
		if hash := subject.GetDigest()["sha256"]; hash != "" {
			return "sha256:" + hash
		}
	}
	return "which has no digest"
}

func attestation(of string) badSignature {
	return badSignature("an attestation of " + message.Clean(of) + ", which is not a signature")
}
