package cosign

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Identity is who may sign without a key: regular expressions that match the
// issuer and the subject of the signer's certificate, as in Flux's
// OCIRepository.spec.verify.matchOIDCIdentity. They match a part of the text
// unless they begin with ^ and end with $.
type Identity struct{ Issuer, Subject string }

var identity = regexp.MustCompile(`^issuer=(\S+)\s+subject=(\S+)$`)

// ParseIdentity parses "issuer=REGEXP subject=REGEXP".
func ParseIdentity(text string) (Identity, error) {
	parts := identity.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return Identity{}, fmt.Errorf("%s is not an identity: write 'issuer=REGEXP subject=REGEXP'", message.Printable(text))
	}
	for _, expression := range parts[1:] {
		if _, err := regexp.Compile(expression); err != nil {
			return Identity{}, fmt.Errorf("%s is not a regular expression in Go's syntax", message.Printable(expression))
		}
	}
	return Identity{parts[1], parts[2]}, nil
}

func (i Identity) String() string { return "issuer=" + i.Issuer + " subject=" + i.Subject }

// certificates verifies signatures that were made with a short-lived
// certificate, as Fulcio issues, instead of a key.
type certificates struct {
	wanted   []Identity
	accepted verify.CertificateIdentities
	trusted  *root.TrustedRoot
	verifier *verify.Verifier
}

// readCertificates reads a trusted_root.json. It says which services a Sigstore
// deployment consists of: where it has transparency logs, a signature must be
// in one of them, and where it has logs of certificates, so must the
// certificate. A signature must have been made while its certificate was valid,
// by a log's or a timestamp authority's clock. Nothing is asked of any service.
func readCertificates(wanted []Identity, file string) (*certificates, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := &certificates{wanted: wanted}
	if c.trusted, err = root.NewTrustedRootFromJSON(text); err != nil {
		return nil, fmt.Errorf("%s: is not a trusted_root.json: write one with cosign trusted-root create", file)
	}
	if len(c.trusted.FulcioCertificateAuthorities()) == 0 {
		return nil, fmt.Errorf("%s: names no certificate authority, so no signature could be valid", file)
	}
	for _, i := range wanted {
		accepted, err := verify.NewShortCertificateIdentity("", i.Issuer, "", i.Subject)
		if err != nil {
			return nil, err
		}
		c.accepted = append(c.accepted, accepted)
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate()}
	if len(c.trusted.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(c.trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	c.verifier, err = verify.NewVerifier(c.trusted, options...)
	return c, err
}

// check returns nil if a bundle is valid, for that artifact, and made by one of
// the identities.
func (c *certificates) check(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	signed, err := c.verifier.Verify(b, verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return nil, c.rejectionReason(b)
	}
	signer := signed.Signature.Certificate
	if _, err := c.accepted.Verify(*signer); err != nil {
		return nil, badSignature(fmt.Sprintf("made by %s of %s, and wanted is %s", message.Clean(signer.SubjectAlternativeName), message.Clean(signer.Issuer), c.names()))
	}
	return signed, nil
}

func (c *certificates) names() string {
	names := make([]string, len(c.wanted))
	for i, wanted := range c.wanted {
		names[i] = wanted.String()
	}
	return strings.Join(names, " or ")
}

// rejectionReason returns why the verifier rejected a bundle. It repeats the
// verifier's steps, because the verifier's errors have no types.
func (c *certificates) rejectionReason(b *bundle.Bundle) badSignature {
	found, err := b.VerificationContent()
	if err != nil || found.Certificate() == nil {
		return "in a bundle without a certificate"
	}
	leaf := found.Certificate()
	if _, err := verify.VerifyLeafCertificate(leaf.NotAfter, leaf, c.trusted); err != nil {
		return "made with a certificate that no authority in --verify-oci-trusted-root has issued"
	}
	entries, _ := b.TlogEntries() // They were read when the bundle was.
	for _, entry := range entries {
		if at := entry.IntegratedTime(); !at.IsZero() && (at.Before(leaf.NotBefore) || at.After(leaf.NotAfter)) {
			return badSignature(fmt.Sprintf("made with a certificate that was valid until %s, and logged at %s", leaf.NotAfter.UTC().Format("2006-01-02 15:04:05"), at.UTC().Format("2006-01-02 15:04:05")))
		}
	}
	logged, err := c.verifier.VerifyTransparencyLogInclusion(b)
	if err != nil && len(entries) == 0 {
		return "without an entry in a transparency log"
	}
	if err != nil {
		return "without a valid entry in a transparency log of --verify-oci-trusted-root"
	}
	if _, err := c.verifier.VerifyObserverTimestamps(b, logged); err != nil {
		return "without a time from a log or timestamp authority of --verify-oci-trusted-root"
	}
	signed, err := c.verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe()))
	switch {
	case err != nil:
		return "not valid, or made with a certificate that was not valid at the time or is in no log of certificates of --verify-oci-trusted-root"
	case signed.Statement != nil:
		return anotherArtifact(subjectDigest(signed.Statement))
	}
	return "of another text"
}

// The annotations of a signature under a tag that was made with a certificate.
const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	logEntryAnnotation    = "dev.sigstore.cosign/bundle"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

// taggedBundle returns a signature of Cosign 1 and 2 as the bundle that it
// would be today.
func taggedBundle(signature []byte, annotations map[string]string, textDigest []byte) (*bundle.Bundle, error) {
	block, _ := pem.Decode([]byte(annotations[certificateAnnotation]))
	if block == nil {
		return nil, errors.New("it has no certificate")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{
		X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}}},
	}}
	if text := annotations[logEntryAnnotation]; text != "" {
		entry, err := taggedLogEntry(text)
		if err != nil {
			return nil, err
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := annotations[timestampAnnotation]; text != "" {
		var timestamp struct{ SignedRFC3161Timestamp []byte }
		if err := json.Unmarshal([]byte(text), &timestamp); err != nil {
			return nil, err
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: timestamp.SignedRFC3161Timestamp}},
		}
	}
	return bundle.NewBundle(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1", VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: textDigest}, Signature: signature,
		}},
	})
}

// taggedLogEntry parses what Rekor answered to Cosign 1 and 2.
func taggedLogEntry(text string) (*protorekor.TransparencyLogEntry, error) {
	var logged struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte
			IntegratedTime int64
			LogIndex       int64
			LogID          string
		}
	}
	if err := json.Unmarshal([]byte(text), &logged); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(logged.Payload.LogID)
	if err != nil {
		return nil, err
	}
	var kind struct{ Kind, APIVersion string }
	if err := json.Unmarshal(logged.Payload.Body, &kind); err != nil {
		return nil, err
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: logged.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id},
		KindVersion:    &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime: logged.Payload.IntegratedTime, CanonicalizedBody: logged.Payload.Body,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: logged.SignedEntryTimestamp},
	}, nil
}
