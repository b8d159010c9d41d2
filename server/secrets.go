package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// secrets are what the senders of webhooks prove to know: the lines of the
// webhook secret file. Any of them is good, so that a secret can be changed here
// and at the sender, one after the other, without a hook being refused meanwhile.
type secrets struct {
	file    string
	current atomic.Pointer[[]secret]
}

type secret struct {
	text []byte
	sum  digest // of text: comparing it takes the same time for every length
	// signing is the key that a signing token of GitLab stands for; nil where
	// the secret is none.
	signing []byte
}

const (
	shortestSecret = 16
	// mostSecrets bounds what a signed body costs, which is hashed with each.
	mostSecrets = 8
)

// use takes the contents of the file, all or nothing.
func (s *secrets) use(contents [][]byte) error {
	all, err := parseSecrets(s.file, contents[0])
	if err != nil {
		return err
	}
	s.current.Store(&all)
	return nil
}

// parseSecrets reads a webhook secret file. What is wrong comes as
// fleet.Problems that never quote a secret.
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
		problems = fleet.Problems{{File: file, Message: "holds no secret: write one on a line of its own, such as openssl rand -hex 32 prints"}}
	case len(all) > mostSecrets:
		problems = append(problems, fleet.Problem{File: file, Message: fmt.Sprintf("holds %d secrets: drop old ones until %d are left", len(all), mostSecrets)})
	}
	if problems != nil {
		return nil, problems
	}
	return all, nil
}

// newSecret returns the remedy where text makes no good secret.
func newSecret(text []byte) (one secret, remedy string) {
	one = secret{text: text, sum: sha256.Sum256(text)}
	if len(text) < shortestSecret {
		return one, fmt.Sprintf("is shorter than %d characters, so that it could be guessed: make one with openssl rand -hex 32", shortestSecret)
	}
	if encoded, is := bytes.CutPrefix(text, []byte("whsec_")); is {
		key, err := base64.StdEncoding.DecodeString(string(encoded))
		if err != nil || len(key) < shortestSecret {
			return one, "begins as a signing token of GitLab does and is none: copy that whole, or make another secret"
		}
		one.signing = key
	}
	return one, ""
}

// hold tells whether token is one of the secrets. It takes the same time
// whichever it is.
func hold(known []secret, token string) bool {
	sum, found := sha256.Sum256([]byte(token)), 0
	for _, s := range known {
		found |= subtle.ConstantTimeCompare(s.sum[:], sum[:])
	}
	return found == 1
}
