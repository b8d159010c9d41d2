package server

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// provider is a kind of sender of webhooks: how it proves that it knows a
// secret, and which of its events can have moved a source.
type provider struct {
	name string
	// claim is what the request shows, or an error that says what it lacks.
	claim func(r *http.Request) (claim, error)
	// moved errs towards yes: a look that finds nothing costs little.
	moved func(h http.Header, body notice) bool
}

var github = provider{
	name: "github",
	claim: func(r *http.Request) (claim, error) {
		return hubClaim(r.Header.Get("X-Hub-Signature-256"))
	},
	moved: func(h http.Header, _ notice) bool { return gitEvents[h.Get("X-Github-Event")] },
}

// gitea is Forgejo and Gogs as well.
var gitea = provider{
	name: "gitea",
	claim: func(r *http.Request) (claim, error) {
		return hubClaim(first(r.Header, "X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature", "X-Hub-Signature-256"))
	},
	moved: func(h http.Header, _ notice) bool {
		return gitEvents[first(h, "X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event", "X-Github-Event")]
	},
}

// gitEvents are those after which a branch, a tag, the default branch or a
// package may be another.
var gitEvents = map[string]bool{
	"push": true, "create": true, "delete": true, "release": true, "repository": true, "package": true, "registry_package": true,
}

// hubClaim is a claim to a signature as GitHub writes it, or as Gitea does,
// which leaves out the algorithm.
func hubClaim(signature string) (claim, error) {
	if signature == "" {
		return claim{}, unsigned("enter a secret at its sender")
	}
	return hexClaim(strings.TrimPrefix(signature, "sha256="), sha256.New)
}

func unsigned(remedy string) error {
	return fmt.Errorf("%w: the webhook is not signed: %s, one from the file of --webhook-secret-file", fleet.ErrUnauthenticated, remedy)
}

// first is the first of the headers that says something. A sender that brings
// several says the same in each.
func first(h http.Header, names ...string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}
