package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	ociremote "oras.land/oras-go/v2/registry/remote"

	"github.com/tributary-gitops/tributary/fleet"
)

// verify holds that one of the keys signed the manifest, which Cosign keeps in
// the repository beside it: as a Sigstore bundle that refers to it, or under a
// tag made of its digest. One good signature is enough, whatever else is there.
// Nobody is asked but the registry.
//
// Where there is none it returns a fault, which unlike others must not be
// remembered for the digest: an artifact is signed after it was pushed, and may
// be signed again. Where that could not be found out, the error is no fault. It
// costs four small requests as a rule, and some 300 at most; ctx bounds their
// time.
func (k cosignKeys) verify(ctx context.Context, repo *ociremote.Repository, manifest ocispec.Descriptor) error {
	if err := manifest.Digest.Validate(); err != nil {
		return err
	}
	s := newSignatureSearch(k, repo, manifest)
	good, err := s.bundles(ctx)
	if good || mustStop(ctx, err) {
		return err
	}
	// What goes wrong with bundles must not hide a good signature under the tag:
	// a registry may be too old for the one and right for the other.
	good, other := s.tagged(ctx)
	switch {
	case good:
		return nil
	case mustStop(ctx, other), err == nil && other != nil:
		return other
	case err != nil:
		return err
	}
	return s.fault()
}

// final tells whether the registry is not to be asked again for now.
func mustStop(ctx context.Context, err error) bool {
	var retry *fleet.RetryError
	return err != nil && (ctx.Err() != nil || errors.As(err, &retry))
}

// badSignature says why what was found is no good signature.
type badSignature string

func (b badSignature) Error() string { return string(b) }

const anotherKey badSignature = "made with none of the keys of --verify-oci-keys"

func anotherArtifact(named string) badSignature {
	return badSignature("made for another artifact, " + clean(named))
}

const (
	// maxSignatures is how many signatures of each layout are fetched.
	maxSignatures = 100
	tooMany       = badSignature("not checked, because there are too many")
	// maxSignatureSize is for each of their manifests and layers. Those of a key
	// alone are of less than 1 KiB, those with certificates and entries of logs
	// of some 10 KiB.
	maxSignatureSize = 1 << 20
)

// signatureSearch looks for a good signature of one manifest.
type signatureSearch struct {
	keys     cosignKeys
	repo     *ociremote.Repository
	manifest ocispec.Descriptor
	// found counts signatures that are not good, and reasons says why, each once.
	found   int
	reasons []string
}

// newSignatureSearch takes but the address and the client from repo, because
// what it learns of the registry's abilities may be a slip of this moment.
func newSignatureSearch(k cosignKeys, repo *ociremote.Repository, manifest ocispec.Descriptor) *signatureSearch {
	return &signatureSearch{keys: k, manifest: manifest, repo: &ociremote.Repository{
		Client: repo.Client, Reference: repo.Reference, PlainHTTP: repo.PlainHTTP,
		MaxMetadataBytes: maxManifest, ReferrerListMaxPages: 10,
	}}
}

// note takes down why a signature is not good; false for any other error.
func (s *signatureSearch) record(err error) bool {
	var bad badSignature
	if !errors.As(err, &bad) {
		return false
	}
	s.found++
	if !slices.Contains(s.reasons, bad.Error()) {
		s.reasons = append(s.reasons, bad.Error())
	}
	return true
}

// fault says that the search was in vain.
func (s *signatureSearch) fault() error {
	name := s.repo.Reference.Registry + "/" + s.repo.Reference.Repository + "@" + s.manifest.Digest.String()
	wrong := "the artifact is not signed"
	if s.found > 0 {
		wrong = fmt.Sprintf("none of the artifact's signatures is valid (%d found: %s)", s.found, strings.Join(s.reasons[:min(3, len(s.reasons))], "; "))
	}
	return &fault{"", wrong + ": sign it with cosign sign --key cosign.key " + name}
}

// read gives what the registry holds under a tag or digest, whole, small and
// true to its digest. What descriptors say of its size is of no use, since a
// digest is enough to tell.
func (s *signatureSearch) read(ctx context.Context, store registry.ReferenceFetcher, name string) ([]byte, error) {
	held, body, err := store.FetchReference(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if held.Size > maxSignatureSize {
		return nil, badSignature("it is larger than " + bytesize(maxSignatureSize))
	}
	text, err := content.ReadAll(body, held)
	if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) {
		return nil, badSignature("it does not match its digest")
	}
	return text, err
}

// readListed is read of what a manifest lists, and so has to be there.
func (s *signatureSearch) readListed(ctx context.Context, store registry.ReferenceFetcher, name digest.Digest) ([]byte, error) {
	if name.Validate() != nil {
		return nil, badSignature("it has no digest")
	}
	text, err := s.read(ctx, store, name.String())
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, badSignature("the registry lists it but does not have it")
	}
	return text, err
}
