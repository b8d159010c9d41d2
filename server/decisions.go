package server

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// postDecision has somebody decide on a release.
func (s *Server) postDecision(verdict fleet.Verdict) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		write, digest, err := decision(w, r)
		if err != nil {
			return err
		}
		release, err := s.fleet.Decide(r.Context(), write, verdict, mux.Vars(r)["id"], digest)
		if err != nil {
			return toList(err, "/api/v1/releases")
		}
		return s.changed(w, http.StatusOK, release, release.Generation)
	}
}

// decision reads who decides, why, and of which impact.
func decision(w http.ResponseWriter, r *http.Request) (write fleet.Write, digest string, err error) {
	if write, err = writing(w, r); err != nil {
		return write, "", err
	}
	if write.DryRun || write.Confirm != "" || write.Expect != nil {
		return write, "", fmt.Errorf("%w: a decision takes neither dryRun, confirm nor If-Match; say which impact it is of with the body's digest", api.ErrBadRequest)
	}
	if r.ContentLength == 0 {
		return write, "", nil
	}
	text, _, err := document(r, "application/json")
	if err != nil {
		return write, "", err
	}
	var asked api.Decision
	if err := decodeStrictly(text, &asked); err != nil {
		return write, "", err
	}
	switch {
	case asked.Digest != "" && !isDigest.MatchString(asked.Digest):
		err = fleet.Problems{{Field: "digest", Message: "must be the digest of the release's impact, sha256:<64 hex>"}}
	case asked.Reason != "" && write.Reason != "":
		err = fmt.Errorf("%w: reason: say it in the body or in Tributary-Reason, not in both", api.ErrBadRequest)
	case asked.Reason != "":
		write.Reason = asked.Reason
		err = checkReason("reason", asked.Reason)
	}
	return write, asked.Digest, err
}
