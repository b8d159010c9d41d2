package server_test

import (
	"context"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
)

// stuckRenderer is a renderer that does not finish, and heeds no context, where a delta has the text
// "bomb", as a schema of exponential time would be if nothing bounded it.
type stuckRenderer struct {
	render.Renderer
	entered chan struct{}
	end     chan struct{}
}

func (s stuckRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := s.Renderer.Compile(ctx, tree)
	return stuckRepo{repo, s}, err
}

type stuckRepo struct {
	fleet.Repo
	renderer stuckRenderer
}

func (r stuckRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	for _, d := range deltas {
		if strings.Contains(string(fleet.EncodeJSON(d)), "bomb") {
			r.renderer.entered <- struct{}{}
			<-r.renderer.end
		}
	}
	return r.Repo.Render(ctx, c, deltas, earlier)
}

const devToken, otherToken = "dev-64aa0be2d80f", "other-5d2f8c1e9a70"

// startStuck runs a server for an operator of dev, another operator and an admin.
func startStuck(t *testing.T, limits server.Limits) (*live, stuckRenderer) {
	t.Helper()
	s := stuckRenderer{entered: make(chan struct{}, 100), end: make(chan struct{})}
	file := writeFile(t, "tokens.yaml", `
tokens:
- {name: dev, role: operator, selector: {matchLabels: {environment: dev}}, hash: "`+hash(devToken)+`"}
- {name: other, role: operator, hash: "`+hash(otherToken)+`"}
- {name: ada, role: admin, hash: "`+hash(adminToken)+`"}
`)
	l := startLiveWith(t, func(c *controller.Config) { c.Renderer, c.SlowAfter = s, 50*time.Millisecond }, func(c *server.Config) {
		c.TokensFile = file
		c.Limits.Change, c.Limits.Changes, c.Limits.Requests = limits.Change, limits.Changes, limits.Requests
	})
	t.Cleanup(sync.OnceFunc(func() { close(s.end) }))
	return l, s
}

// sendBomb sends a write of dev that is rendered until the test ends, and hangs up once it is.
func (l *live) sendBomb(t *testing.T, s stuckRenderer, query string) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	body := `{"selector": {"matchLabels": {"environment": "dev"}}, "edits": [{"kind": "App", "name": "web", "patch": {"spec": {"tag": "bomb"}}}]}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, l.url+"/api/v1/deltas/h4"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+devToken)
	r.Header.Set("Content-Type", jsonDoc)
	left := make(chan struct{})
	go func() {
		defer close(left)
		if answer, err := l.client.Do(r); err == nil {
			t.Errorf("the stuck write is answered %d", answer.StatusCode)
			_ = answer.Body.Close()
		}
	}()
	<-s.entered
	hangUp()
	<-left
}

// An operator of a part of the fleet has values checked for which the renderer takes for ever, and hangs
// up. Whatever others change goes on beside it: patches, pins, commits. The server says who is slow.
func TestStuckChangesOfOneOperatorDelayNobody(t *testing.T) {
	t.Parallel()
	l, s := startStuck(t, server.Limits{Changes: 3})
	l.sendBomb(t, s, "?dryRun=true")
	l.sendBomb(t, s, "?dryRun=true")
	l.sendBomb(t, s, "")
	revision := func() string {
		v, err := l.fleet.View()
		if err != nil {
			t.Fatal(err)
		}
		return v.Release().Revision
	}
	first := revision()

	l.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`, bearer(adminToken)...).wantKept(t)
	l.change("PATCH", "/api/v1/clusters/two/objects/App/web", mergePatch, `{"spec": {"tag": "v3"}}`, bearer(otherToken)...).wantKept(t)
	l.change("PUT", "/api/v1/pins/hold", jsonDoc, `{"clusters": ["two"], "release": "`+first+`"}`, bearer(adminToken)...).wantKept(t)
	l.write(t, "base/app.yaml", strings.Replace(liveFleet["base/app.yaml"], "replicas: 1", "replicas: 2", 1))
	l.fleet.Look()
	eventually(t, func() bool { return revision() != first })

	eventually(t, func() bool {
		text := string(l.get("/readyz?verbose").body)
		return strings.Count(text, `by "dev" since `) == 3 && strings.Contains(text, ": rendering for ")
	})
	for _, line := range l.logs.lines(t, "change takes long") {
		if line["actor"] == "dev" && line["stage"] == "rendering" && line["since"] != nil {
			return
		}
	}
	t.Errorf("the log does not say who is slow:\n%s", l.logs)
}

// Each change ends in time. What a credential has under way keeps only its own changes waiting, and they
// are answered once it has too many.
func TestChangesOfACredentialThatIsStuckAreAnsweredInTime(t *testing.T) {
	t.Parallel()
	l, s := startStuck(t, server.Limits{Changes: 1, Change: 100 * time.Millisecond, Requests: 8})
	l.sendBomb(t, s, "?dryRun=true")
	waiting := l.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`, bearer(devToken)...)
	if detail := waiting.problem(t, http.StatusServiceUnavailable, "busy"); !strings.Contains(detail, "nothing is changed") || waiting.header.Get("Retry-After") == "" {
		t.Errorf("a change that waits too long: %s, Retry-After %q", detail, waiting.header.Get("Retry-After"))
	}
	l.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`, bearer(otherToken)...).wantKept(t)
}

func TestCredentialHasSoManyChangesUnderWay(t *testing.T) {
	t.Parallel()
	l, s := startStuck(t, server.Limits{Changes: 2, Requests: 8})
	l.sendBomb(t, s, "?dryRun=true")
	l.sendBomb(t, s, "?dryRun=true") // two of eight requests are a credential's
	l.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`, bearer(devToken)...).problem(t, http.StatusTooManyRequests, "too-many-requests")
	l.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`, bearer(otherToken)...).wantKept(t)
}
