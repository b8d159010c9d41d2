package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// The results of a webhook, as the metrics count them, with what is answered.
var webhookAnswers = map[string]api.WebhookResult{
	"look":     {Look: true},
	"ignored":  {Reason: "such an event does not move the source"},
	"repeated": {Reason: "this delivery was heard before"},
}

var errNoSecret = fmt.Errorf("%w: webhooks must be signed, and this server knows no secret: start it with --webhook-secret-file",
	fleet.ErrForbidden)

// postWebhook answers the webhooks of a provider. Nothing is taken from one but
// that the source may have moved: the source is then asked itself, so that who
// knows the secret can have it asked, and no more.
func (s *Server) postWebhook(p provider) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		result, err := s.hear(p, r)
		if err != nil {
			s.metrics.webhooks.WithLabelValues(p.name, "refused").Inc()
			return err
		}
		s.metrics.webhooks.WithLabelValues(p.name, result).Inc()
		if result == "look" {
			s.fleet.Look()
		}
		return accepted(w, webhookAnswers[result])
	}
}

// hear reads a webhook and returns what comes of it. The body is read to its end
// and found genuine before anything in it is looked at.
func (s *Server) hear(p provider, r *http.Request) (result string, err error) {
	var body notice
	signature, err := s.verify(p, r, io.TeeReader(r.Body, &body))
	if err != nil {
		return "", err
	}
	// It is noted whatever the event is, whose name is not signed.
	before := ""
	if signature != nil {
		before = s.recent.again(signature, p.name)
	}
	switch {
	case !p.moved(r.Header, body):
		return "ignored", nil
	case before != "" && (before != p.name || p.name != generic.name): // Scripts sign the same body each time.
		return "repeated", nil
	}
	return "look", nil
}

// verify reads the body to its end. Without secrets everybody may send webhooks
// where everybody is admin because only this machine is answered.
func (s *Server) verify(p provider, r *http.Request, body io.Reader) (signature []byte, err error) {
	if s.secrets == nil {
		if !s.anonymous() || s.cfg.AllowAnonymous {
			return nil, errNoSecret
		}
		return nil, drain(body, io.Discard)
	}
	c, err := p.claim(r)
	if err != nil {
		return nil, err
	}
	return c.verify(body, *s.secrets.current.Load())
}

// accepted answers that something will be done, or need not be.
func accepted(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = jsonType, []string{strconv.Itoa(len(body))}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(body) // a client that went away needs no answer
	return nil
}
