package git

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// gitToken is the token for a Git host over http and https.
type gitToken struct{ file, username string }

// user returns the user name to send with the token. Hosts that only check the
// token still need some name.
func (t gitToken) user() string { return cmp.Or(t.username, "git") }

// read returns the token; empty if there is none.
func (t gitToken) read() (string, error) {
	if t.file == "" {
		return "", nil
	}
	return readSecret("--git-token-file", t.file)
}

// readSecret reads a secret of one line. Its errors never contain the secret.
func readSecret(option, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	switch {
	case secret == "":
		return "", fmt.Errorf("%s: %s is empty", option, message.Printable(file))
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s: %s has more than one line; leave only the secret in it", option, message.Printable(file))
	}
	return secret, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// challenge contains the authentication schemes that a server offers.
type challenge struct{ basic, bearer bool }

// authScheme matches the names of schemes: at the start of a header or after a
// comma, and before a space. It does not match in the values of parameters.
var authScheme = regexp.MustCompile(`(?i)(?:^|,)\s*(basic|bearer)(?:\s|,|$)`)

func readChallenge(h http.Header) (c challenge) {
	for _, line := range h.Values("WWW-Authenticate") {
		for _, found := range authScheme.FindAllStringSubmatch(line, -1) {
			if strings.EqualFold(found[1], "basic") {
				c.basic = true
			} else {
				c.bearer = true
			}
		}
	}
	return c
}

var errNoToken = errors.New("the repository cannot be read without credentials: put a token into a file, and name the file with --git-token-file")
