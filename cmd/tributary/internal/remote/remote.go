// Package remote has the flags of commands that talk to a server, and rewrites the server's errors
// for a user of the command line.
//
//	var server remote.Flags
//	server.Bind(cmd)
//	client, err := server.Client()
//	clusters, err := client.Clusters(ctx, "")
//	return remote.Error(err)
//
// WriteFlags are for commands that change something.
package remote

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/usage"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// Flags name the server to talk to and the credentials to use.
type Flags struct {
	Config    client.Config // without version and token
	command   *cobra.Command
	tokenFile string
}

// Bind adds the flags to cmd and its subcommands.
func (s *Flags) Bind(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	s.BindAddress(cmd, f)
	f.StringVar(&s.Config.CAFile, "ca-file", "", "PEM certificates to trust for https, in addition to the system's")
	f.StringVar(&s.Config.CertFile, "client-cert-file", "", "PEM client certificate for a server that asks for one")
	f.StringVar(&s.Config.KeyFile, "client-key-file", "", "PEM key of the client certificate")
	usage.MarkServer(f, "ca-file", "client-cert-file", "client-key-file")
}

// BindAddress adds only the flags that a command with a SOURCE has too.
func (s *Flags) BindAddress(cmd *cobra.Command, f *pflag.FlagSet) {
	s.command = cmd
	f.StringVar(&s.Config.URL, "server", "http://127.0.0.1:8080", "URL of the server")
	f.StringVar(&s.tokenFile, "token-file", "", "file with the token to send (default: the value of TRIBUTARY_TOKEN)")
	usage.MarkServer(f, "server", "token-file")
}

// Client returns a client for the server.
func (s *Flags) Client() (*client.Client, error) {
	token := os.Getenv("TRIBUTARY_TOKEN")
	if s.tokenFile != "" {
		text, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return nil, err
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return nil, fmt.Errorf("%s: contains no token", s.tokenFile)
		}
	}
	return s.ClientWith(token)
}

// ClientWith returns a client that sends this token.
func (s *Flags) ClientWith(token string) (*client.Client, error) {
	cfg := s.Config
	cfg.Version, cfg.Token = s.command.Root().Version, token
	return client.New(cfg)
}

// routes matches the routes of lists in the server's messages.
var routes = regexp.MustCompile(`\bGET /api/v1/(clusters|deltas|history|pins|releases|tokens)\b`)

// approval matches the route that approves a release.
var approval = regexp.MustCompile(`\bPOST /api/v1/releases/([0-9a-f]+)/approve\b`)

// Error rewrites an error of the server for a user of the command line: routes become
// commands, and several problems are listed, one on each line.
func Error(err error) error {
	var r *client.Refusal
	var guardErr *fleet.GuardError
	switch {
	case errors.As(err, &guardErr):
		return preview.GuardError(guardErr, fleet.ErrGuarded.Error()+", and nothing was changed", "--confirm")
	case !errors.As(err, &r):
		return err
	}
	r.Detail = approval.ReplaceAllString(routes.ReplaceAllString(r.Detail, "tributary get $1"), "tributary release approve $1")
	for i := range r.Errors {
		r.Errors[i].Message = routes.ReplaceAllString(r.Errors[i].Message, "tributary get $1")
	}
	switch {
	case errors.Is(err, fleet.ErrUnauthenticated):
		if strings.Contains(r.Detail, "Authorization:") {
			r.Detail = fleet.ErrUnauthenticated.Error() + ": the server needs a token"
		}
		return fmt.Errorf("%w; give a token with --token-file or TRIBUTARY_TOKEN", err)
	case len(r.Errors) > 1:
		return fmt.Errorf("%d problems, and nothing was changed:\n%w", len(r.Errors), err)
	}
	return err
}

// ClientOf returns a client for the server that the flags of a command name, also where the command
// itself does not run.
func ClientOf(cmd *cobra.Command) (*client.Client, error) {
	s := Flags{command: cmd}
	for name, into := range map[string]*string{
		"server": &s.Config.URL, "token-file": &s.tokenFile, "ca-file": &s.Config.CAFile,
		"client-cert-file": &s.Config.CertFile, "client-key-file": &s.Config.KeyFile,
	} {
		if f := cmd.Flag(name); f != nil {
			*into = f.Value.String()
		}
	}
	return s.Client()
}
