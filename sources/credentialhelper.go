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
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	// helperTime is what a helper may take, which as a rule asks a service.
	helperTimeout = 30 * time.Second
	// maxCredential is more bytes than any helper needs to tell.
	maxCredential = 64 << 10
)

// helperName is all that becomes the name of a program.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// askHelper runs a credential helper; empty is for one that has nothing.
func runHelper(ctx context.Context, helper, server string) (auth.Credential, error) {
	name := "docker-credential-" + helper
	if !helperName.MatchString(helper) {
		return auth.EmptyCredential, fmt.Errorf("credential helper %s is not valid: it must be the part of a program's name after docker-credential-", printable(helper))
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
	// What a helper says may hold what it was to keep.
	return auth.EmptyCredential, fmt.Errorf("credential helper %s failed for %s; run it by hand to see why", name, server)
}

// credentialOf knows the name by which helpers mark an identity token.
func credentialOf(c *credentials.Credentials) auth.Credential {
	if c.Username == "<token>" {
		return auth.Credential{RefreshToken: c.Secret}
	}
	return auth.Credential{Username: c.Username, Password: c.Secret}
}

// helperProgram is a client.Program that ends with its context, and whatever it
// started with it, that is not heard where it may tell a secret to a log, and that
// may not say too much.
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

// credentialText is what a helper says, up to a bound.
type credentialText struct{ text []byte }

func (t *credentialText) Write(p []byte) (int, error) {
	if len(t.text)+len(p) > maxCredential {
		return 0, errors.New("too long for a credential")
	}
	t.text = append(t.text, p...)
	return len(p), nil
}
