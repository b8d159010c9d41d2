package server

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
)

// Releases returns those that match, newest first, and how the source is doing:
// q.Limit of them, or all where that is 0. Of q, Before means nothing here.
func (c *Client) Releases(ctx context.Context, q fleet.ReleaseQuery) (all ReleasesAnswer, err error) {
	ask := reading("releases").with("state", string(q.State))
	if q.Limit > 0 {
		ask = ask.with("limit", strconv.Itoa(min(q.Limit, maxReleases)))
	}
	items := []fleet.Release{}
	for {
		var page ReleasesAnswer
		if _, err := c.do(ctx, ask, &page); err != nil {
			return all, err
		}
		items, all.Source = append(items, page.Items...), page.Source
		if page.Next == "" || q.Limit > 0 && len(items) >= q.Limit {
			break
		}
		ask = ask.with("cursor", page.Next)
	}
	if q.Limit > 0 && len(items) > q.Limit {
		items = items[:q.Limit]
	}
	all.Items = items
	return all, nil
}

// Release returns one, by its ID or revision, with all of its impact.
func (c *Client) Release(ctx context.Context, id string) (release *fleet.Release, err error) {
	_, err = c.do(ctx, reading("releases", id), &release)
	return release, err
}

// Decide decides on a release, by its ID or revision. An empty digest stands for the
// impact that the release has; where that is another by now the error is a
// *fleet.GuardError.
func (c *Client) Decide(ctx context.Context, verdict fleet.Verdict, release, reason, digest string) (*fleet.Release, error) {
	q, err := posting(decisionRequest{Reason: reason, Digest: digest}, "releases", release, string(verdict))
	if err != nil {
		return nil, err
	}
	var decided fleet.Release
	_, err = c.do(ctx, q, &decided)
	return &decided, err
}

// Preview tells what another ref of the server's source would do.
func (c *Client) Preview(ctx context.Context, ref string) (preview *fleet.Preview, err error) {
	_, err = c.do(ctx, reading("preview").with("ref", ref), &preview)
	return preview, err
}

// PreviewSnapshot tells what a packed snapshot of that revision would do.
func (c *Client) PreviewSnapshot(ctx context.Context, revision string, packed []byte) (preview *fleet.Preview, err error) {
	q := call{method: http.MethodPost, path: []string{"preview"}, header: http.Header{"Content-Type": {SnapshotType}}, body: packed, keepsNothing: true}
	_, err = c.do(ctx, q.with("revision", revision), &preview)
	return preview, err
}

// Pins returns all, sorted by name, with how they are doing.
func (c *Client) Pins(ctx context.Context) ([]PinAnswer, error) {
	return pages[PinAnswer](ctx, c, reading("pins"), 0)
}

// GetPin returns one, and the tag by which a write says that it means this state.
func (c *Client) GetPin(ctx context.Context, name string) (p *fleet.Pin, tag string, err error) {
	tag, err = c.do(ctx, reading("pins", name), &p)
	return p, tag, err
}

// Pin keeps the clusters of a pin on its release; one of that name is replaced.
func (c *Client) Pin(ctx context.Context, o WriteOptions, p fleet.Pin) (*fleet.Result, error) {
	q, err := posting(p, "pins", p.Name)
	if err != nil {
		return nil, err
	}
	q.method = http.MethodPut
	return c.change(ctx, o.changing(q, "application/json"))
}

// Unpin takes a pin away.
func (c *Client) Unpin(ctx context.Context, o WriteOptions, name string) (*fleet.Result, error) {
	return c.change(ctx, o.changing(call{method: http.MethodDelete, path: []string{"pins", name}}, ""))
}
