package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	// helperTimeout is the time limit for a helper, which usually queries a
	// service.
	helperTimeout = 30 * time.Second
	// maxCredential is the maximum size of a helper's answer in bytes.
	maxCredential = 64 << 10
)

// helperName matches what may become part of the name of a program.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// runHelper runs a credential helper. The credential is empty if the helper has
// none.
func runHelper(ctx context.Context, helper, server string) (auth.Credential, error) {
	name := "docker-credential-" + helper
	if !helperName.MatchString(helper) {
		return auth.EmptyCredential, fmt.Errorf("credential helper %s is not valid: it must be the part of a program's name after docker-credential-", message.Printable(helper))
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("credential helper %s is not installed; install it, or name another file with --registry-config", name)
	}
	soon, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	found, err := client.Get(func(args ...string) client.Program { return &helperProgram{ctx: soon, path: path, args: args} }, server)
	switch {
	case err == nil:
		return credentialOf(found), nil
	case credentials.IsErrCredentialsNotFound(err):
		return auth.EmptyCredential, nil
	case ctx.Err() != nil:
		return auth.EmptyCredential, ctx.Err()
	case soon.Err() != nil:
		return auth.EmptyCredential, fmt.Errorf("credential helper %s did not answer for %s within %s; run it by hand to see why", name, server, helperTimeout)
	}
	// The helper's message is not repeated, because it may contain the secret.
	return auth.EmptyCredential, fmt.Errorf("credential helper %s failed for %s; run it by hand to see why", name, server)
}

// credentialOf converts a helper's answer. Helpers mark an identity token with
// a special user name.
func credentialOf(c *credentials.Credentials) auth.Credential {
	if c.Username == "<token>" {
		return auth.Credential{RefreshToken: c.Secret}
	}
	return auth.Credential{Username: c.Username, Password: c.Secret}
}

// helperProgram is a client.Program that is killed with all its child processes
// when its context ends. Its stderr is discarded, because it may contain a
// secret, and its output is bounded.
type helperProgram struct {
	ctx   context.Context
	path  string
	args  []string
	input io.Reader
}

func (p *helperProgram) Input(in io.Reader) { p.input = in }

func (p *helperProgram) Output() ([]byte, error) {
	var output credentialText
	c := exec.CommandContext(p.ctx, p.path, p.args...)
	c.Stdin, c.Stdout = p.input, &output
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := c.Run()
	return output.text, err
}

// credentialText collects a helper's output up to a limit.
type credentialText struct{ text []byte }

func (t *credentialText) Write(p []byte) (int, error) {
	if len(t.text)+len(p) > maxCredential {
		return 0, errors.New("too long for a credential")
	}
	t.text = append(t.text, p...)
	return len(p), nil
}
