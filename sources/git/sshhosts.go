package git

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys are the known keys of hosts.
type hostKeys struct {
	file  string
	known ssh.HostKeyCallback
	lines [][]byte
}

func readHostKeys(file string) (*hostKeys, error) {
	file, err := knownHostsFile(file)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--git-known-hosts-file: %w; create one with ssh-keyscan HOST, and check its output", err)
	}
	known, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("--git-known-hosts-file: %w", err)
	}
	return &hostKeys{file, known, bytes.Split(content, []byte("\n"))}, nil
}

func knownHostsFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("there is no ~/.ssh/known_hosts: %w; name the file with --git-known-hosts-file", err)
	}
	return filepath.Join(home, ".ssh", "known_hosts"), nil
}

// algorithms returns the host key algorithms to offer, in order of preference.
// The ones of the host's known keys come first, because it may have other keys
// too. Certificates are requested only if an authority is known, because a host
// with a certificate would otherwise not present its plain key.
func (h *hostKeys) algorithms(address string) []string {
	var known, certified []string
	for _, want := range h.entries(address) {
		if h.isAuthority(want) {
			certified = certificates()
		} else {
			known = append(known, algorithmsOf(want.Key)...)
		}
	}
	// For an unknown host, this is the key that people most likely have.
	all := slices.Concat(certified, known, []string{ssh.KeyAlgoED25519}, withoutCertificates())
	var once []string
	for _, algorithm := range all {
		if !slices.Contains(once, algorithm) {
			once = append(once, algorithm)
		}
	}
	return once
}

// entries returns the known keys of a host. The library lists them in the error
// for a key that does not match any.
func (h *hostKeys) entries(address string) []knownhosts.KnownKey {
	dummy, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var mismatch *knownhosts.KeyError
	if !errors.As(h.known(address, &net.TCPAddr{}, dummy), &mismatch) {
		return nil
	}
	return mismatch.Want
}

func (h *hostKeys) isAuthority(key knownhosts.KnownKey) bool {
	return key.Line <= len(h.lines) && bytes.HasPrefix(bytes.TrimSpace(h.lines[key.Line-1]), []byte("@cert-authority"))
}

func algorithmsOf(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-v01@") }

func certificates() []string {
	return slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool { return !isCertificate(a) })
}

func withoutCertificates() []string {
	return slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, isCertificate)
}

// hostKeyError says why a host is not trusted.
type hostKeyError struct{ text string }

func (e *hostKeyError) Error() string { return e.text }

// check is an ssh.HostKeyCallback.
func (h *hostKeys) check(address string, at net.Addr, key ssh.PublicKey) error {
	err := h.known(address, at, key)
	var (
		mismatch *knownhosts.KeyError
		revoked  *knownhosts.RevokedError
	)
	shown := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch) && len(mismatch.Want) == 0:
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

func describeKeys(keys []knownhosts.KnownKey) string {
	slices.SortFunc(keys, func(a, b knownhosts.KnownKey) int { return cmp.Compare(a.Line, b.Line) })
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
