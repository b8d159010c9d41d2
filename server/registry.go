package server

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

var generic = provider{name: "generic", claim: genericClaim, moved: registryMoved}

// algorithms are those of X-Signature. SHA-1, which other receivers take as
// well, is not among them.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New}

// genericClaim takes a signature from who can make one, and from registries,
// which cannot, the secret: in whatever form they can send Authorization.
func genericClaim(r *http.Request) (claim, error) {
	if signature := r.Header.Get("X-Signature"); signature != "" {
		name, digits, _ := strings.Cut(signature, "=")
		algorithm, ok := algorithms[name]
		if !ok {
			return claim{}, fmt.Errorf("%w: X-Signature must begin with sha256= or sha512=", fleet.ErrUnauthenticated)
		}
		return hexClaim(digits, algorithm)
	}
	token := presented(r)
	if token == "" {
		token = r.Header.Get("Authorization") // as Harbor sends it
	}
	if token == "" {
		return claim{}, unsigned("sign the body with a secret (X-Signature: sha256=…), or send it as a bearer token")
	}
	return claim{token: token}, nil
}

// registryMoved reads what Docker's distribution, Harbor and zot send when
// something was pushed, pulled and so on. Whatever else comes was sent for the
// sake of a look.
func registryMoved(h http.Header, body notice) bool {
	if kind := h.Get("Ce-Type"); kind != "" {
		return cloudEventMoved(kind)
	}
	var said struct {
		SpecVersion string                    // of CloudEvents
		Type        string                    // of CloudEvents and Harbor
		EventData   json.RawMessage           `json:"event_data"` // of Harbor
		Events      []struct{ Action string } // of distribution
	}
	switch {
	case !body.read(&said):
		return true
	case said.SpecVersion != "":
		return cloudEventMoved(said.Type)
	case said.EventData != nil:
		return harborEvents[said.Type]
	case said.Events != nil:
		return slices.ContainsFunc(said.Events, func(e struct{ Action string }) bool {
			return e.Action == "push" || e.Action == "delete"
		})
	}
	return true
}

// A tag may come to stand for something else, or a range of versions for another
// tag, when artifacts come and when they go.
var harborEvents = map[string]bool{
	"PUSH_ARTIFACT": true, "DELETE_ARTIFACT": true, "CREATE_TAG": true, "REPLICATION": true, "TAG_RETENTION": true,
}

// cloudEvents are the ends of types: what zot puts in front can be configured.
var cloudEvents = []string{
	".image.updated", ".image.deleted", // zot
	".artifact.pushed", ".artifact.deleted", ".tag.created", ".replication.status.changed", ".tag_retention.finished", // Harbor
}

func cloudEventMoved(kind string) bool {
	return slices.ContainsFunc(cloudEvents, func(end string) bool { return strings.HasSuffix(kind, end) })
}
