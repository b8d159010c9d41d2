package signature

import (
	"crypto/rsa"
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
	names, rest := cutNames(line)
	if isKeyOption(names) {
		return key, false, fmt.Errorf("the options %s before an SSH key are not supported: remove them, or write the line as in allowed_signers", quoteForeign(names))
	}
	// The library takes the names of allowed_signers for options of
	// authorized_keys.
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	var options []string
	if err != nil {
		public, _, options, _, err = ssh.ParseAuthorizedKey([]byte(rest))
	}
	kinds := strings.Fields(line)
	if err == nil {
		kinds = []string{public.Type()}
	}
	for _, kind := range kinds {
		if isKeyType(kind) && !slices.Contains(sshKeyTypes, kind) {
			return key, false, fmt.Errorf("an SSH key of the kind %s is not supported: use one of %s", quoteForeign(kind), strings.Join(sshKeyTypes, ", "))
		}
	}
	if err != nil {
		return key, false, errNoSSHKey
	}
	key.PublicKey = public
	if ok, err = key.setOptions(options); err != nil {
		return key, false, err
	}
	if c, is := public.(ssh.CryptoPublicKey); is {
		if k, is := c.CryptoPublicKey().(*rsa.PublicKey); is && k.N.BitLen() < minRSABits {
			return key, false, fmt.Errorf("an RSA key of %d bits is too weak: use one of %d or more, or an Ed25519 key", k.N.BitLen(), minRSABits)
		}
	}
	return key, ok, nil
}

// cutNames cuts a line at the first blank that is not in quotes.
func cutNames(line string) (names, rest string) {
	quoted, last := false, ' '
	end := strings.IndexFunc(line, func(r rune) bool {
		if r == '"' && last != '\\' {
			quoted = !quoted
		}
		last = r
		return !quoted && (r == ' ' || r == '\t')
	})
	if end < 0 {
		return line, ""
	}
	return line[:end], line[end+1:]
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

// setOptions sets the options of a line of allowed_signers.
func (key *sshKey) setOptions(options []string) (forGit bool, err error) {
	forGit = true
	var seen []string
	for _, option := range options {
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
		if err != nil {
			return false, err
		}
	}
	return forGit, nil
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
