package server

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/webhook"
)

// webhookAnswers are the answers to webhooks that were accepted.
var webhookAnswers = map[webhook.Result]api.WebhookResult{
	webhook.Look:     {Look: true},
	webhook.Ignored:  {Reason: "such an event does not change the source"},
	webhook.Repeated: {Reason: "this delivery came before"},
}

// postWebhook answers the webhooks of a provider. All that it takes from one is that the
// source may have changed: the source is then read, and nothing else happens.
func (s *Server) postWebhook(p *webhook.Provider) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		// Unsigned webhooks are accepted where only this machine is answered and has no
		// credentials either.
		result, err := s.webhooks.Receive(p, r, s.auth.IsAnonymous() && !s.cfg.AllowAnonymous)
		if err != nil {
			s.metrics.webhooks.WithLabelValues(p.Name, "refused").Inc()
			return err
		}
		s.metrics.webhooks.WithLabelValues(p.Name, string(result)).Inc()
		if result == webhook.Look {
			s.fleet.Look()
		}
		return accepted(w, webhookAnswers[result])
	}
}

// accepted answers 202.
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
