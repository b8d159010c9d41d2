package cosign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/testing/data"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// TestPublicSigstore checks a bundle of the public Sigstore, with a certificate
// that is in a log of certificates, against its trusted root.
func TestPublicSigstore(t *testing.T) {
	t.Parallel()
	b := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json")
	read := func(subject, trusted string) *certificates {
		t.Helper()
		text, err := data.TrustedRoot(t, trusted).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "trusted_root.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readCertificates([]Identity{{"^https://token.actions.githubusercontent.com$", subject}}, file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const repository = "https://github.com/sigstore/sigstore-js/"
	signed, err := read("^"+repository, "public-good.json").check(b, verify.WithoutArtifactUnsafe())
	if err != nil || signed.Statement.GetPredicateType() != "https://slsa.dev/provenance/v1" {
		t.Errorf("check = %v, %v, want the statement", signed, err)
	}
	for trusted, want := range map[string]string{
		"public-good.json": "made by " + repository + ".github/workflows/release.yml@refs/heads/main of https://token.actions.githubusercontent.com, and wanted is issuer=",
		"scaffolding.json": "no authority in --verify-oci-trusted-root has issued",
	} {
		_, err := read("^https://github.com/acme/", trusted).check(b, verify.WithoutArtifactUnsafe())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s: %v, want %q", trusted, err, want)
		}
	}
}
