package cosign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// FuzzCosignBundle checks that no text makes the reader of bundles panic, and
// that none is accepted as a signature except the one statement that the key
// has signed for the artifact. The key has also signed a statement for another
// artifact, and an attestation.
func FuzzCosignBundle(f *testing.F) {
	// The key is always the same, because the workers share what they find.
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		f.Fatal(err)
	}
	keys, err := parseKey(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err != nil {
		f.Fatal(err)
	}
	signers := trust{keys: keys}
	artifact := digest.FromString("an artifact")
	good := statement(artifact, signaturePredicate)
	f.Add(signedBundle(f, private, good))
	f.Add(signedBundle(f, private, statement(artifact, "https://slsa.dev/provenance/v1")))
	f.Add(signedBundle(f, private, statement(digest.FromString("another"), signaturePredicate)))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":""}},"messageSignature":{}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{},"tlogEntries":[{}]},"dsseEnvelope":{"signatures":[null]}}`))
	if err := signers.checkBundle(signedBundle(f, private, good), artifact); err != nil {
		f.Fatalf("a good bundle is refused: %v", err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if signers.checkBundle(text, artifact) != nil {
			return
		}
		var b bundle.Bundle
		if err := b.UnmarshalJSON(text); err != nil || string(b.GetDsseEnvelope().GetPayload()) != good {
			t.Fatalf("taken for a signature: %s", text)
		}
	})
}

func statement(of digest.Digest, predicate string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, of.Encoded(), predicate)
}

// signedBundle returns Cosign's bundle for a statement.
func signedBundle(f *testing.F, key crypto.Signer, payload string) []byte {
	f.Helper()
	const payloadType = "application/vnd.in-toto+json"
	hash := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	signature, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"mediaType":            bundleMediaType,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": ""}},
		"dsseEnvelope":         map[string]any{"payload": []byte(payload), "payloadType": payloadType, "signatures": []any{map[string]any{"sig": signature}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	return text
}
