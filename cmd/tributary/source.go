package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// sourceHelp is what every command that takes a SOURCE says of it.
const sourceHelp = `SOURCE is a directory, a Git repository or an OCI artifact:

  ./fleet
  https://github.com/acme/fleet.git?ref=main&path=fleet
  ssh://git@github.com/acme/fleet.git?ref=semver:>=1.0
  git+file:///srv/git/fleet.git
  oci://ghcr.io/acme/fleet:v1.2.0
  oci://ghcr.io/acme/fleet?semver=1.x

ref is a branch, a tag, a commit or semver:<range>, which is the highest tag in
it; without ref it is the branch that the remote's HEAD names. path is where in
the tree the fleet repo stands. Credentials come from files, never from SOURCE.`

// sourceFlags are the flags that say how a SOURCE is read.
type sourceFlags struct{ options sources.Options }

func (s *sourceFlags) bind(f *pflag.FlagSet) {
	s.bindRegistry(f)
	git := &s.options.Git
	f.StringVar(&git.TokenFile, "git-token-file", "", "file with the token or password for Git over https")
	f.StringVar(&git.Username, "git-username", "", "user name that goes with the token, for hosts that look at it")
	f.StringVar(&git.SSHKeyFile, "git-ssh-key-file", "", "private key for ssh (default: the agent at SSH_AUTH_SOCK)")
	f.StringVar(&git.SSHPassphraseFile, "git-ssh-passphrase-file", "", "file with the passphrase of that key")
	f.StringVar(&git.KnownHostsFile, "git-known-hosts-file", "", "keys of ssh hosts, no other is talked to (default ~/.ssh/known_hosts)")
	f.Var(nameList{&git.VerifyKeyFiles}, "verify-git-keys", "files with OpenPGP or SSH public keys, one of which must have signed")
	f.StringVar((*string)(&git.Verify), "verify-git-mode", "", "what must be signed: head (the commit), tag, or tag-and-head (default head)")
	f.Var(nameList{&s.options.OCI.VerifyKeyFiles}, "verify-oci-keys", "files with Cosign public keys, one of which must have signed")
}

// bindRegistry binds those that pushing takes too.
func (s *sourceFlags) bindRegistry(f *pflag.FlagSet) {
	f.StringVar(&s.options.TLS.CAFile, "ca-file", "", "PEM certificates to trust for https, beside the machine's own")
	f.StringVar(&s.options.TLS.CertFile, "client-cert-file", "", "PEM certificate to show to https servers that ask for one")
	f.StringVar(&s.options.TLS.KeyFile, "client-key-file", "", "PEM key of that certificate")
	f.StringVar(&s.options.OCI.ConfigFile, "registry-config", "", "Docker config.json with registries' credentials (default Docker's own)")
	f.BoolVar(&s.options.PlainHTTP, "plain-http", false, "allow registries without TLS, and credentials over http")
}

// snapshot fetches the source once. The caller closes what is returned first.
func (s *sourceFlags) snapshot(ctx context.Context, ref string) (sources.Source, *fleet.Snapshot, error) {
	source, err := sources.Open(ref, s.options)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fleet.DefaultTimeout)
	defer cancel()
	snapshot, err := source.Fetch(ctx, "")
	if err != nil {
		_ = source.Close()
		return nil, nil, err
	}
	return source, snapshot, nil
}
