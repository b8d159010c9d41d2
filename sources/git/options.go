package git

import (
	"net/url"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Config says what to read from which repository.
type Config struct {
	// Name is the SOURCE, for logs.
	Name string
	// URL is the URL of the repository, with scheme http, https, ssh or file.
	URL *url.URL
	Ref Ref
	// Path is the directory that becomes the root; empty for the whole tree.
	Path   string
	Limits tree.Limits
	TLS    transport.TLS
	Proxy  transport.Proxy
	// PlainHTTP allows sending a token over http.
	PlainHTTP bool
	Options   Options
}

// Options say how to authenticate to a Git host and which signatures are
// trusted.
type Options struct {
	// TokenFile contains a token or password for http and https.
	TokenFile string
	// Username is sent with the token; "" works for hosts that only check the
	// token.
	Username string
	// Provider says who issues tokens for http and https, in place of TokenFile:
	// ProviderGitHub, ProviderAzure, or "" for nobody.
	Provider string
	// GitHubAppID, GitHubAppInstallation (which may be empty) and
	// GitHubAppKeyFile are for ProviderGitHub.
	GitHubAppID, GitHubAppInstallation, GitHubAppKeyFile string
	// RedirectHosts are other hosts, as HOST or HOST:PORT, to which an http or https
	// server may redirect. The token is never sent there.
	RedirectHosts []string
	// SSHKeyFile is a private key in PEM or OpenSSH format. Its certificate, if
	// any, is beside it in a file whose name ends in -cert.pub. Without a key
	// file, the agent at SSH_AUTH_SOCK is used.
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

// The values of Options.Provider.
const (
	// ProviderGitHub uses a GitHub App.
	ProviderGitHub = "github"
	// ProviderAzure uses a workload identity for Azure DevOps.
	ProviderAzure = "azure"
)

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

// Known reports whether it is a mode, or "".
func (m VerifyMode) Known() bool {
	return m == "" || m == VerifyHead || m == VerifyTag || m == VerifyTagAndHead
}
