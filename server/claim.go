package server

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// claim is what a webhook shows to prove that its sender knows a secret: the
// secret itself, or signatures of the body, any of which may be the right one.
type claim struct {
	token string

	signatures [][]byte
	hash       func() hash.Hash
	key        func(secret) []byte // nil for a secret that cannot have signed
	ahead      string              // what was signed ahead of the body
}

var errUnproven = fmt.Errorf("%w: the webhook is signed with none of the secrets in the file of --webhook-secret-file: give its sender one of them",
	fleet.ErrUnauthenticated)

// verify reads body to its end. Where the claim is one to a known secret it
// returns the signature, nil for a token. It keeps nothing of the body, so that
// one which nobody signed costs no memory however long it is.
func (c claim) verify(body io.Reader, known []secret) ([]byte, error) {
	if c.signatures == nil {
		if !hold(known, c.token) {
			return nil, errUnproven
		}
		return nil, drain(body, io.Discard)
	}
	var macs []hash.Hash
	var all []io.Writer
	for _, s := range known {
		if key := c.key(s); key != nil {
			mac := hmac.New(c.hash, key)
			macs, all = append(macs, mac), append(all, mac)
		}
	}
	if err := drain(io.MultiReader(strings.NewReader(c.ahead), body), io.MultiWriter(all...)); err != nil {
		return nil, err
	}
	return c.match(macs)
}

// match is the signature that one of the secrets makes.
func (c claim) match(macs []hash.Hash) ([]byte, error) {
	for _, mac := range macs {
		right := mac.Sum(nil)
		for _, signature := range c.signatures {
			if hmac.Equal(signature, right) {
				return right, nil
			}
		}
	}
	return nil, errUnproven
}

// drain has the body read to its end, or says why it cannot be.
func drain(body io.Reader, into io.Writer) error {
	if _, err := io.Copy(into, body); err != nil {
		return bodyError(err)
	}
	return nil
}

// hexClaim is a claim to a signature in hexadecimal of the body alone.
func hexClaim(signature string, algorithm func() hash.Hash) (claim, error) {
	raw, err := hex.DecodeString(signature)
	if err != nil || len(raw) != algorithm().Size() {
		return claim{}, errUnproven
	}
	return claim{signatures: [][]byte{raw}, hash: algorithm, key: func(s secret) []byte { return s.text }}, nil
}
