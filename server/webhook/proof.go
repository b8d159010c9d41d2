package webhook

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// proof is what a webhook shows to prove that its sender knows a secret: the secret
// itself, or signatures of the body, any of which may be the right one.
type proof struct {
	token string

	signatures   [][]byte
	hash         func() hash.Hash
	key          func(secret) []byte // nil for a secret that cannot sign
	signedPrefix string              // what is signed ahead of the body
}

var errNotProven = fmt.Errorf("%w: the webhook is signed with none of the secrets in the file of --webhook-secret-file: give its sender one of them",
	fleet.ErrUnauthenticated)

// verify reads body to its end, and returns the signature that one of the secrets makes,
// or nil for a token. It keeps nothing of the body, so a body that nobody signed costs
// no memory, however long it is.
func (p proof) verify(body io.Reader, known []secret) ([]byte, error) {
	if p.signatures == nil {
		if !isKnown(known, p.token) {
			return nil, errNotProven
		}
		return nil, readAll(body, io.Discard)
	}
	var macs []hash.Hash
	var all []io.Writer
	for _, s := range known {
		if key := p.key(s); key != nil {
			mac := hmac.New(p.hash, key)
			macs, all = append(macs, mac), append(all, mac)
		}
	}
	if err := readAll(io.MultiReader(strings.NewReader(p.signedPrefix), body), io.MultiWriter(all...)); err != nil {
		return nil, err
	}
	for _, mac := range macs {
		want := mac.Sum(nil)
		for _, signature := range p.signatures {
			if hmac.Equal(signature, want) {
				return want, nil
			}
		}
	}
	return nil, errNotProven
}

// readAll copies the body to its end.
func readAll(body io.Reader, into io.Writer) error {
	if _, err := io.Copy(into, body); err != nil {
		return api.BodyError(err)
	}
	return nil
}

// hexProof reads a signature in hexadecimal of the body alone.
func hexProof(signature string, algorithm func() hash.Hash) (proof, error) {
	raw, err := hex.DecodeString(signature)
	if err != nil || len(raw) != algorithm().Size() {
		return proof{}, errNotProven
	}
	return proof{signatures: [][]byte{raw}, hash: algorithm, key: func(s secret) []byte { return s.text }}, nil
}
