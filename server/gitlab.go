package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

var gitlab = provider{name: "gitlab", claim: gitlabClaim, moved: gitlabMoved}

// gitlabClaim is a signature where GitLab has a signing token, as it does from
// version 19 on, and otherwise the secret token, in the clear.
func gitlabClaim(r *http.Request) (claim, error) {
	if r.Header.Get("Webhook-Signature") != "" {
		return signedClaim(r.Header)
	}
	token := r.Header.Get("X-Gitlab-Token")
	if token == "" {
		return claim{}, unsigned("enter a signing token or a secret token at GitLab")
	}
	return claim{token: token}, nil
}

// signingTolerance is for how long a signature is good, and how far the clocks
// of GitLab and this machine may be apart: what Standard Webhooks recommends.
const signingTolerance = 5 * time.Minute

// signedClaim reads a signature by the rules of Standard Webhooks.
func signedClaim(h http.Header) (claim, error) {
	stamp := h.Get("Webhook-Timestamp")
	sent, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > signingTolerance {
		return claim{}, fmt.Errorf("%w: webhook-timestamp is not within %s of this machine's time: have it sent again, or set the clocks right",
			fleet.ErrUnauthenticated, signingTolerance)
	}
	c := claim{
		hash: sha256.New, key: func(s secret) []byte { return s.signing }, ahead: h.Get("Webhook-Id") + "." + stamp + ".",
	}
	for one := range strings.FieldsSeq(h.Get("Webhook-Signature")) {
		encoded, ok := strings.CutPrefix(one, "v1,")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if ok && err == nil {
			c.signatures = append(c.signatures, raw)
		}
	}
	if c.signatures == nil {
		return claim{}, errUnproven
	}
	return c, nil
}

// gitlabMoved looks into the body of system hooks alone: they are about anything.
func gitlabMoved(h http.Header, body notice) bool {
	switch h.Get("X-Gitlab-Event") {
	case "Push Hook", "Tag Push Hook", "Release Hook":
		return true
	case "System Hook":
		var said struct {
			Event string `json:"event_name"`
		}
		return !body.read(&said) || slices.Contains([]string{"push", "tag_push", "repository_update"}, said.Event)
	}
	return false
}
