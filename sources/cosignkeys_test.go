package sources_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// signers returns a key of each kind that Cosign signs with. They are made once
// for all tests.
func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	keys, err := makeSigners()
	must(t, err)
	return keys
}

var makeSigners = sync.OnceValues(func() (map[string]crypto.Signer, error) {
	keys, errs := map[string]crypto.Signer{}, make([]error, 5)
	keys["p256"], errs[0] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys["p384"], errs[1] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	keys["p521"], errs[2] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, keys["ed25519"], errs[3] = ed25519.GenerateKey(rand.Reader)
	keys["rsa"], errs[4] = rsa.GenerateKey(rand.Reader, 2048)
	return keys, errors.Join(errs...)
})

// importKey imports a key into Cosign's format.
func importKey(t *testing.T, key crypto.Signer) cosignKey {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pemBlock("PRIVATE KEY", der), 0o600))
	cosign(t, dir, "import-key-pair", "--key", "key.pem", "--output-key-prefix", "cosign", "--yes")
	return cosignKey{t, filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")}
}

func pemBlock(name string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: name, Bytes: der})
}

func publicBlock(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return pemBlock("PUBLIC KEY", der)
}

func TestCosignAcceptsEachKindOfKey(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	wrong, _ := cosignKeys(t)
	for kind, signer := range signers(t) {
		key := importKey(t, signer)
		for layout := range cosignLayouts {
			t.Run(kind+", "+layout, func(t *testing.T) {
				tag := kind + "-" + layout
				digest := server.pushSome(tag, tag)
				key.sign(layout, server.name(digest))
				fetch(t, server.openSigned(tag, key), "")
				wantRefused(t, server.openSigned(tag, wrong), tag+"@"+digest, "none of the keys")
			})
		}
	}
}

// TestCosignAcceptsSignaturesOfOlderVersions uses the hash algorithms of Cosign 1
// and 2, which Flux supports.
func TestCosignAcceptsSignaturesOfOlderVersions(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	for kind, signer := range signers(t) {
		t.Run(kind, func(t *testing.T) {
			digest := server.pushSome(kind, kind)
			text := `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`
			hash := sha256.Sum256([]byte(text))
			message, how := hash[:], crypto.SignerOpts(crypto.SHA256)
			if kind == "ed25519" {
				message, how = []byte(text), crypto.Hash(0)
			}
			signature, err := signer.Sign(rand.Reader, message, how)
			must(t, err)
			annotations := map[string]string{cosignSignatureNote: base64.StdEncoding.EncodeToString(signature)}
			server.pushImage("fleet", sigTag(digest), ocispec.MediaTypeImageConfig, blob{cosignPayload, []byte(text), annotations})
			public := filepath.Join(t.TempDir(), "key.pub")
			must(t, os.WriteFile(public, publicBlock(t, signer), 0o600))
			fetch(t, server.openSigned(kind, cosignKey{t, "", public}), "")
		})
	}
}

func TestCosignInvalidKeyFileIsNamed(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	good, _ := cosignKeys(t)
	good.sign("bundle", server.name(server.pushSome("v1", "one")))
	public, err := os.ReadFile(good.public)
	must(t, err)
	private, err := os.ReadFile(good.private)
	must(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	plain := signers(t)["p256"]
	der, err := x509.MarshalPKCS8PrivateKey(plain)
	must(t, err)
	certificate, err := os.ReadFile(newTestTLS(t).caFile)
	must(t, err)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":                  {nil, "contains no public key in PEM format"},
		"noise":                  {[]byte("noise"), "contains no public key in PEM format"},
		"private key":            {private, "contains a private key, which must not be here"},
		"private key cut short":  {private[:100], "contains a private key, which must not be here"},
		"private key after good": {append(public[:len(public):len(public)], private...), "contains a private key, which must not be here"},
		"plain private key":      {pemBlock("PRIVATE KEY", der), "contains a private key, which must not be here"},
		"old private key":        {pemBlock("EC PRIVATE KEY", []byte("x")), "contains a private key, which must not be here"},
		"certificate":            {certificate, "contains a certificate"},
		"something else":         {pemBlock("PGP MESSAGE", []byte("x")), "a PEM block of type PGP MESSAGE"},
		"cut short":              {public[:len(public)-10], "a PEM block that cannot be read"},
		"cut short before good":  {append(public[:60:60], append([]byte("\n"), public...)...), "a PEM block that cannot be read"},
		"no key":                 {pemBlock("PUBLIC KEY", []byte("x")), "a public key that cannot be read"},
		"no RSA key":             {pemBlock("RSA PUBLIC KEY", []byte("x")), "a public key that cannot be read"},
		"RSA of 1024 bits":       {publicBlock(t, short), "an RSA key of 1024 bits"},
		"P-224":                  {publicBlock(t, odd), "of a kind that Cosign does not sign with"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "trusted.pub")
			must(t, os.WriteFile(file, c.content, 0o600))
			err := fetchError(t, server.openSigned("v1", good, cosignKey{t, "", file}), "trusted.pub", c.want)
			if _, ok := refusedRevision(err); ok {
				t.Errorf("error = %v, want none of the artifact", err)
			}
			for line := range strings.Lines(string(c.content)) {
				if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(err.Error(), line) {
					t.Errorf("error = %v, want it to show nothing of the file", err)
				}
			}
		})
	}
	gone := cosignKey{t, "", filepath.Join(t.TempDir(), "gone.pub")}
	fetchError(t, server.openSigned("v1", good, gone), "gone.pub", "no such file")
}
