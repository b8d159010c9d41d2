package sources

import (
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Options say how a source is read. The zero value works for a source that is
// readable without credentials. Files named here are read again for each fetch,
// so their content can be replaced while the source is in use.
type Options struct {
	// Limits bound the size of a snapshot.
	Limits Limits
	// TLS is for https connections to Git hosts and registries.
	TLS TLSOptions
	// PlainHTTP allows unencrypted traffic: a registry without TLS, and
	// credentials for a Git host over http.
	PlainHTTP bool
	Git       GitOptions
	OCI       OCIOptions
}

// Limits bound the time and memory that one snapshot may cost, because a fleet
// repo is untrusted input. A zero field means its default.
type Limits = tree.Limits

// TLSOptions name PEM files.
type TLSOptions = transport.TLS

// GitOptions say how to authenticate to a Git host and which signatures are
// trusted.
type GitOptions struct {
	// TokenFile contains a token or password for http and https.
	TokenFile string
	// Username is sent with the token; "" works for hosts that only check the
	// token.
	Username string
	// SSHKeyFile is a private key in PEM or OpenSSH format. Without it, the
	// agent at SSH_AUTH_SOCK is used.
	SSHKeyFile string
	// SSHPassphraseFile contains the passphrase of the key.
	SSHPassphraseFile string
	// KnownHostsFile contains the keys of SSH hosts in the format of ssh(1); ""
	// means ~/.ssh/known_hosts. Other hosts are refused.
	KnownHostsFile string
	// VerifyKeyFiles contain public keys, OpenPGP (armored) or SSH (one per
	// line). If there are any, only what one of the keys has signed is read.
	VerifyKeyFiles []string
	// Verify says what must be signed.
	Verify VerifyMode
}

// VerifyMode says which signature is verified, as Flux's
// GitRepository.spec.verify.mode does.
type VerifyMode string

const (
	// VerifyHead verifies the commit. It is the meaning of "".
	VerifyHead VerifyMode = "head"
	// VerifyTag verifies the annotated tag that points to the commit.
	VerifyTag VerifyMode = "tag"
	// VerifyTagAndHead verifies both.
	VerifyTagAndHead VerifyMode = "tag-and-head"
)

// OCIOptions say how to authenticate to a registry and which signatures are
// trusted.
type OCIOptions struct {
	// ConfigFile is a Docker config.json, or a mounted Kubernetes secret of
	// type kubernetes.io/dockerconfigjson; "" means Docker's default location.
	// It may name credential helpers, which are then run.
	ConfigFile string
	// VerifyKeyFiles contain public keys of Cosign (PEM). If there are any,
	// only what one of the keys has signed is read.
	VerifyKeyFiles []string
}

// check refuses options that would be silently ignored, above all keys for
// signatures that nothing would verify.
func (o Options) check(at location) error {
	switch {
	case (o.TLS.CertFile == "") != (o.TLS.KeyFile == ""):
		return invalidOption("a client certificate needs both a certificate file and a key file: name the other one as well")
	case len(o.Git.VerifyKeyFiles) > 0 && at.repository == nil:
		return invalidOption("keys to verify commits apply only to a Git repository, and the source is not one")
	case len(o.OCI.VerifyKeyFiles) > 0 && at.artifact == nil:
		return invalidOption("keys to verify artifacts apply only to an oci:// source, and the source is not one")
	case slices.Contains(o.Git.VerifyKeyFiles, "") || slices.Contains(o.OCI.VerifyKeyFiles, ""):
		return invalidOption("keys to verify with: a file name is empty; name a file that contains public keys")
	case o.Git.Verify != "" && len(o.Git.VerifyKeyFiles) == 0:
		return invalidOption("verify %s: name the public keys to verify with", o.Git.Verify)
	case !o.Git.Verify.known():
		return invalidOption("verify %q: must be head, tag or tag-and-head", string(o.Git.Verify))
	}
	return nil
}

func (m VerifyMode) known() bool {
	return m == "" || m == VerifyHead || m == VerifyTag || m == VerifyTagAndHead
}

func invalidOption(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), fleet.ErrInvalid)
}
