package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/limit"
)

const shortestKey, longestKey = 20, 128

func (s *Server) postRegister(w http.ResponseWriter, r *http.Request) error {
	who := identityOf(w)
	if wait := s.registerRate.Take(limit.Key{Name: who.name}); wait > 0 {
		return limit.RateError(wait, "register fewer clusters at once")
	}
	write, err := writing(w, r)
	if err != nil {
		return err
	}
	if write.DryRun || write.Confirm != "" || write.Expect != nil {
		return fmt.Errorf("%w: a registration takes neither dryRun, confirm nor If-Match", api.ErrBadRequest)
	}
	key := r.Header.Get(api.IdempotencyKey)
	if key != "" && (len(key) < shortestKey || len(key) > longestKey || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' })) {
		return fmt.Errorf("%w: %s: must be %d to %d printable characters that nobody can guess, such as a UUID", api.ErrBadRequest, api.IdempotencyKey, shortestKey, longestKey)
	}
	text, _, err := document(r, "application/json")
	if err != nil {
		return err
	}
	var asked fleet.Registration
	if err := decodeStrictly(text, &asked); err != nil {
		return err
	}
	by := who.registrant()
	by.Secret, by.Key = api.BearerToken(r), key
	answer, err := s.fleet.Register(r.Context(), write, by, asked)
	if err != nil {
		return err
	}
	return s.created(w, "/api/v1/clusters/"+answer.Cluster, answer, answer.Generation)
}

// registrant is who registers a cluster.
func (who identity) registrant() fleet.Registrant {
	by := fleet.Registrant{Token: who.token, Cluster: who.cluster, Labels: who.labels}
	switch who.role {
	case roleCluster:
		by.Role = fleet.RoleCluster
	case roleBootstrap:
		by.Role = fleet.RoleBootstrap
	default:
		by.Role = fleet.RoleAdmin
	}
	return by
}

// How many clusters one credential registers. A thousand clusters that boot at once and
// try again are let through; one that never stops does not keep others from writing.
const (
	registrationsPerSecond = 100
	registrationsAtOnce    = 2500
)
