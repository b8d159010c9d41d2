package cosign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Keys are public keys. A signature of any of them is valid.
type Keys []key

// key is a public key with one signature algorithm.
type key struct {
	signature.Verifier
	// bundles verifies Sigstore bundles.
	bundles *verify.Verifier
}

// ReadKeys reads public keys in PEM format, such as cosign.pub. A file
// may contain several. A file that contains anything else is an error, because
// a key that is silently skipped is noticed only when it is needed.
func ReadKeys(files []string) (Keys, error) {
	var all Keys
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		blocks, err := pemBlocks(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, block := range blocks {
			keys, err := parseKey(block)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			all = append(all, keys...)
		}
	}
	return all, nil
}

// pemBlocks returns the PEM blocks of a file. Its errors show nothing of the
// content, which may be a secret in the wrong place.
func pemBlocks(content []byte) ([]*pem.Block, error) {
	if bytes.Contains(content, []byte("PRIVATE KEY-----")) {
		return nil, errors.New("contains a private key, which must not be here: name the public key (cosign.pub; `cosign public-key --key cosign.key` prints it)")
	}
	var blocks []*pem.Block
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	switch begun := bytes.Count(content, []byte("-----BEGIN ")); {
	case begun != len(blocks):
		return nil, errors.New("contains a PEM block that cannot be read: copy the public key again, with its first and last line")
	case begun == 0:
		return nil, errors.New("contains no public key in PEM format: name the signer's cosign.pub")
	}
	return blocks, nil
}

// parseKey returns a key once for each algorithm that Cosign uses with
// its kind.
func parseKey(block *pem.Block) ([]key, error) {
	public, err := parsePublic(block)
	if err != nil {
		return nil, err
	}
	loads, err := loadOptions(public)
	if err != nil {
		return nil, err
	}
	keys := make([]key, len(loads))
	for i, load := range loads {
		if keys[i].Verifier, err = signature.LoadVerifierWithOpts(public, load); err != nil {
			return nil, err
		}
		if keys[i].bundles, err = bundleVerifier(keys[i].Verifier); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		return nil, errors.New("contains a certificate: name its public key (`openssl x509 -pubkey -noout -in FILE` prints it)")
	default:
		return nil, fmt.Errorf("contains a PEM block of type %s: name a public key, such as cosign.pub", message.Printable(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("contains a public key that cannot be read: %w", err)
	}
	return key, nil
}

// loadOptions returns the signature algorithms for a kind of key: the ones of
// Cosign 1 and 2, which Flux verifies, and those of Cosign 3 where they differ.
func loadOptions(public crypto.PublicKey) ([]signature.LoadOption, error) {
	ways := []signature.LoadOption{options.WithHash(crypto.SHA256)}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("contains an RSA key of %d bits, which is too weak: use one of 2048 or more", bits)
		}
		return ways, nil
	case *ecdsa.PublicKey:
		switch key.Params().BitSize {
		case 256:
			return ways, nil
		case 384:
			return append(ways, options.WithHash(crypto.SHA384)), nil
		case 521:
			return append(ways, options.WithHash(crypto.SHA512)), nil
		}
	case ed25519.PublicKey:
		return append(ways, options.WithED25519ph()), nil
	}
	return nil, errors.New("contains a key of a kind that Cosign does not sign with: use ECDSA P-256, P-384 or P-521, RSA or Ed25519")
}

// bundleVerifier returns a verifier for a key that verifies as Flux does:
// without a transparency log or timestamps, which would need services other
// than the registry. A key does not expire.
func bundleVerifier(key signature.Verifier) (*verify.Verifier, error) {
	always := root.NewExpiringKey(key, time.Time{}, time.Time{})
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return always, nil })
	return verify.NewVerifier(trusted, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
}
