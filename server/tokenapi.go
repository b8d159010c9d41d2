package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) getTokens(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "all")
	if err != nil {
		return err
	}
	all := query.Get("all") == "true"
	if query.Has("all") && !all && query.Get("all") != "false" {
		return fmt.Errorf("%w: all: must be true or false", api.ErrBadRequest)
	}
	uses, now := s.fleet.TokenUses(r.Context()), time.Now()
	list := api.List[api.Token]{Items: []api.Token{}}
	for _, t := range s.fleet.Tokens().List() {
		if !all && !t.Valid(now) {
			continue
		}
		item := api.Token{Token: *t}
		if at, used := uses[t.ID]; used {
			item.LastUsedAt = &at
		}
		list.Items = append(list.Items, item)
	}
	return answer(w, r, list, stamp{})
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) error {
	write, err := tokenWrite(w, r)
	if err != nil {
		return err
	}
	text, _, err := document(r, "application/json")
	if err != nil {
		return err
	}
	var asked api.TokenRequest
	if err := decodeStrictly(text, &asked); err != nil {
		return err
	}
	if asked.TTL != "" {
		if asked.TokenRequest.TTL, err = time.ParseDuration(asked.TTL); err != nil || asked.TokenRequest.TTL <= 0 {
			return fleet.Problems{{Field: "ttl", Message: "must be a duration such as 24h, and more than 0"}}
		}
	}
	made, err := s.fleet.CreateToken(r.Context(), write, asked.TokenRequest)
	if err != nil {
		return err
	}
	answer := api.CreatedToken{Token: api.Token{Token: made.Token}, Secret: made.Secret, Generation: made.Generation}
	return s.created(w, "/api/v1/tokens/"+made.ID, answer, made.Generation)
}

func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request) error {
	write, err := tokenWrite(w, r)
	if err != nil {
		return err
	}
	generation, err := s.fleet.RevokeToken(r.Context(), write, mux.Vars(r)["token"])
	if err != nil {
		return toList(err, "/api/v1/tokens")
	}
	return s.written(w, &fleet.Result{Generation: generation, Changes: []fleet.InputChange{}, Clusters: []string{}})
}

// tokenWrite reads what writes of tokens have in common with others.
func tokenWrite(w http.ResponseWriter, r *http.Request) (fleet.Write, error) {
	write, err := writing(w, r)
	if err == nil && (write.DryRun || write.Confirm != "" || write.Expect != nil) {
		err = fmt.Errorf("%w: a write of tokens takes neither dryRun, confirm nor If-Match", api.ErrBadRequest)
	}
	return write, err
}
