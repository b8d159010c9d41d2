package server

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
	"github.com/tributary-gitops/tributary/server/webhook"
)

// route is a line of the routing table.
type route struct {
	method, path string
	role         auth.Role // the lowest role that may use it
	about        string
	handle       handler // nil for polls, which never reach the router
}

// handler answers a request, or returns an error before it has written anything. It
// decodes the request, calls the fleet and encodes the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

const (
	metricsPath = "/metrics"
	previewPath = "/api/v1/preview"
	whoamiPath  = "/api/v1/whoami"
)

// The handlers of one resource each, which share the server.
type (
	clusterHandlers struct{ *Server }
	objectHandlers  struct{ *Server }
	deltaHandlers   struct{ *Server }
	pinHandlers     struct{ *Server }
	releaseHandlers struct{ *Server }
	historyHandlers struct{ *Server }
	tokenHandlers   struct{ *Server }
	previewHandlers struct{ *Server }
)

// routes returns the whole API. HEAD is answered wherever GET is.
func (s *Server) routes() []route {
	clusters := clusterHandlers{s}
	objects := objectHandlers{s}
	deltas := deltaHandlers{s}
	pins := pinHandlers{s}
	releases := releaseHandlers{s}
	history := historyHandlers{s}
	tokens := tokenHandlers{s}
	previews := previewHandlers{s}
	return []route{
		{"GET", "/api/v1/flux/clusters/{cluster}/{set}", auth.Cluster, "the inputs that a cluster's Flux polls", nil},
		{"GET", "/api/v2/flux/clusters/{cluster}/{set}", auth.Cluster, "the same", nil},
		{"GET", "/api/v1/flux/clusters", auth.Viewer, "the clusters as inputs; ?selector=", s.getClusterInputs},
		{"GET", "/api/v2/flux/clusters", auth.Viewer, "the same", s.getClusterInputs},

		{"GET", "/api/v1/clusters", auth.Viewer, "the fleet; ?selector=, ?late=, ?behind=, ?failing=, ?orphaned=, ?limit=, ?cursor=",
			s.readView(clusters.getClusters, "selector", "late", "behind", "failing", "orphaned", "limit", "cursor")},
		{"POST", "/api/v1/clusters", auth.Operator, "declare a cluster through the API", clusters.postCluster},
		{"GET", "/api/v1/clusters/{cluster}", auth.Viewer, "one cluster, by name or dns", s.readView(clusters.getCluster)},
		{"PATCH", "/api/v1/clusters/{cluster}", auth.Operator, "change what the API declares of it", s.write(clusters.patchCluster)},
		{"DELETE", "/api/v1/clusters/{cluster}", auth.Admin, "decommission it, with ?confirm=NAME; ?purge=true removes its record", clusters.deleteCluster},
		{"POST", "/api/v1/clusters/{cluster}/recommission", auth.Admin, "bring a decommissioned cluster back", s.write(clusters.postRecommission)},
		{"POST", "/api/v1/register", auth.Bootstrap, "register the calling cluster", clusters.postRegister},
		{"GET", "/api/v1/clusters/{cluster}/objects", auth.Viewer, "the objects of a cluster", s.readView(objects.getObjects)},
		{"GET", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", auth.Viewer, "one object; ?group=, ?namespace=", s.readView(objects.getObject, "group", "namespace")},
		{"PATCH", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", auth.Operator, "change it for this cluster", s.write(objects.patchObject, "group", "namespace")},
		{"PUT", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", auth.Operator, "add an object for this cluster", s.write(objects.putObject)},
		{"DELETE", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", auth.Operator, "remove it from this cluster", s.write(objects.deleteObject, "group", "namespace")},
		{"GET", "/api/v1/clusters/{cluster}/delta", auth.Viewer, "the cluster's own delta", s.readView(deltas.getDelta)},
		{"PUT", "/api/v1/clusters/{cluster}/delta", auth.Operator, "replace it", s.write(deltas.putDelta)},
		{"DELETE", "/api/v1/clusters/{cluster}/delta", auth.Operator, "delete it", s.write(deltas.deleteDelta)},

		{"GET", "/api/v1/deltas", auth.Viewer, "all deltas, with their stale parts", s.readView(deltas.getDeltas)},
		{"GET", "/api/v1/deltas/{name}", auth.Viewer, "a named delta", s.readView(deltas.getDelta)},
		{"PUT", "/api/v1/deltas/{name}", auth.Operator, "set a delta for a group of clusters", s.write(deltas.putDelta)},
		{"DELETE", "/api/v1/deltas/{name}", auth.Operator, "delete it", s.write(deltas.deleteDelta)},
		{"GET", "/api/v1/history", auth.Viewer, "the change log; ?cluster=, ?actor=, ?delta=, ?since=, ?until=", s.read(history.getHistory, "cluster", "actor", "delta", "since", "until", "limit", "cursor")},
		{"GET", "/api/v1/history/{generation}", auth.Viewer, "one change", s.read(history.getChange)},
		{"POST", "/api/v1/rollback", auth.Operator, "restore deltas of an earlier generation", s.write(history.postRollback)},
		{"GET", "/api/v1/events", auth.Viewer, "changes as they happen, as server-sent events", s.getEvents},
		{"GET", "/api/v1/releases", auth.Viewer, "releases and their states; ?state=, ?limit=, ?cursor=", s.read(releases.getReleases, "state", "limit", "cursor")},
		{"GET", "/api/v1/releases/{id}", auth.Viewer, "one release, by ID or revision", s.read(releases.getRelease)},
		{"POST", "/api/v1/releases/{id}/approve", auth.Admin, "let a held release go live", releases.postDecision(fleet.Approve)},
		{"POST", "/api/v1/releases/{id}/reject", auth.Admin, "never let it go live", releases.postDecision(fleet.Reject)},
		{"POST", "/api/v1/releases/{id}/pause", auth.Admin, "pause its rollout", releases.postDecision(fleet.Pause)},
		{"POST", "/api/v1/releases/{id}/resume", auth.Admin, "resume it, also past a gate", releases.postDecision(fleet.Resume)},
		{"POST", "/api/v1/releases/{id}/skip", auth.Admin, "start the next wave now", releases.postDecision(fleet.Skip)},
		{"POST", "/api/v1/releases/{id}/abort", auth.Admin, "return all waves to what they had", releases.postDecision(fleet.Abort)},
		{"GET", "/api/v1/pins", auth.Viewer, "the pins, which keep clusters on a release", s.readView(pins.getPins)},
		{"GET", "/api/v1/pins/{name}", auth.Viewer, "one pin", s.readView(pins.getPin)},
		{"PUT", "/api/v1/pins/{name}", auth.Operator, "keep clusters on a release", s.write(pins.putPin)},
		{"DELETE", "/api/v1/pins/{name}", auth.Operator, "let them follow the fleet again", s.write(pins.deletePin)},
		{"GET", previewPath, auth.Viewer, "what another ref of the source would change; ?ref=", previews.getPreview},
		{"POST", previewPath, auth.Viewer, "what the snapshot in the body would change", previews.postPreview},
		{"GET", "/api/v1/bootstrap", auth.Viewer, "what a new cluster's Flux needs", s.readView(clusters.getBootstrap)},
		{"GET", "/api/v1/tokens", auth.Admin, "the tokens; ?all=true includes those that have ended", s.read(tokens.getTokens, "all")},
		{"POST", "/api/v1/tokens", auth.Admin, "create a token, which is shown once", tokens.postToken},
		{"DELETE", "/api/v1/tokens/{token}", auth.Admin, "revoke a token, by ID or name", tokens.deleteToken},

		{"GET", "/api/v1/status", auth.Viewer, "the fleet at a glance", s.read(s.getStatus)},
		{"GET", whoamiPath, auth.Cluster, "whose credential this is, and its role", s.getWhoami},
		{"GET", "/api/v1/version", auth.Anyone, "the version of the server", s.read(s.getVersion)},

		{"POST", "/api/v1/webhooks/github", auth.Webhook, "read the source now, for GitHub", s.postWebhook(webhook.GitHub)},
		{"POST", "/api/v1/webhooks/gitlab", auth.Webhook, "for GitLab", s.postWebhook(webhook.GitLab)},
		{"POST", "/api/v1/webhooks/gitea", auth.Webhook, "for Gitea, Forgejo and Gogs", s.postWebhook(webhook.Gitea)},
		{"POST", "/api/v1/webhooks/generic", auth.Webhook, "for registries and scripts", s.postWebhook(webhook.Generic)},

		{"GET", "/healthz", auth.Anyone, "whether the process runs", s.getHealth},
		{"GET", "/readyz", auth.Anyone, "whether a release is live", s.getReadiness},
		{"GET", metricsPath, auth.Viewer, "metrics for Prometheus", s.getMetrics()},
		{"GET", "/openapi.yaml", auth.Anyone, "this API, for machines", s.static("application/yaml", openAPI)},
		{"GET", "/", auth.Anyone, "this page", s.getIndex},
	}
}

func (s *Server) newRouter() *mux.Router {
	// A path that would have to be cleaned is answered 404, because a client that follows
	// redirects would hide the mistake. Paths are split before they are unescaped, because
	// a revision may contain a slash.
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	for _, rt := range s.table {
		if rt.handle != nil {
			router.Handle(rt.path, s.admission(rt)).Methods(rt.methods()...)
		}
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, errNoRoute)
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)
	return router
}

func (rt route) methods() []string {
	if rt.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{rt.method}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := limit.ConnOf(r)
	c.Begin()
	defer c.End()
	if c.Excess() {
		w.Header().Set("Connection", "close")
	}
	if cluster, set, is := pollPath(r.URL); is {
		s.servePoll(w, r, cluster, set)
		return
	}
	s.serveLogged(w, r)
}

// methodNotAllowed answers with the methods that the path has.
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := *r
		other.Method = method
		var match mux.RouteMatch
		if s.router.Match(&other, &match) && match.MatchErr == nil {
			allowed = append(allowed, method)
			countAs(w, match.Route)
		}
	}
	s.problem(w, r, &methodError{method: r.Method, allowed: strings.Join(allowed, ", ")})
}

// countAs counts a request under the route whose method it missed, without the method,
// which clients can make up.
func countAs(w http.ResponseWriter, missed *mux.Route) {
	path, err := missed.GetPathTemplate()
	if x, ok := w.(*exchange); ok && err == nil {
		x.route = route{path: path}
	}
}
