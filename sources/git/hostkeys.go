package git

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys are the known keys of the host at an address.
type hostKeys struct {
	file, address string
	known         *knownhosts.HostKeyDB
}

func readHostKeys(file, address string) (*hostKeys, error) {
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("there is no ~/.ssh/known_hosts: %w; name the file with --git-known-hosts-file", err)
		}
		file = filepath.Join(home, ".ssh", "known_hosts")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--git-known-hosts-file: %w; create one with ssh-keyscan HOST, and check its output", err)
	}
	known, err := parseHostKeys(file, content, address)
	if err != nil {
		return nil, fmt.Errorf("--git-known-hosts-file: %w", err)
	}
	return &hostKeys{file, address, known}, nil
}

// parseHostKeys also understands [host]:*, for which the library needs the port.
func parseHostKeys(file string, content []byte, address string) (*knownhosts.HostKeyDB, error) {
	if !bytes.Contains(content, []byte("]:*")) {
		return knownhosts.NewDB(file)
	}
	copied, err := os.CreateTemp("", "tributary-known-hosts-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(copied.Close(), os.Remove(copied.Name())) }()
	_, port, _ := net.SplitHostPort(address)
	if _, err := copied.Write(bytes.ReplaceAll(content, []byte("]:*"), []byte("]:"+port))); err != nil {
		return nil, err
	}
	return knownhosts.NewDB(copied.Name())
}

// algorithms returns the host key algorithms to offer, in order of preference.
// The ones of the host's known keys come first, because it may have other keys
// too. Certificates are requested only if an authority is known, because a host
// with a certificate would otherwise not present its plain key.
func (h *hostKeys) algorithms() []string {
	// For an unknown host, Ed25519 is the key that people most likely have.
	all := append(h.known.HostKeyAlgorithms(h.address), ssh.KeyAlgoED25519)
	for _, algorithm := range ssh.SupportedAlgorithms().HostKeys {
		if !strings.Contains(algorithm, "-cert-v01@") && !slices.Contains(all, algorithm) {
			all = append(all, algorithm)
		}
	}
	return all
}

// hostKeyError says why a host is not trusted.
type hostKeyError struct{ text string }

func (e *hostKeyError) Error() string { return e.text }

// check is an ssh.HostKeyCallback.
func (h *hostKeys) check(address string, at net.Addr, key ssh.PublicKey) error {
	err := h.known.HostKeyCallback()(address, at, key)
	plain := func(k knownhosts.PublicKey) bool { return !k.Cert }
	shown := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	var (
		mismatch *xknownhosts.KeyError
		revoked  *xknownhosts.RevokedError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch) && !slices.ContainsFunc(h.known.HostKeys(address), plain):
		return &hostKeyError{fmt.Sprintf("the host key is not known: %s has no key for %s, which presents %s; if that key is right, add the output of %s to that file (--git-known-hosts-file)",
			h.file, knownhosts.Normalize(address), shown, keyscan(address))}
	case errors.As(err, &mismatch):
		return &hostKeyError{fmt.Sprintf("the host key has changed: the host presents %s, and %s has %s; someone may be intercepting the connection, or the host has a new key, and then the old one must be removed from that file (--git-known-hosts-file)",
			shown, h.file, describeKeys(mismatch.Want))}
	case errors.As(err, &revoked):
		return &hostKeyError{fmt.Sprintf("the host key is revoked: the host presents %s, and line %d of %s revokes it", shown, revoked.Revoked.Line, h.file)}
	}
	return &hostKeyError{fmt.Sprintf("the host's certificate is not valid: %s; check the @cert-authority lines of %s (--git-known-hosts-file)", strings.TrimPrefix(err.Error(), "ssh: "), h.file)}
}

func describeKeys(keys []xknownhosts.KnownKey) string {
	slices.SortFunc(keys, func(a, b xknownhosts.KnownKey) int { return cmp.Compare(a.Line, b.Line) })
	var texts []string
	for _, key := range keys[:min(3, len(keys))] {
		texts = append(texts, fmt.Sprintf("%s %s in line %d", key.Key.Type(), ssh.FingerprintSHA256(key.Key), key.Line))
	}
	return strings.Join(texts, ", ")
}

// keyscan returns the command that prints a host's keys.
func keyscan(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "22" {
		return "ssh-keyscan " + host
	}
	return "ssh-keyscan -p " + port + " " + host
}
