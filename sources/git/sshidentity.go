package git

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// identity is how the client authenticates to a host.
type identity struct {
	method ssh.AuthMethod
	// name describes the key in errors.
	name  string
	close func()
}

func readIdentity(ctx context.Context, o Options) (*identity, error) {
	if o.SSHKeyFile == "" {
		return agentIdentity(ctx)
	}
	signer, err := readSSHKey(o)
	if err != nil {
		return nil, fmt.Errorf("--git-ssh-key-file: %w", err)
	}
	name := fmt.Sprintf("the key in --git-ssh-key-file (%s)", ssh.FingerprintSHA256(signer.PublicKey()))
	certificate, err := readCertificate(o.SSHKeyFile + "-cert.pub")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &identity{ssh.PublicKeys(signer), name, func() {}}, nil
	case err != nil:
		return nil, fmt.Errorf("--git-ssh-key-file: %w", err)
	}
	certified, err := ssh.NewCertSigner(certificate, signer)
	if err != nil {
		return nil, fmt.Errorf("--git-ssh-key-file: %s-cert.pub is not the certificate of the key: %s; sign the key again", message.Printable(o.SSHKeyFile), strings.TrimPrefix(err.Error(), "ssh: "))
	}
	name += fmt.Sprintf(" with its certificate (%s)", describeCertificate(certificate))
	return &identity{ssh.PublicKeys(certified, signer), name, func() {}}, nil
}

// readCertificate reads the certificate of a key, which ssh-keygen -s writes
// beside the key, and ssh(1) uses without being told.
func readCertificate(file string) (*ssh.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(content)
	certificate, ok := key.(*ssh.Certificate)
	if err != nil || !ok || certificate.CertType != ssh.UserCert {
		return nil, fmt.Errorf("%s contains no user certificate; sign the key again with ssh-keygen -s", message.Printable(file))
	}
	return certificate, nil
}

// describeCertificate says for whom and until when a certificate is valid, for
// which a host may refuse it.
func describeCertificate(c *ssh.Certificate) string {
	text := fmt.Sprintf("%q for %s", c.KeyId, message.Printable(strings.Join(c.ValidPrincipals, ", ")))
	if c.ValidBefore < 1<<40 {
		text += " until " + time.Unix(int64(c.ValidBefore), 0).UTC().Format(time.RFC3339)
	}
	return text
}

func readSSHKey(o Options) (ssh.Signer, error) {
	content, err := os.ReadFile(o.SSHKeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(content)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case errors.As(err, &locked) && o.SSHPassphraseFile == "":
		return nil, fmt.Errorf("%s needs a passphrase: put it into a file, and name the file with --git-ssh-passphrase-file", message.Printable(o.SSHKeyFile))
	case errors.As(err, &locked):
		return parseLockedKey(content, o)
	case strings.Contains(err.Error(), "ENCRYPTED PRIVATE KEY"): // The library does not decrypt PKCS#8.
		return nil, fmt.Errorf("%s is an encrypted PKCS#8 key, which is not supported; convert it to OpenSSH's format with ssh-keygen -p -f", message.Printable(o.SSHKeyFile))
	}
	return nil, fmt.Errorf("%s contains no readable private key: %s; create one with ssh-keygen -t ed25519", message.Printable(o.SSHKeyFile), strings.TrimPrefix(err.Error(), "ssh: "))
}

func parseLockedKey(content []byte, o Options) (ssh.Signer, error) {
	passphrase, err := readSecret("--git-ssh-passphrase-file", o.SSHPassphraseFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(content, []byte(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("the passphrase in --git-ssh-passphrase-file is not the passphrase of %s", message.Printable(o.SSHKeyFile))
	} else if err != nil {
		return nil, fmt.Errorf("%s: %s", message.Printable(o.SSHKeyFile), strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return signer, nil
}

// agentVariable names the environment variable with ssh-agent's socket.
const agentVariable = "SSH_AUTH_SOCK"

func agentIdentity(ctx context.Context) (*identity, error) {
	socket := os.Getenv(agentVariable)
	if socket == "" {
		return nil, fmt.Errorf("%w: there is no SSH key; name one with --git-ssh-key-file, or run an agent and set %s", fleet.ErrUnauthenticated, agentVariable)
	}
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("the agent at %s: %w; name a key with --git-ssh-key-file", agentVariable, err)
	}
	if err := conn.SetDeadline(time.Now().Add(connectTimeout + handshakeTimeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() {
		stop()
		_ = conn.Close() // Nothing is lost by closing it.
	}
	return &identity{ssh.PublicKeysCallback(agent.NewClient(conn).Signers), "the keys of the agent at " + agentVariable, end}, nil
}

// explainHandshake distinguishes a host that rejects the client from a host
// that the client rejects.
func explainHandshake(err error, user string, id *identity) error {
	var host *hostKeyError
	switch {
	case errors.As(err, &host):
		return host
	// The library has no type for either error.
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(err.Error(), "Too many authentication failures"):
		return fmt.Errorf("%w: the host does not accept %s for user %s; add the public key there, or use another key", fleet.ErrUnauthenticated, id.name, user)
	}
	return err
}
