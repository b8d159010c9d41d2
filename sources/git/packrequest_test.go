package git

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestServerThatClosesTheConnectionDoesNotHaveThePinnedCommit lets the client notice,
// through a pipe, at any point of the request that the server has ended. For a
// branch, that says nothing about the commit.
func TestServerThatClosesTheConnectionDoesNotHaveThePinnedCommit(t *testing.T) {
	t.Parallel()
	for _, sending := range []string{"upload-req", "haves", "done"} {
		err := fmt.Errorf("sending %s message: write |1: broken pipe", sending)
		if got := explainPackError(remoteRef{commit: plumbing.NewHash("ab")}, err); !errors.Is(got, fleet.ErrNotFound) {
			t.Errorf("%v becomes %v, want an ErrNotFound", err, got)
		}
		if got := explainPackError(remoteRef{ref: "refs/heads/main"}, err); !errors.Is(got, err) {
			t.Errorf("%v of a branch becomes %v", err, got)
		}
	}
}
