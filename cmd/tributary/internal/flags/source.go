package flags

import (
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/sources"
)

// SourceHelp describes SOURCE in the help text of every command that takes one.
const SourceHelp = `SOURCE is a directory, a Git repository or an OCI artifact:

  ./fleet
  https://github.com/acme/fleet.git?ref=main&path=fleet
  ssh://git@github.com/acme/fleet.git?ref=semver:>=1.0
  git+file:///srv/git/fleet.git
  oci://ghcr.io/acme/fleet:v1.2.0
  oci://ghcr.io/acme/fleet?semver=1.x
  oci://ghcr.io/acme/fleet?semver=>=1.0-0&semverFilter=.*-rc.*

ref is a branch, a tag, a commit or semver:<range>, which means the highest tag in that
range. The default is the branch that the remote's HEAD names. path is the directory of
the fleet repo within the tree. Credentials come from files, never from SOURCE.`

// Source are the flags for reading a SOURCE.
type Source struct{ Options sources.Options }

// Bind adds the flags to f.
func (s *Source) Bind(f *pflag.FlagSet) {
	s.BindRegistry(f)
	git := &s.Options.Git
	f.StringVar(&git.TokenFile, "git-token-file", "", "file with the token or password for Git over https")
	f.StringVar(&git.Username, "git-username", "", "user name for the token, if the host requires a particular one")
	f.StringVar(&git.Provider, "git-provider", "", "who issues tokens for Git over https: github (a GitHub App) or azure (a workload identity, for Azure DevOps)")
	f.StringVar(&git.GitHubAppID, "git-github-app-id", "", "ID of the GitHub App")
	f.StringVar(&git.GitHubAppInstallation, "git-github-app-installation-id", "", "ID of the App's installation (default: the one that the repository is in)")
	f.StringVar(&git.GitHubAppKeyFile, "git-github-app-key-file", "", "private key of the GitHub App, in PEM format")
	f.Var(Names(&git.RedirectHosts), "git-allow-redirect-host", "other hosts to which a Git server may redirect; the token is not sent there")
	f.StringVar(&git.SSHKeyFile, "git-ssh-key-file", "", "private key for ssh (default: the agent at SSH_AUTH_SOCK)")
	f.StringVar(&git.SSHPassphraseFile, "git-ssh-passphrase-file", "", "file with the passphrase of that key")
	f.StringVar(&git.KnownHostsFile, "git-known-hosts-file", "", "file with the keys of the ssh hosts to trust (default ~/.ssh/known_hosts)")
	f.Var(Names(&git.VerifyKeyFiles), "verify-git-keys", "files with OpenPGP or SSH public keys; a signature by one of them is required")
	f.StringVar((*string)(&git.Verify), "verify-git-mode", "", "what must be signed: head (the commit), tag or tag-and-head (default head)")
	f.Var(Names(&s.Options.OCI.Signers.KeyFiles), "verify-oci-keys", "files with Cosign public keys; a signature by one of them is required")
	f.Var(Identities(&s.Options.OCI.Signers.Identities), "verify-oci-identity", "'issuer=REGEXP subject=REGEXP' of a certificate; an artifact signed with one (keyless) is required; can be repeated")
	f.StringVar(&s.Options.OCI.Signers.TrustedRootFile, "verify-oci-trusted-root", "", "trusted_root.json with the authorities and logs of these certificates")
}

// BindRegistry adds the flags that push takes too.
func (s *Source) BindRegistry(f *pflag.FlagSet) {
	f.StringVar(&s.Options.TLS.CAFile, "ca-file", "", "PEM certificates to trust for https, in addition to the system's")
	f.StringVar(&s.Options.TLS.CertFile, "client-cert-file", "", "PEM client certificate for https servers that ask for one")
	f.StringVar(&s.Options.TLS.KeyFile, "client-key-file", "", "PEM key of the client certificate")
	f.StringVar(&s.Options.Proxy.URL, "source-proxy", "", "proxy for Git hosts and registries, http://, https:// or socks5:// (default: the environment's)")
	f.StringVar(&s.Options.Proxy.AuthFile, "source-proxy-auth-file", "", "file with user:password for that proxy")
	f.StringVar(&s.Options.OCI.ConfigFile, "registry-config", "", "Docker config.json with the credentials of registries (default: Docker's own)")
	bindTreeLimits(f, &s.Options.Limits)
	f.StringVar((*string)(&s.Options.OCI.Provider), "registry-provider", "", "aws, azure or gcp: authenticate to the provider's registry by workload identity")
	f.BoolVar(&s.Options.PlainHTTP, "plain-http", false, "allow registries without TLS, and credentials over http")
}
