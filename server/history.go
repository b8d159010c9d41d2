package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s historyHandlers) getHistory(r *http.Request, query url.Values) (any, error) {
	q, err := changeQuery(query)
	if err != nil {
		return nil, err
	}
	q.Cluster = s.clusterName(q.Cluster)
	limit := q.Limit
	q.Limit++ // to find out whether there is more
	changes, err := s.fleet.History(r.Context(), q)
	if err != nil {
		return nil, err
	}
	page := api.List[api.Change]{Items: []api.Change{}}
	if len(changes) > limit {
		changes = changes[:limit]
		page.Next = strconv.FormatInt(changes[limit-1].Generation, 10)
	}
	for i := range changes {
		page.Items = append(page.Items, api.NewChange(&changes[i]))
	}
	return page, nil
}

func changeQuery(query url.Values) (q fleet.ChangeQuery, err error) {
	q = fleet.ChangeQuery{Cluster: query.Get("cluster"), Actor: query.Get("actor"), Delta: query.Get("delta")}
	if q.Limit, q.Before, err = logPage(query, api.DefaultChanges, api.MaxChanges); err != nil {
		return q, err
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if !query.Has(name) {
			continue
		}
		if *into, err = time.Parse(time.RFC3339, query.Get(name)); err != nil {
			return q, fmt.Errorf("%w: %s: must be a time such as 2026-01-02T03:04:05Z", api.ErrBadRequest, name)
		}
	}
	return q, nil
}

func (s historyHandlers) getChange(r *http.Request, _ url.Values) (any, error) {
	text := mux.Vars(r)["generation"]
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil || generation < 1 {
		return nil, fmt.Errorf("%w: generation %q: must be a number from 1", api.ErrBadRequest, text)
	}
	changes, err := s.fleet.History(r.Context(), fleet.ChangeQuery{Generation: generation})
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, fmt.Errorf("generation %d: %w: it does not exist yet, or was dropped because of its age", generation, fleet.ErrNotFound)
	}
	return api.NewChange(&changes[0]), nil
}

func (s historyHandlers) postRollback(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	if hasPrecondition(r.Header) {
		return nil, fmt.Errorf("%w: If-Match: a rollback has nothing to compare with; see what it would do with ?dryRun=true", api.ErrBadRequest)
	}
	var request api.Rollback
	if err := jsonDocument(r, &request); err != nil {
		return nil, err
	}
	back := controller.Rollback{Generation: request.Generation}
	switch {
	case request.Generation < 1:
		return nil, fleet.Problems{{Field: "generation", Message: "must be a number from 1; GET /api/v1/history lists them"}}
	case request.Cluster != "" && request.Delta != "":
		return nil, fleet.Problems{{Field: "delta", Message: "name a cluster or a delta, not both"}}
	case request.Cluster != "":
		back.Delta = fleet.OwnID(s.clusterName(request.Cluster))
	case request.Delta != "":
		back.Delta = fleet.DeltaID(request.Delta)
	}
	return s.fleet.Rollback(r.Context(), write, back)
}
