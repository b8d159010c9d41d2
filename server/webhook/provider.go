package webhook

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Provider is a kind of sender: how it proves that it knows a secret, and which of its
// events can have changed a source.
type Provider struct {
	Name string
	// proof returns what the request shows, or an error that says what is missing.
	proof func(r *http.Request) (proof, error)
	// movesSource reports whether the event can have changed a source. In doubt it is
	// true: a look that finds nothing costs little.
	movesSource func(h http.Header, body prefix) bool
}

// The providers.
var (
	// GitHub sends X-Hub-Signature-256.
	GitHub = &Provider{
		Name:        "github",
		proof:       func(r *http.Request) (proof, error) { return hubProof(r.Header.Get("X-Hub-Signature-256")) },
		movesSource: func(h http.Header, _ prefix) bool { return gitEvents[h.Get("X-Github-Event")] },
	}
	// Gitea stands for Forgejo and Gogs as well.
	Gitea = &Provider{
		Name: "gitea",
		proof: func(r *http.Request) (proof, error) {
			return hubProof(first(r.Header, "X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature", "X-Hub-Signature-256"))
		},
		movesSource: func(h http.Header, _ prefix) bool {
			return gitEvents[first(h, "X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event", "X-Github-Event")]
		},
	}
	// GitLab sends a signature from version 19 on, and before that the secret itself.
	GitLab = &Provider{Name: "gitlab", proof: gitlabProof, movesSource: gitlabMovesSource}
	// Generic is for registries and scripts.
	Generic = &Provider{Name: "generic", proof: genericProof, movesSource: registryMovesSource}
)

// gitEvents are the events after which a branch, a tag, the default branch or a package
// may have changed.
var gitEvents = map[string]bool{
	"push": true, "create": true, "delete": true, "release": true, "repository": true, "package": true, "registry_package": true,
}

// hubProof reads a signature as GitHub writes it, or as Gitea does, without the name of
// the algorithm.
func hubProof(signature string) (proof, error) {
	if signature == "" {
		return proof{}, unsigned("enter a secret in the settings of the webhook")
	}
	return hexProof(strings.TrimPrefix(signature, "sha256="), sha256.New)
}

func unsigned(remedy string) error {
	return fmt.Errorf("%w: the webhook is not signed: %s, one from the file of --webhook-secret-file", fleet.ErrUnauthenticated, remedy)
}

// first returns the first header that is not empty. A sender that sends several of them
// says the same in each.
func first(h http.Header, names ...string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}

func gitlabProof(r *http.Request) (proof, error) {
	if r.Header.Get("Webhook-Signature") != "" {
		return standardProof(r.Header)
	}
	token := r.Header.Get("X-Gitlab-Token")
	if token == "" {
		return proof{}, unsigned("enter a signing token or a secret token in the settings of the webhook")
	}
	return proof{token: token}, nil
}

// timestampTolerance is how long a signature is valid, and how far the clocks of sender
// and receiver may differ: the value that Standard Webhooks recommends.
const timestampTolerance = 5 * time.Minute

// standardProof reads a signature by the rules of Standard Webhooks.
func standardProof(h http.Header) (proof, error) {
	timestamp := h.Get("Webhook-Timestamp")
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > timestampTolerance {
		return proof{}, fmt.Errorf("%w: webhook-timestamp is not within %s of the server's time: send the webhook again, or correct the clocks",
			fleet.ErrUnauthenticated, timestampTolerance)
	}
	p := proof{
		hash: sha256.New, key: func(s secret) []byte { return s.signing }, signedPrefix: h.Get("Webhook-Id") + "." + timestamp + ".",
	}
	for one := range strings.FieldsSeq(h.Get("Webhook-Signature")) {
		encoded, ok := strings.CutPrefix(one, "v1,")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if ok && err == nil {
			p.signatures = append(p.signatures, raw)
		}
	}
	if p.signatures == nil {
		return proof{}, errNotProven
	}
	return p, nil
}

// gitlabMovesSource reads the body of system hooks only, which can be about anything.
func gitlabMovesSource(h http.Header, body prefix) bool {
	switch h.Get("X-Gitlab-Event") {
	case "Push Hook", "Tag Push Hook", "Release Hook":
		return true
	case "System Hook":
		var event struct {
			Name string `json:"event_name"`
		}
		return !body.decode(&event) || slices.Contains([]string{"push", "tag_push", "repository_update"}, event.Name)
	}
	return false
}

// algorithms are those of X-Signature. SHA-1, which some receivers accept, is not one.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New}

// genericProof takes a signature. From registries, which cannot sign, it takes the
// secret in whatever form they send Authorization.
func genericProof(r *http.Request) (proof, error) {
	if signature := r.Header.Get("X-Signature"); signature != "" {
		name, digits, _ := strings.Cut(signature, "=")
		algorithm, ok := algorithms[name]
		if !ok {
			return proof{}, fmt.Errorf("%w: X-Signature must begin with sha256= or sha512=", fleet.ErrUnauthenticated)
		}
		return hexProof(digits, algorithm)
	}
	token := api.BearerToken(r)
	if token == "" {
		token = r.Header.Get("Authorization") // as Harbor sends it
	}
	if token == "" {
		return proof{}, unsigned("sign the body with a secret (X-Signature: sha256=…), or send it as a bearer token")
	}
	return proof{token: token}, nil
}

// registryMovesSource reads the notifications of Docker's distribution, Harbor and zot.
// Any other body was sent to have the source read.
func registryMovesSource(h http.Header, body prefix) bool {
	if kind := h.Get("Ce-Type"); kind != "" {
		return cloudEventMovesSource(kind)
	}
	var event struct {
		SpecVersion string                    // of CloudEvents
		Type        string                    // of CloudEvents and Harbor
		EventData   json.RawMessage           `json:"event_data"` // of Harbor
		Events      []struct{ Action string } // of distribution
	}
	switch {
	case !body.decode(&event):
		return true
	case event.SpecVersion != "":
		return cloudEventMovesSource(event.Type)
	case event.EventData != nil:
		return harborEvents[event.Type]
	case event.Events != nil:
		return slices.ContainsFunc(event.Events, func(e struct{ Action string }) bool {
			return e.Action == "push" || e.Action == "delete"
		})
	}
	return true
}

// harborEvents are the events of artifacts that come or go: a tag may then name another
// artifact, or a range of versions another tag.
var harborEvents = map[string]bool{
	"PUSH_ARTIFACT": true, "DELETE_ARTIFACT": true, "CREATE_TAG": true, "REPLICATION": true, "TAG_RETENTION": true,
}

// cloudEvents are the suffixes of event types, because the prefix that zot sends can be
// configured.
var cloudEvents = []string{
	".image.updated", ".image.deleted", // zot
	".artifact.pushed", ".artifact.deleted", ".tag.created", ".replication.status.changed", ".tag_retention.finished", // Harbor
}

func cloudEventMovesSource(kind string) bool {
	return slices.ContainsFunc(cloudEvents, func(suffix string) bool { return strings.HasSuffix(kind, suffix) })
}
