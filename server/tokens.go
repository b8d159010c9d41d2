package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s tokenHandlers) getTokens(r *http.Request, query url.Values) (any, error) {
	all, err := flag(query, "all")
	if err != nil {
		return nil, err
	}
	uses, now := s.fleet.TokenUses(r.Context()), s.cfg.Now()
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
	return list, nil
}

func (s tokenHandlers) postToken(w http.ResponseWriter, r *http.Request) error {
	write, err := plainWriteOptions(w, r, "a write of tokens")
	if err != nil {
		return err
	}
	var request api.TokenRequest
	if err := jsonDocument(r, &request); err != nil {
		return err
	}
	wanted := credential.Request{
		Name: request.Name, Role: request.Role, Cluster: request.Cluster, Labels: request.Labels, Uses: request.Uses, Selector: request.Selector,
	}
	if request.TTL != "" {
		if wanted.TTL, err = time.ParseDuration(request.TTL); err != nil || wanted.TTL <= 0 {
			return fleet.Problems{{Field: "ttl", Message: "must be a positive duration such as 24h"}}
		}
	}
	made, err := s.fleet.CreateToken(r.Context(), write, wanted)
	if err != nil {
		return err
	}
	answer := api.CreatedToken{Token: api.Token{Token: made.Token}, Secret: made.Secret, Generation: made.Generation}
	return created(w, "/api/v1/tokens/"+made.ID, answer, made.Generation)
}

func (s tokenHandlers) deleteToken(w http.ResponseWriter, r *http.Request) error {
	write, err := plainWriteOptions(w, r, "a write of tokens")
	if err != nil {
		return err
	}
	generation, err := s.fleet.RevokeToken(r.Context(), write, mux.Vars(r)["token"])
	if err != nil {
		return withList(err, "/api/v1/tokens")
	}
	return written(w, &fleet.Result{Generation: generation, Changes: []fleet.InputChange{}, Clusters: []string{}}, nil)
}
