package git

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// TestServerThatClosesTheConnectionDoesNotHaveThePinnedCommit lets the client notice,
// through a pipe, at any point of the request that the server has ended. For a
// branch, that says nothing about the commit.
func TestServerThatClosesTheConnectionDoesNotHaveThePinnedCommit(t *testing.T) {
	t.Parallel()
	server, client := io.Pipe()
	_ = server.Close()
	p := &pipe{stdin: client, stdout: transport.NewStallReader(t.Context(), io.NopCloser(strings.NewReader("")), func(error) {}, time.Minute), wait: func() error { return nil }, kill: func() {}}
	_, err := p.ask(t.Context(), []byte("0000"))
	if got := explainPackError(remoteRef{commit: plumbing.NewHash("ab")}, err); !errors.Is(got, fleet.ErrNotFound) {
		t.Errorf("%v becomes %v, want an ErrNotFound", err, got)
	}
	if got := explainPackError(remoteRef{ref: "refs/heads/main"}, err); !errors.Is(got, err) {
		t.Errorf("%v of a branch becomes %v", err, got)
	}
}
