// Package cosign verifies that one of some public keys, or one of some
// identities with a certificate, signed an artifact, as cosign verify does.
//
//	signers := cosign.Signers{KeyFiles: []string{"cosign.pub"}}
//	err = signers.Verify(ctx, repository, manifest)
//
// Signatures come from the artifact's own repository, and are bounded in number
// and size. No other service is asked.
package cosign

import (
	"cmp"
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
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Signers are whose signatures are valid. The signature of any of them is
// enough.
type Signers struct {
	// KeyFiles contain public keys of Cosign (PEM).
	KeyFiles []string
	// Identities are those of certificates, which signers without keys use.
	Identities []Identity
	// TrustedRootFile is the trusted_root.json with the authorities and logs that
	// these certificates and signatures must come from.
	TrustedRootFile string
}

// None reports whether there are no signers, so nothing has to be signed.
func (s Signers) None() bool { return len(s.KeyFiles) == 0 && len(s.Identities) == 0 }

// read reads all files. They are read each time, because they can be replaced.
func (s Signers) read() (t trust, err error) {
	if t.keys, err = ReadKeys(s.KeyFiles); err == nil && len(s.Identities) > 0 {
		t.certificates, err = readCertificates(s.Identities, s.TrustedRootFile)
	}
	return t, err
}

// trust is what the files of Signers contain.
type trust struct {
	keys Keys
	// certificates is nil if there are no identities.
	certificates *certificates
}

// Verify returns nil if one of the signers signed the manifest. Cosign stores
// signatures in the same repository: as a Sigstore bundle that refers to the
// manifest, or under a tag made of its digest. One valid signature is enough,
// whatever else is there. Verify asks only the registry.
//
// If there is no valid signature, the error is a fault. Unlike other faults, it
// must not be remembered for the digest, because an artifact is signed after it
// was pushed, and may be signed again. If the answer is unknown, the error is
// not a fault. Verify usually sends four small requests, and some 300 at most;
// ctx bounds their time.
func (s Signers) Verify(ctx context.Context, repo *ociremote.Repository, manifest ocispec.Descriptor) error {
	if err := manifest.Digest.Validate(); err != nil {
		return err
	}
	t, err := s.read()
	if err != nil {
		return err
	}
	return t.verify(ctx, repo, manifest)
}

func (t trust) verify(ctx context.Context, repo *ociremote.Repository, manifest ocispec.Descriptor) error {
	s := newSearch(t, repo, manifest)
	// An error with bundles must not hide a valid signature under the tag: an
	// old registry may support only tags.
	var unknown error
	for _, check := range []func(context.Context) error{s.bundles, s.tagged} {
		err := check(ctx)
		var retry *fleet.RetryError
		if err == nil || ctx.Err() != nil || errors.As(err, &retry) {
			return err
		}
		if !s.record(err) {
			unknown = cmp.Or(unknown, err)
		}
	}
	return cmp.Or(unknown, s.fault())
}

// badSignature says why a signature that was found is not valid.
type badSignature string

func (b badSignature) Error() string { return string(b) }

const anotherKey badSignature = "made with none of the keys of --verify-oci-keys"

func anotherArtifact(named string) badSignature {
	return badSignature("made for another artifact, " + message.Clean(named))
}

const (
	// maxSignatures is the maximum number of signatures to fetch for each
	// layout.
	maxSignatures = 100
	tooMany       = badSignature("not checked, because there are too many")
	// maxSignatureSize is the maximum size of a signature's manifest and of its
	// layer. Signatures with a key have less than 1 KiB, those with
	// certificates and log entries about 10 KiB.
	maxSignatureSize = 1 << 20
	// maxList is the maximum size of a list of signatures.
	maxList = 4 << 20
)

// search looks for a valid signature of one manifest.
type search struct {
	trust    trust
	repo     *ociremote.Repository
	manifest ocispec.Descriptor
	// found counts the signatures that are not valid, and reasons says why,
	// each reason once.
	found   int
	reasons []string
	// texts are the signed texts that were read. Each is read once, because
	// signing an artifact again produces the same text.
	texts map[digest.Digest]func() ([]byte, error)
}

// newSearch copies only the address and the client from repo. What
// repo has learned about the registry's abilities may be temporary.
func newSearch(t trust, repo *ociremote.Repository, manifest ocispec.Descriptor) *search {
	return &search{trust: t, manifest: manifest, texts: map[digest.Digest]func() ([]byte, error){}, repo: &ociremote.Repository{
		Client: repo.Client, Reference: repo.Reference, PlainHTTP: repo.PlainHTTP,
		MaxMetadataBytes: maxList, ReferrerListMaxPages: 10,
	}}
}

// noneValid is the error for signatures whose reasons are recorded.
const noneValid badSignature = ""

// first returns nil once a check of one of n signatures does.
func (s *search) first(n int, check func(i int) error) error {
	for i := range n {
		if err := check(i); err == nil || !s.record(err) {
			return err
		}
	}
	return noneValid
}

// record records why a signature is not valid. It returns false for any other
// error.
func (s *search) record(err error) bool {
	var bad badSignature
	if !errors.As(err, &bad) {
		return false
	}
	if bad == noneValid {
		return true
	}
	s.found++
	if !slices.Contains(s.reasons, bad.Error()) {
		s.reasons = append(s.reasons, bad.Error())
	}
	return true
}

// fault returns the fault for a search without a valid signature.
func (s *search) fault() error {
	name := s.repo.Reference.Registry + "/" + s.repo.Reference.Repository + "@" + s.manifest.Digest.String()
	wrong := "the artifact is not signed"
	if s.found > 0 {
		wrong = fmt.Sprintf("none of the artifact's signatures is valid (%d found: %s)", s.found, strings.Join(s.reasons[:min(3, len(s.reasons))], "; "))
	}
	with := "--key cosign.key "
	if s.trust.certificates != nil {
		with = ""
	}
	return tree.NewFault("", "%s: sign it with cosign sign %s%s", wrong, with, name)
}

// read returns the content of a tag or digest, bounded in size and verified
// against the digest. It does not use descriptors, because a digest is enough
// to verify.
func (s *search) read(ctx context.Context, store registry.ReferenceFetcher, name string) ([]byte, error) {
	held, body, err := store.FetchReference(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if held.Size > maxSignatureSize {
		return nil, badSignature("it is larger than " + message.Size(maxSignatureSize))
	}
	text, err := content.ReadAll(body, held)
	if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) {
		return nil, badSignature("it does not match its digest")
	}
	return text, err
}

// readListed reads content that a manifest lists, and that must therefore
// exist.
func (s *search) readListed(ctx context.Context, store registry.ReferenceFetcher, name digest.Digest) ([]byte, error) {
	if name.Validate() != nil {
		return nil, badSignature("it has no digest")
	}
	text, err := s.read(ctx, store, name.String())
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, badSignature("the registry lists it but does not have it")
	}
	return text, err
}
