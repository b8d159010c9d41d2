package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Clusters returns the clusters that match a label selector, as kubectl writes one.
// An empty selector matches all. Each kind, such as late, leaves those that are of it.
func (c *Client) Clusters(ctx context.Context, selector string, kinds ...string) ([]api.Cluster, error) {
	q := get("clusters").with("selector", selector)
	for _, kind := range kinds {
		q = q.with(kind, "true")
	}
	return pages[api.Cluster](ctx, c, q, 0)
}

// HasCluster reports whether a cluster matches a label selector.
func (c *Client) HasCluster(ctx context.Context, selector string) (bool, error) {
	var page api.List[api.Cluster]
	_, err := c.do(ctx, get("clusters").with("selector", selector).with("limit", "1"), &page)
	return len(page.Items) > 0, err
}

// Cluster returns a cluster, by name or dns.
func (c *Client) Cluster(ctx context.Context, name string) (cluster api.Cluster, err error) {
	_, err = c.do(ctx, get("clusters", name), &cluster)
	return cluster, err
}

// DeclareCluster declares a cluster through the API. The fields are those of a cluster
// file, as one JSON or YAML mapping.
func (c *Client) DeclareCluster(ctx context.Context, o WriteOptions, fields []byte) (*fleet.Result, error) {
	q := call{method: http.MethodPost, path: []string{"clusters"}, body: fields}
	return c.write(ctx, o.apply(q, "application/yaml"))
}

// PatchCluster changes a cluster that the API declares, by a merge patch of its fields.
func (c *Client) PatchCluster(ctx context.Context, o WriteOptions, name string, patch []byte) (*fleet.Result, error) {
	q := call{method: http.MethodPatch, path: []string{"clusters", name}, body: patch}
	return c.write(ctx, o.apply(q, api.MergePatchType))
}

// Decommission empties every input set of a cluster, which the confirmation in the options names. With
// purge it removes the record of a cluster that is already decommissioned.
func (c *Client) Decommission(ctx context.Context, o WriteOptions, name string, purge bool) (*fleet.Result, error) {
	q := call{method: http.MethodDelete, path: []string{"clusters", name}}
	if purge {
		q = q.with("purge", "true")
	}
	return c.write(ctx, o.apply(q, ""))
}

// Recommission brings a decommissioned cluster back as it was.
func (c *Client) Recommission(ctx context.Context, o WriteOptions, name string) (*fleet.Result, error) {
	q := call{method: http.MethodPost, path: []string{"clusters", name, "recommission"}}
	return c.write(ctx, o.apply(q, ""))
}

// Register registers the calling cluster. With the cluster's own token it replaces that
// token. A call that is repeated with the same idempotency key, of 20 to 128 printable
// characters, returns the same token.
func (c *Client) Register(ctx context.Context, r api.Registration, idempotencyKey string) (answer api.RegistrationResult, err error) {
	q, err := post(r, "register")
	if err != nil {
		return answer, err
	}
	if idempotencyKey != "" {
		q.header.Set(api.IdempotencyKey, idempotencyKey)
	}
	_, err = c.do(ctx, q, &answer)
	return answer, err
}

// Bootstrap returns what a new cluster's Flux needs beside a token.
func (c *Client) Bootstrap(ctx context.Context) (bootstrap api.Bootstrap, err error) {
	_, err = c.do(ctx, get("bootstrap"), &bootstrap)
	return bootstrap, err
}

// Inputs returns the answer to a poll of one of a cluster's input sets.
func (c *Client) Inputs(ctx context.Context, cluster, set string) (inputs json.RawMessage, err error) {
	_, err = c.do(ctx, get("flux", "clusters", cluster, set), &inputs)
	return inputs, err
}

// Objects returns the objects of a cluster, in kustomize's order.
func (c *Client) Objects(ctx context.Context, cluster string) ([]json.RawMessage, error) {
	return pages[json.RawMessage](ctx, c, get("clusters", cluster, "objects"), 0)
}

// Object returns an object, and the tag to pass as IfMatch to a write of it.
func (c *Client) Object(ctx context.Context, cluster string, name fleet.ObjectName) (object json.RawMessage, tag string, err error) {
	q := get("clusters", cluster, "objects", name.Kind, name.Name)
	q.query = objectQuery(name)
	tag, err = c.do(ctx, q, &object)
	return object, tag, err
}

// PatchObject changes an object for one cluster.
func (c *Client) PatchObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName, p fleet.ObjectPatch) (*fleet.Result, error) {
	q := call{method: http.MethodPatch, path: []string{"clusters", cluster, "objects", name.Kind, name.Name}, query: objectQuery(name), body: p.Body}
	for mediaType, kind := range api.PatchTypes {
		if kind == p.Type {
			return c.write(ctx, o.apply(q, mediaType))
		}
	}
	return nil, fmt.Errorf("patch of type %q: %w", p.Type, fleet.ErrInvalid)
}

// DeleteObject removes an object from one cluster.
func (c *Client) DeleteObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName) (*fleet.Result, error) {
	q := call{method: http.MethodDelete, path: []string{"clusters", cluster, "objects", name.Kind, name.Name}, query: objectQuery(name)}
	return c.write(ctx, o.apply(q, ""))
}

func objectQuery(name fleet.ObjectName) url.Values {
	query := url.Values{}
	if name.Group != nil {
		query.Set("group", *name.Group)
	}
	if name.Namespace != nil {
		query.Set("namespace", *name.Namespace)
	}
	return query
}

// Deltas returns all deltas with their status. A field that the client does not know is
// an error, because writing the delta back would lose it.
func (c *Client) Deltas(ctx context.Context) ([]api.Delta, error) {
	q := get("deltas")
	q.strict = true
	return pages[api.Delta](ctx, c, q, 0)
}

// Delta returns the delta of an ID, and the tag to pass as IfMatch to a write of it. As
// with Deltas, a field that the client does not know is an error.
func (c *Client) Delta(ctx context.Context, id string) (d *fleet.Delta, tag string, err error) {
	q := get(deltaPath(id)...)
	q.strict = true
	tag, err = c.do(ctx, q, &d)
	return d, tag, err
}

// PutDelta replaces the delta of an ID by a JSON or YAML document.
func (c *Client) PutDelta(ctx context.Context, o WriteOptions, id string, document []byte) (*fleet.Result, error) {
	return c.write(ctx, o.apply(call{method: http.MethodPut, path: deltaPath(id), body: document}, "application/yaml"))
}

// DeleteDelta deletes the delta of an ID.
func (c *Client) DeleteDelta(ctx context.Context, o WriteOptions, id string) (*fleet.Result, error) {
	return c.write(ctx, o.apply(call{method: http.MethodDelete, path: deltaPath(id)}, ""))
}

// deltaPath returns the path of the delta of an ID.
func deltaPath(id string) []string {
	if cluster, own := strings.CutPrefix(id, fleet.OwnID("")); own {
		return []string{"clusters", cluster, "delta"}
	}
	return []string{"deltas", strings.TrimPrefix(id, fleet.DeltaID(""))}
}

// History returns changes, newest first: q.Limit of them, or all if that is 0. The
// fields Generation and Before of q are ignored.
func (c *Client) History(ctx context.Context, q fleet.ChangeQuery) ([]api.Change, error) {
	limit := api.MaxChanges
	if q.Limit > 0 {
		limit = min(q.Limit, api.MaxChanges)
	}
	list := get("history").with("cluster", q.Cluster).with("actor", q.Actor).with("delta", q.Delta).
		with("since", timeText(q.Since)).with("until", timeText(q.Until)).with("limit", strconv.Itoa(limit))
	changes, err := pages[api.Change](ctx, c, list, q.Limit)
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

// Change returns the change of a generation.
func (c *Client) Change(ctx context.Context, generation int64) (change api.Change, err error) {
	_, err = c.do(ctx, get("history", fmt.Sprint(generation)), &change)
	return change, err
}

// Rollback restores deltas as they were at a generation: the delta of an ID, or all of
// them if the ID is empty.
func (c *Client) Rollback(ctx context.Context, o WriteOptions, generation int64, delta string) (*fleet.Result, error) {
	request := api.Rollback{Generation: generation}
	switch path := deltaPath(delta); {
	case delta == "":
	case path[0] == "clusters":
		request.Cluster = path[1]
	default:
		request.Delta = path[1]
	}
	q, err := post(request, "rollback")
	if err != nil {
		return nil, err
	}
	return c.write(ctx, o.apply(q, "application/json"))
}

// Releases returns the releases that match, newest first, and the state of the source:
// q.Limit releases, or all if that is 0. The field Before of q is ignored.
func (c *Client) Releases(ctx context.Context, q fleet.ReleaseQuery) (all api.Releases, err error) {
	list := get("releases").with("state", string(q.State))
	if q.Limit > 0 {
		list = list.with("limit", strconv.Itoa(min(q.Limit, api.MaxReleases)))
	}
	items := []fleet.Release{}
	for {
		var page api.Releases
		if _, err := c.do(ctx, list, &page); err != nil {
			return all, err
		}
		items, all.Source = append(items, page.Items...), page.Source
		if page.Next == "" || q.Limit > 0 && len(items) >= q.Limit {
			break
		}
		list = list.with("cursor", page.Next)
	}
	if q.Limit > 0 && len(items) > q.Limit {
		items = items[:q.Limit]
	}
	all.Items = items
	return all, nil
}

// Release returns a release with its whole impact, by its ID or revision.
func (c *Client) Release(ctx context.Context, id string) (release *fleet.Release, err error) {
	_, err = c.do(ctx, get("releases", id), &release)
	return release, err
}

// Decide decides on a release, by its ID or revision. The digest confirms the impact of
// the release; an empty one confirms whatever it is. If the impact has changed since,
// the error is a *fleet.GuardError.
func (c *Client) Decide(ctx context.Context, verdict fleet.Verdict, release, reason, digest string) (*fleet.Release, error) {
	q, err := post(api.Decision{Reason: reason, Digest: digest}, "releases", release, string(verdict))
	if err != nil {
		return nil, err
	}
	var decided fleet.Release
	_, err = c.do(ctx, q, &decided)
	return &decided, err
}

// Preview returns what another ref of the server's source would change.
func (c *Client) Preview(ctx context.Context, ref string) (preview *fleet.Preview, err error) {
	_, err = c.do(ctx, get("preview").with("ref", ref), &preview)
	return preview, err
}

// PreviewSnapshot returns what a packed snapshot of a revision would change.
func (c *Client) PreviewSnapshot(ctx context.Context, revision string, packed []byte) (preview *fleet.Preview, err error) {
	q := call{method: http.MethodPost, path: []string{"preview"}, header: http.Header{"Content-Type": {api.SnapshotType}}, body: packed, readOnly: true}
	_, err = c.do(ctx, q.with("revision", revision), &preview)
	return preview, err
}

// Pins returns all pins with their status, sorted by name.
func (c *Client) Pins(ctx context.Context) ([]api.Pin, error) {
	return pages[api.Pin](ctx, c, get("pins"), 0)
}

// Pin returns a pin, and the tag to pass as IfMatch to a write of it.
func (c *Client) Pin(ctx context.Context, name string) (p *fleet.Pin, tag string, err error) {
	tag, err = c.do(ctx, get("pins", name), &p)
	return p, tag, err
}

// PutPin sets a pin, and replaces one of the same name.
func (c *Client) PutPin(ctx context.Context, o WriteOptions, p fleet.Pin) (*fleet.Result, error) {
	q, err := post(p, "pins", p.Name)
	if err != nil {
		return nil, err
	}
	q.method = http.MethodPut
	return c.write(ctx, o.apply(q, "application/json"))
}

// DeletePin deletes a pin.
func (c *Client) DeletePin(ctx context.Context, o WriteOptions, name string) (*fleet.Result, error) {
	return c.write(ctx, o.apply(call{method: http.MethodDelete, path: []string{"pins", name}}, ""))
}

// Tokens returns the valid tokens. With all it returns those that were revoked or have
// expired as well.
func (c *Client) Tokens(ctx context.Context, all bool) ([]api.Token, error) {
	q := get("tokens")
	if all {
		q = q.with("all", "true")
	}
	return pages[api.Token](ctx, c, q, 0)
}

// CreateToken creates a token. The answer alone has its secret.
func (c *Client) CreateToken(ctx context.Context, r api.TokenRequest) (token api.CreatedToken, err error) {
	q, err := post(r, "tokens")
	if err != nil {
		return token, err
	}
	_, err = c.do(ctx, q, &token)
	return token, err
}

// RevokeToken revokes a token, by its ID or name.
func (c *Client) RevokeToken(ctx context.Context, token string) (*fleet.Result, error) {
	return c.write(ctx, call{method: http.MethodDelete, path: []string{"tokens", token}})
}

// Whoami returns what the server knows about the client's credential.
func (c *Client) Whoami(ctx context.Context) (who api.Whoami, err error) {
	_, err = c.do(ctx, get("whoami"), &who)
	return who, err
}

// Status returns the fleet at a glance.
func (c *Client) Status(ctx context.Context) (status api.Status, err error) {
	_, err = c.do(ctx, get("status"), &status)
	return status, err
}

// ServerVersion returns the version of the server.
func (c *Client) ServerVersion(ctx context.Context) (v api.Version, err error) {
	_, err = c.do(ctx, get("version"), &v)
	return v, err
}
