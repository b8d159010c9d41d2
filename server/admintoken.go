package server

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// adminToken is the token of an admin in a file, such as a mounted Secret: the first
// credential, by which others are created.
type adminToken struct {
	file    string
	current atomic.Pointer[fleet.TokenHash]
}

// shortestAdminToken keeps out what could be guessed, in bytes.
const shortestAdminToken = 16

// use takes the contents of the file.
func (t *adminToken) use(contents [][]byte) error {
	token := bytes.TrimSpace(contents[0])
	if len(token) < shortestAdminToken || bytes.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%s: must hold one token of at least %d printable characters, such as openssl rand -hex 32 makes", t.file, shortestAdminToken)
	}
	hash := fleet.HashToken(string(token))
	t.current.Store(&hash)
	return nil
}

func (t *adminToken) is(hash fleet.TokenHash) bool {
	return subtle.ConstantTimeCompare(t.current.Load()[:], hash[:]) == 1
}
