package sources

import (
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Options say how a source is read. The zero value is fit for a source that
// everybody may read. Files are read anew for each look, so that what is in
// them can be replaced while the source is followed.
type Options struct {
	// Limits bound what a snapshot may cost.
	Limits Limits
	// TLS is for https, to Git hosts and registries.
	TLS TLSOptions
	// PlainHTTP allows what would go over the network in the clear: a registry
	// without TLS, and credentials to a Git host over http.
	PlainHTTP bool
	Git       GitOptions
	OCI       OCIOptions
}

// TLSOptions name PEM files.
type TLSOptions struct {
	// CAFile holds the certificates of authorities that are trusted beside the
	// machine's own.
	CAFile string
	// CertFile and KeyFile are the client's certificate, shown to servers that
	// ask for one.
	CertFile, KeyFile string
}

// GitOptions say who asks a Git host, and whose commits are believed.
type GitOptions struct {
	// TokenFile holds a token or password for http and https.
	TokenFile string
	// Username goes with the token; "" is right for the hosts that look at
	// tokens alone.
	Username string
	// SSHKeyFile is a private key in PEM or OpenSSH's form; without one ssh
	// asks the agent at SSH_AUTH_SOCK.
	SSHKeyFile string
	// SSHPassphraseFile holds the passphrase of the key.
	SSHPassphraseFile string
	// KnownHostsFile has the keys of SSH hosts, as ssh(1) keeps them; "" is
	// ~/.ssh/known_hosts. No other host is talked to.
	KnownHostsFile string
	// VerifyKeyFiles hold public keys, OpenPGP (armored) or SSH (a line each). With
	// any, only what one of them has signed is read.
	VerifyKeyFiles []string
	// Verify is what must be signed.
	Verify VerifyMode
}

// VerifyMode says which signature is looked at, as Flux's
// GitRepository.spec.verify.mode.
type VerifyMode string

const (
	// VerifyHead is for the commit; also what "" means.
	VerifyHead VerifyMode = "head"
	// VerifyTag is for the annotated tag that leads to it.
	VerifyTag VerifyMode = "tag"
	// VerifyTagAndHead is for both.
	VerifyTagAndHead VerifyMode = "tag-and-head"
)

// OCIOptions say who asks a registry, and whose artifacts are believed.
type OCIOptions struct {
	// ConfigFile is a Docker config.json, or a mounted Kubernetes secret of type
	// kubernetes.io/dockerconfigjson; "" is Docker's own place for it. It may
	// name credential helpers, which are then run.
	ConfigFile string
	// VerifyKeyFiles hold public keys of Cosign (PEM). With any, only what one
	// of them has signed is read.
	VerifyKeyFiles []string
}

// check refuses what would be ignored without a word, above all the keys of
// signatures that nobody would look at.
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
