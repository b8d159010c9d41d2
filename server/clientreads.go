package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// pages asks for a list page by page, until there is no more or at least enough
// items (0: all) have come.
func pages[T any](ctx context.Context, c *Client, q call, enough int) ([]T, error) {
	all := []T{}
	for {
		var page List[T]
		if _, err := c.do(ctx, q, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" || enough > 0 && len(all) >= enough {
			return all, nil
		}
		q = q.with("cursor", page.Next)
	}
}

// Clusters returns the clusters that a selector matches, as kubectl writes one;
// empty matches all.
func (c *Client) Clusters(ctx context.Context, selector string) ([]ClusterAnswer, error) {
	return pages[ClusterAnswer](ctx, c, reading("clusters").with("selector", selector), 0)
}

// Cluster returns one, by name or dns.
func (c *Client) Cluster(ctx context.Context, name string) (answer ClusterAnswer, err error) {
	_, err = c.do(ctx, reading("clusters", name), &answer)
	return answer, err
}

// Objects returns those of a cluster, in kustomize's order.
func (c *Client) Objects(ctx context.Context, cluster string) ([]json.RawMessage, error) {
	return pages[json.RawMessage](ctx, c, reading("clusters", cluster, "objects"), 0)
}

// Object returns one, and the tag by which a write says that it means this state.
func (c *Client) Object(ctx context.Context, cluster string, name fleet.ObjectName) (object json.RawMessage, tag string, err error) {
	q := reading("clusters", cluster, "objects", name.Kind, name.Name)
	q.query = narrowed(name)
	tag, err = c.do(ctx, q, &object)
	return object, tag, err
}

func narrowed(name fleet.ObjectName) url.Values {
	query := url.Values{}
	if name.Group != nil {
		query.Set("group", *name.Group)
	}
	if name.Namespace != nil {
		query.Set("namespace", *name.Namespace)
	}
	return query
}

// Inputs returns what a poll of one of a cluster's sets is answered.
func (c *Client) Inputs(ctx context.Context, cluster, set string) (answer json.RawMessage, err error) {
	_, err = c.do(ctx, reading("flux", "clusters", cluster, set), &answer)
	return answer, err
}

// Deltas returns all, with how they are doing. One with fields that are not known
// here is an error, since whoever writes it back would drop them.
func (c *Client) Deltas(ctx context.Context) ([]DeltaAnswer, error) {
	q := reading("deltas")
	q.strict = true
	return pages[DeltaAnswer](ctx, c, q, 0)
}

// deltaPath is where the delta of an ID is.
func deltaPath(id string) []string {
	if cluster, own := strings.CutPrefix(id, fleet.OwnID("")); own {
		return []string{"clusters", cluster, "delta"}
	}
	return []string{"deltas", strings.TrimPrefix(id, fleet.DeltaID(""))}
}

// Delta returns the one of an ID, and the tag by which a write says that it means
// this state. As with Deltas, all its fields are known.
func (c *Client) Delta(ctx context.Context, id string) (d *fleet.Delta, tag string, err error) {
	q := reading(deltaPath(id)...)
	q.strict = true
	tag, err = c.do(ctx, q, &d)
	return d, tag, err
}

// History returns entries of the change log, newest first: q.Limit of them, or
// all where that is 0. Of q, Generation and Before mean nothing here.
func (c *Client) History(ctx context.Context, q fleet.ChangeQuery) ([]fleet.Change, error) {
	limit := maxChanges
	if q.Limit > 0 {
		limit = min(q.Limit, maxChanges)
	}
	ask := reading("history").with("cluster", q.Cluster).with("actor", q.Actor).with("delta", q.Delta).
		with("since", timeText(q.Since)).with("until", timeText(q.Until)).with("limit", strconv.Itoa(limit))
	changes, err := pages[fleet.Change](ctx, c, ask, q.Limit)
	if q.Limit > 0 && len(changes) > q.Limit {
		changes = changes[:q.Limit]
	}
	return changes, err
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Change returns one entry of the change log.
func (c *Client) Change(ctx context.Context, generation int64) (change fleet.Change, err error) {
	_, err = c.do(ctx, reading("history", fmt.Sprint(generation)), &change)
	return change, err
}
