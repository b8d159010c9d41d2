package sources

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"oras.land/oras-go/v2/errdef"
)

// What Cosign 3 makes: a manifest that refers to the artifact, with one layer,
// a Sigstore bundle. That holds a statement about the artifact, and a signature
// of the statement.
const (
	bundleMediaType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signaturePredicate = "https://sigstore.dev/cosign/sign/v1"
)

// bundles looks at the bundles that refer to the manifest.
func (s *signatureSearch) bundles(ctx context.Context) (good bool, err error) {
	referrers, err := s.referrers(ctx)
	if err != nil {
		return false, err
	}
	left := maxSignatures
	for _, referrer := range referrers {
		err := s.checkReferrer(ctx, referrer, &left)
		if err == nil {
			return true, nil
		}
		if !s.record(err) {
			return false, err
		}
	}
	return false, nil
}

// referrers lists what may be bundles, by the registry's API or, where it has
// none, by the tag that takes its place. The newest come first where it is told
// when they were made, since keys are replaced and artifacts signed again.
func (s *signatureSearch) referrers(ctx context.Context) ([]ocispec.Descriptor, error) {
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

// noBundle tells what is something else for certain. Some registries tell the
// type of the manifest's configuration in place of its own, which is that of
// nothing.
func isOtherType(d ocispec.Descriptor) bool {
	return d.ArtifactType != bundleMediaType && d.ArtifactType != ocispec.MediaTypeEmptyJSON && d.ArtifactType != ""
}

// noSuchAPI knows what registries say, beside 404, to a request they were not
// made for.
func noSuchAPI(err error) bool {
	switch status(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

// checkReferrer returns nil for a good signature. It takes one from left where
// it fetches.
func (s *signatureSearch) checkReferrer(ctx context.Context, referrer ocispec.Descriptor, left *int) error {
	if said := referrer.Annotations["dev.sigstore.bundle.predicateType"]; said != "" && said != signaturePredicate {
		return attestation(said)
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
	return s.keys.checkBundle(text, s.manifest.Digest)
}

// checkBundle returns nil for a bundle in which one of the keys signed the
// statement that this is the artifact. Statements of other things about it, such
// as how it was built, are signed with the same keys by other tools, and say
// nothing of who may be served it.
func (k cosignKeys) checkBundle(text []byte, artifact digest.Digest) error {
	var b bundle.Bundle
	switch err := b.UnmarshalJSON(text); {
	case err != nil:
		return badSignature("in a bundle that cannot be read")
	case b.GetDsseEnvelope() == nil:
		return badSignature("in a bundle without a statement")
	case b.GetVerificationMaterial().GetPublicKey() == nil:
		return badSignature("made with a certificate instead of a key")
	}
	sum, err := hex.DecodeString(artifact.Encoded())
	if err != nil {
		return err
	}
	why := anotherKey
	for _, key := range k {
		signed, err := key.bundles.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest(artifact.Algorithm().String(), sum), verify.WithKey()))
		switch {
		case err != nil:
			why = key.rejectionReason(&b, why)
		case signed.Statement.GetPredicateType() != signaturePredicate:
			return attestation(signed.Statement.GetPredicateType())
		default:
			return nil
		}
	}
	return why
}

// whyNot finds out whether it was for the artifact that a bundle was turned
// down; otherwise is the reason if not.
func (k cosignKey) rejectionReason(b *bundle.Bundle, otherwise badSignature) badSignature {
	signed, err := k.bundles.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey()))
	if err != nil {
		return otherwise
	}
	for _, subject := range signed.Statement.GetSubject() {
		if hash := subject.GetDigest()["sha256"]; hash != "" {
			return anotherArtifact("sha256:" + hash)
		}
	}
	return anotherArtifact("which has no digest")
}

func attestation(of string) badSignature {
	return badSignature("an attestation of " + clean(of) + ", which is not a signature")
}
