package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func (s *Server) getHistory(w http.ResponseWriter, r *http.Request) error {
	query, err := parameters(r, "cluster", "actor", "delta", "since", "until", "limit", "cursor")
	if err != nil {
		return err
	}
	q, err := changeQuery(query)
	if err != nil {
		return err
	}
	q.Cluster = strings.TrimPrefix(s.ownID(q.Cluster), fleet.OwnID(""))
	limit := q.Limit
	q.Limit++ // to know whether there is more
	changes, err := s.fleet.History(r.Context(), q)
	if err != nil {
		return err
	}
	page := api.List[fleet.Change]{Items: changes}
	if page.Items == nil {
		page.Items = []fleet.Change{}
	}
	if len(changes) > limit {
		page.Items = changes[:limit]
		page.Next = strconv.FormatInt(changes[limit-1].Generation, 10)
	}
	return answer(w, r, page, stamp{})
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

// logPage reads ?limit= and ?cursor= of what is ordered by generation.
func logPage(query url.Values, usual, most int) (limit int, before int64, err error) {
	limit = usual
	if query.Has("limit") {
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > most {
			return 0, 0, fmt.Errorf("%w: limit: must be a number from 1 to %d", api.ErrBadRequest, most)
		}
	}
	if query.Has("cursor") {
		if before, err = strconv.ParseInt(query.Get("cursor"), 10, 64); err != nil || before < 1 {
			return 0, 0, fmt.Errorf("%w: cursor: pass on the list's \"next\" as it is", api.ErrBadRequest)
		}
	}
	return limit, before, nil
}

func (s *Server) getChange(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	text := mux.Vars(r)["generation"]
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil || generation < 1 {
		return fmt.Errorf("%w: generation %q: must be a number from 1", api.ErrBadRequest, text)
	}
	changes, err := s.fleet.History(r.Context(), fleet.ChangeQuery{Generation: generation})
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return fmt.Errorf("generation %d: %w: it is yet to come, or was dropped", generation, fleet.ErrNotFound)
	}
	return answer(w, r, changes[0], stamp{})
}

func (s *Server) postRollback(w http.ResponseWriter, r *http.Request) error {
	write, err := writing(w, r)
	if err != nil {
		return err
	}
	if write.Expect != nil {
		return fmt.Errorf("%w: If-Match: a rollback has nothing to be compared with; say what it would do with ?dryRun=true", api.ErrBadRequest)
	}
	text, _, err := document(r, "application/json")
	if err != nil {
		return err
	}
	var asked api.Rollback
	if err := decodeStrictly(text, &asked); err != nil {
		return err
	}
	back := fleet.Rollback{Generation: asked.Generation}
	switch {
	case asked.Generation < 1:
		return fleet.Problems{{Field: "generation", Message: "must be a number from 1; GET /api/v1/history lists them"}}
	case asked.Cluster != "" && asked.Delta != "":
		return fleet.Problems{{Field: "delta", Message: "name a cluster or a delta, not both"}}
	case asked.Cluster != "":
		back.Delta = s.ownID(asked.Cluster)
	case asked.Delta != "":
		back.Delta = fleet.DeltaID(asked.Delta)
	}
	result, err := s.fleet.Rollback(r.Context(), write, back)
	if err != nil {
		return err
	}
	return s.written(w, result)
}

// decodeStrictly refuses fields that are not known.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.Decode(new(any)) != io.EOF {
		err = errors.New("there is something behind the document")
	}
	if err != nil {
		return fmt.Errorf("%w: the body: %w", api.ErrBadRequest, err)
	}
	return nil
}
