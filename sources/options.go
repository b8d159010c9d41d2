package sources

import (
	"slices"

	"github.com/tributary-gitops/tributary/sources/git"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
	"github.com/tributary-gitops/tributary/sources/oci"
	"github.com/tributary-gitops/tributary/sources/oci/cosign"
)

// Options say how a source is read. The zero value works for a source that is
// readable without credentials. Files named here are read again for each fetch,
// so their content can be replaced while the source is in use.
type Options struct {
	// Limits bound the size of a snapshot.
	Limits Limits
	// TLS is for https connections to Git hosts and registries.
	TLS TLSOptions
	// Proxy is for connections to Git hosts and registries. The zero value means
	// the proxies that the environment names.
	Proxy ProxyOptions
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

// ProxyOptions name a proxy.
type ProxyOptions = transport.Proxy

// GitOptions say how to authenticate to a Git host and which signatures are
// trusted.
type GitOptions = git.Options

// VerifyMode says which signature is verified, as Flux's
// GitRepository.spec.verify.mode does.
type VerifyMode = git.VerifyMode

// The modes of VerifyMode.
const (
	VerifyHead       = git.VerifyHead
	VerifyTag        = git.VerifyTag
	VerifyTagAndHead = git.VerifyTagAndHead
)

// OCIOptions say how to authenticate to a registry and which signatures are
// trusted.
type OCIOptions = oci.Options

// Identity is who may sign an artifact without a key.
type Identity = cosign.Identity

// ParseIdentity parses "issuer=REGEXP subject=REGEXP".
func ParseIdentity(text string) (Identity, error) { return cosign.ParseIdentity(text) }

// check refuses options that would be silently ignored, above all keys for
// signatures that nothing would verify.
func (o Options) check(at location) error {
	switch {
	case (o.TLS.CertFile == "") != (o.TLS.KeyFile == ""):
		return message.Invalid("a client certificate needs both a certificate file and a key file: name the other one as well")
	case len(o.Git.VerifyKeyFiles) > 0 && at.repository == nil:
		return message.Invalid("keys to verify commits apply only to a Git repository, and the source is not one")
	case !o.OCI.Signers.None() && at.artifact == nil:
		return message.Invalid("keys and identities to verify artifacts apply only to an oci:// source, and the source is not one")
	case slices.Contains(o.Git.VerifyKeyFiles, "") || slices.Contains(o.OCI.Signers.KeyFiles, ""):
		return message.Invalid("keys to verify with: a file name is empty; name a file that contains public keys")
	case len(o.OCI.Signers.Identities) > 0 && o.OCI.Signers.TrustedRootFile == "":
		return message.Invalid("--verify-oci-identity needs --verify-oci-trusted-root: name the trusted_root.json of your Sigstore; cosign trusted-root create --with-default-services writes the public one")
	case len(o.OCI.Signers.Identities) == 0 && o.OCI.Signers.TrustedRootFile != "":
		return message.Invalid("--verify-oci-trusted-root has no effect without --verify-oci-identity: say who may sign")
	case o.OCI.Provider != "" && o.OCI.ConfigFile != "":
		return message.Invalid("--registry-provider and --registry-config exclude each other: name the one that has the credentials")
	case o.Git.Verify != "" && len(o.Git.VerifyKeyFiles) == 0:
		return message.Invalid("verify %s: name the public keys to verify with", o.Git.Verify)
	case !o.Git.Verify.Known():
		return message.Invalid("verify %q: must be head, tag or tag-and-head", string(o.Git.Verify))
	}
	err := o.Proxy.Check()
	if err == nil && at.artifact != nil {
		err = o.OCI.Provider.Check(at.artifact.Registry)
	}
	if err != nil {
		return message.Invalid("%s", err)
	}
	return nil
}
