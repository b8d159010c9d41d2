package signature

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshKey is a public key and the time in which it is valid. A zero time means
// no limit.
type sshKey struct {
	ssh.PublicKey
	after, before time.Time
}

var errNoSSHKey = errors.New("is not an SSH public key: write it as in authorized_keys (ssh-ed25519 AAAA…) or in allowed_signers (name@example.com ssh-ed25519 AAAA…)")

// parseSSHLine parses a line of authorized_keys, or of ssh-keygen's
// allowed_signers. As in Git, it does not matter whose key it is. ok is false
// for a line with a key that is not for Git.
func parseSSHLine(line string) (key sshKey, ok bool, err error) {
	first, rest := nextField(line)
	if isKeyType(first) {
		key.PublicKey, err = parseSSHKey(first, rest)
		return key, true, err
	}
	if isKeyOption(first) {
		return key, false, fmt.Errorf("the options %s before an SSH key are not supported: remove them, or write the line as in allowed_signers", quoteForeign(first))
	}
	second, rest := nextField(rest)
	options := ""
	if !isKeyType(second) {
		options = second
		second, rest = nextField(rest)
	}
	if !isKeyType(second) {
		return key, false, errNoSSHKey
	}
	if ok, err = key.setOptions(options); err != nil {
		return key, false, err
	}
	key.PublicKey, err = parseSSHKey(second, rest)
	return key, ok, err
}

// nextField splits a line at the first blank that is not in quotes.
func nextField(line string) (field, rest string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && quoted:
			i++
		case line[i] == '"':
			quoted = !quoted
		case !quoted && (line[i] == ' ' || line[i] == '\t'):
			return line[:i], strings.TrimLeft(line[i:], " \t")
		}
	}
	return line, ""
}

var sshKeyTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoRSA,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// isKeyType reports whether a field is a type of key, including unsupported
// types, so that those are not taken for a name.
func isKeyType(field string) bool {
	return slices.ContainsFunc([]string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"}, func(prefix string) bool {
		return strings.HasPrefix(field, prefix)
	}) && !strings.ContainsAny(field, `"*?!,=`)
}

// keyOptions are the options of authorized_keys that have no value.
var keyOptions = []string{"cert-authority", "restrict", "pty", "user-rc", "verify-required"}

func isKeyOption(field string) bool {
	name, _, _ := strings.Cut(strings.ToLower(field), ",")
	return strings.Contains(field, `="`) || slices.Contains(keyOptions, name) ||
		strings.HasPrefix(name, "no-") || strings.HasSuffix(name, "-forwarding")
}

func parseSSHKey(kind, rest string) (ssh.PublicKey, error) {
	if !slices.Contains(sshKeyTypes, kind) {
		return nil, fmt.Errorf("an SSH key of the kind %s is not supported: use one of %s", quoteForeign(kind), strings.Join(sshKeyTypes, ", "))
	}
	encoded, _ := nextField(rest)
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errNoSSHKey
	}
	key, err := ssh.ParsePublicKey(data)
	if err != nil || key.Type() != kind || !bytes.Equal(key.Marshal(), data) {
		return nil, errNoSSHKey
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is too weak: use one of %d or more, or an Ed25519 key", k.N.BitLen(), minRSABits)
		}
	}
	return key, nil
}

// setOptions sets the options of a line of allowed_signers.
func (key *sshKey) setOptions(text string) (forGit bool, err error) {
	forGit = true
	var seen []string
	for text != "" && err == nil {
		var option string
		option, text = nextOption(text)
		name, value, _ := strings.Cut(option, "=")
		name = strings.ToLower(name)
		if slices.Contains(seen, name) {
			return false, fmt.Errorf("the option %s is repeated", quoteForeign(name))
		}
		seen = append(seen, name)
		switch name {
		case "namespaces":
			forGit, err = namespacesHaveGit(value)
		case "valid-after":
			key.after, err = parseSignerTime(name, value, time.Local)
		case "valid-before":
			key.before, err = parseSignerTime(name, value, time.Local)
		default:
			err = fmt.Errorf("the option %s of an SSH key is not supported: remove it", quoteForeign(name))
		}
	}
	return forGit, err
}

// nextOption splits a text at the first comma that is not in quotes.
func nextOption(text string) (option, rest string) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func unquote(value string) (string, bool) {
	inner := strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
	return inner, len(inner) == len(value)-2 && !strings.ContainsAny(inner, `"\`)
}

func namespacesHaveGit(value string) (bool, error) {
	inner, ok := unquote(value)
	if !ok || inner == "" || strings.ContainsAny(inner, "*?! ") {
		return false, errors.New(`the option namespaces is not valid: write namespaces="git"`)
	}
	return slices.Contains(strings.Split(inner, ","), sshNamespace), nil
}

// parseSignerTime parses a time as ssh-keygen does: in the machine's time zone,
// unless it ends in Z.
func parseSignerTime(name, value string, zone *time.Location) (time.Time, error) {
	inner, ok := unquote(value)
	digits, utc := strings.CutSuffix(inner, "Z")
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if at, err := time.ParseInLocation(layout, digits, zone); err == nil && ok && len(digits) == len(layout) {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("the option %s is not valid: write %s=\"20260131\" or %s=\"202601312359Z\"", name, name, name)
}
