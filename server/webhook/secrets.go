package webhook

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// Secrets are the secrets that senders prove to know: the lines of a file. Any of them
// is accepted, so that a secret can be replaced here and at the sender, one after the
// other, without a webhook being refused in between.
type Secrets struct {
	file    string
	current atomic.Pointer[[]secret]
}

// NewSecrets returns the secrets of a file. Use loads them, before the first webhook.
func NewSecrets(file string) *Secrets { return &Secrets{file: file} }

type digest = [sha256.Size]byte

type secret struct {
	text []byte
	sum  digest // of text, because comparing it takes the same time for every length
	// signing is the key in a signing token of GitLab; nil for any other secret.
	signing []byte
}

const (
	minSecret = 16 // characters
	// maxSecrets bounds the cost of a signed body, which is hashed with each secret.
	maxSecrets = 8
)

// Use takes the content of the file, all or nothing.
func (s *Secrets) Use(contents [][]byte) error {
	all, err := parseSecrets(s.file, contents[0])
	if err != nil {
		return err
	}
	s.current.Store(&all)
	return nil
}

// parseSecrets parses a webhook secret file. Its errors are fleet.Problems, which never
// quote a secret.
func parseSecrets(file string, content []byte) ([]secret, error) {
	var all []secret
	var problems fleet.Problems
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := bytes.TrimSpace(line)
		if len(text) == 0 {
			continue
		}
		one, remedy := newSecret(text)
		if remedy != "" {
			problems = append(problems, fleet.Problem{File: file, Line: number, Message: remedy})
		}
		all = append(all, one)
	}
	switch {
	case len(all) == 0:
		problems = fleet.Problems{{File: file, Message: "contains no secret: write one on a line of its own, such as the output of openssl rand -hex 32"}}
	case len(all) > maxSecrets:
		problems = append(problems, fleet.Problem{File: file, Message: fmt.Sprintf("contains %d secrets: remove old ones until %d are left", len(all), maxSecrets)})
	}
	if problems != nil {
		return nil, problems
	}
	return all, nil
}

// newSecret returns a remedy if text is not a good secret.
func newSecret(text []byte) (one secret, remedy string) {
	one = secret{text: text, sum: sha256.Sum256(text)}
	if len(text) < minSecret {
		return one, fmt.Sprintf("is shorter than %d characters and could be guessed: make one with openssl rand -hex 32", minSecret)
	}
	if encoded, is := bytes.CutPrefix(text, []byte("whsec_")); is {
		key, err := base64.StdEncoding.DecodeString(string(encoded))
		if err != nil || len(key) < minSecret {
			return one, "begins like a signing token of GitLab but is not one: copy the whole token, or make another secret"
		}
		one.signing = key
	}
	return one, ""
}

// isKnown reports whether token is one of the secrets. It takes the same time whichever
// it is.
func isKnown(known []secret, token string) bool {
	sum, found := sha256.Sum256([]byte(token)), 0
	for _, s := range known {
		found |= subtle.ConstantTimeCompare(s.sum[:], sum[:])
	}
	return found == 1
}
