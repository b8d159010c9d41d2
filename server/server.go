package server

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/limit"
	"github.com/tributary-gitops/tributary/server/webhook"
)

// Config is what a Server is made of. Only Fleet is required.
type Config struct {
	// Fleet is what is served. Running it is the caller's.
	Fleet *fleet.Fleet
	// Logger is discarded where nil.
	Logger *slog.Logger
	// Registry takes the server's metrics and is what /metrics shows; nil is a new one.
	Registry *prometheus.Registry
	// TokensFile is a YAML file of credentials, beside the tokens that the change log
	// has. Without any for people everybody is admin, which CheckAddress admits on
	// loopback addresses only.
	TokensFile string
	// AdminTokenFile holds a token of the role admin, by which others are created.
	AdminTokenFile string
	// ReadOnly has the server refuse writes.
	ReadOnly bool
	// WebhookSecretFile is a file with a secret in each line, any of which the
	// senders of webhooks must know. Without one webhooks are refused, except
	// where everybody is admin because only this machine is answered.
	WebhookSecretFile string
	// AllowAnonymous makes everybody admin on any address.
	AllowAnonymous bool
	// TLSCertFile and TLSKeyFile are PEM files; without them the server speaks plain HTTP.
	TLSCertFile, TLSKeyFile string
	// ClientCAFile holds the CAs, in PEM, whose certificates clusters may show
	// instead of a token: the common name is the cluster's. It needs TLS.
	ClientCAFile string
	// OIDCIssuer is the https URL of an OpenID Connect issuer whose tokens are
	// taken where they are for OIDCAudience; OIDCRulesFile says which role they
	// have. All three or none. OIDCCAFile holds CAs, in PEM, that are trusted for
	// the issuer beside the machine's own.
	OIDCIssuer, OIDCAudience, OIDCRulesFile, OIDCCAFile string
	// Reload is how often the files above are looked at for changes; 0 means half a second.
	Reload time.Duration
	// Limits bound what one client can cost; zero fields have defaults.
	Limits Limits
	// ReadTree reads the snapshots that are sent for a preview; nil reads none.
	ReadTree ReadTree
	// Version is what the start page says is running.
	Version string
}

// Server is the HTTP side of a fleet. It is an http.Handler; Serve runs it.
type Server struct {
	cfg          Config
	fleet        *fleet.Fleet
	log          *slog.Logger
	metrics      *metrics
	tokens       *tokens     // nil: no tokens file
	admin        *adminToken // nil: no admin token file
	webhooks     *webhook.Receiver
	certificate  *certificate // nil: plain HTTP
	clientCAs    *clientCAs   // nil: no certificate is asked for
	issuer       *issuer      // nil: no JWT is taken
	rules        *oidcRules   // what the issuer's tokens may do
	throttle     *throttle
	polls        *limit.InflightLimiter
	requests     *limit.InflightLimiter // other than polls and webhooks
	hooks        *limit.InflightLimiter
	pollRate     *limit.RateLimiter
	requestRate  *limit.RateLimiter
	registerRate *limit.RateLimiter
	listener     atomic.Pointer[limit.Listener] // nil until Serve
	reloaders    []*reloader
	previewing   sync.Mutex // held while a preview is made
	events       events
	// public is true once the server answers on an address that is not the machine's own.
	public    atomic.Bool
	crossSite http.CrossOriginProtection
	table     []route
	router    *mux.Router
}

// route is a line of the table: whose request is answered by what.
type route struct {
	method, path string
	least        role // the least role that may
	about        string
	handle       handler // nil for polls, which never reach the router
}

// handler answers a request, or returns why not before it has written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes is the whole API. HEAD is answered wherever GET is.
func (s *Server) routes() []route {
	return []route{
		{"GET", "/api/v1/flux/clusters/{cluster}/{set}", roleCluster, "the inputs that a cluster's Flux polls", nil},
		{"GET", "/api/v2/flux/clusters/{cluster}/{set}", roleCluster, "the same", nil},
		{"GET", "/api/v1/flux/clusters", roleViewer, "the clusters as inputs; ?selector=", s.getClusterInputs},
		{"GET", "/api/v2/flux/clusters", roleViewer, "the same", s.getClusterInputs},

		{"GET", "/api/v1/clusters", roleViewer, "the fleet; ?selector=, ?limit=, ?cursor=", s.getClusters},
		{"POST", "/api/v1/clusters", roleOperator, "declare a cluster through the API", s.postCluster},
		{"GET", "/api/v1/clusters/{cluster}", roleViewer, "one cluster, by name or dns", s.getCluster},
		{"PATCH", "/api/v1/clusters/{cluster}", roleOperator, "change how the API declares it", s.patchCluster},
		{"DELETE", "/api/v1/clusters/{cluster}", roleAdmin, "decommission it; ?purge=true forgets it", s.deleteCluster},
		{"POST", "/api/v1/register", roleBootstrap, "a booting cluster registers itself", s.postRegister},
		{"GET", "/api/v1/clusters/{cluster}/objects", roleViewer, "the objects of a cluster", s.getObjects},
		{"GET", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", roleViewer, "one of them; ?group=, ?namespace=", s.getObject},
		{"PATCH", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", roleOperator, "change it for this cluster", s.patchObject},
		{"PUT", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", roleOperator, "add an object for this cluster", s.putObject},
		{"DELETE", "/api/v1/clusters/{cluster}/objects/{kind}/{name}", roleOperator, "take it away from this cluster", s.deleteObject},
		{"GET", "/api/v1/clusters/{cluster}/delta", roleViewer, "the cluster's own delta", s.getDelta},
		{"PUT", "/api/v1/clusters/{cluster}/delta", roleOperator, "put another in its place", s.putDelta},
		{"DELETE", "/api/v1/clusters/{cluster}/delta", roleOperator, "drop it", s.deleteDelta},

		{"GET", "/api/v1/deltas", roleViewer, "all deltas, and which parts are orphaned", s.getDeltas},
		{"GET", "/api/v1/deltas/{name}", roleViewer, "a named delta", s.getDelta},
		{"PUT", "/api/v1/deltas/{name}", roleOperator, "put a delta for a group of clusters", s.putDelta},
		{"DELETE", "/api/v1/deltas/{name}", roleOperator, "drop it", s.deleteDelta},
		{"GET", "/api/v1/history", roleViewer, "the change log; ?cluster=, ?actor=, ?delta=, ?since=, ?until=", s.getHistory},
		{"GET", "/api/v1/history/{generation}", roleViewer, "one change", s.getChange},
		{"POST", "/api/v1/rollback", roleOperator, "deltas as they were at a generation", s.postRollback},
		{"GET", "/api/v1/events", roleViewer, "changes as they happen, as server-sent events", s.getEvents},
		{"GET", "/api/v1/releases", roleViewer, "what is served, held and failed, and why; ?state=, ?limit=, ?cursor=", s.getReleases},
		{"GET", "/api/v1/releases/{id}", roleViewer, "one release, by id or revision", s.getRelease},
		{"POST", "/api/v1/releases/{id}/approve", roleAdmin, "have a held release go live", s.postDecision(fleet.Approve)},
		{"POST", "/api/v1/releases/{id}/reject", roleAdmin, "have it never go live", s.postDecision(fleet.Reject)},
		{"POST", "/api/v1/releases/{id}/pause", roleAdmin, "stop a rollout where it is", s.postDecision(fleet.Pause)},
		{"POST", "/api/v1/releases/{id}/resume", roleAdmin, "have it go on, also past a gate", s.postDecision(fleet.Resume)},
		{"POST", "/api/v1/releases/{id}/skip", roleAdmin, "reach the next wave now", s.postDecision(fleet.Skip)},
		{"POST", "/api/v1/releases/{id}/abort", roleAdmin, "give all waves back what they had", s.postDecision(fleet.Abort)},
		{"GET", "/api/v1/pins", roleViewer, "which clusters are kept on a release", s.getPins},
		{"GET", "/api/v1/pins/{name}", roleViewer, "one pin", s.getPin},
		{"PUT", "/api/v1/pins/{name}", roleOperator, "keep clusters on a release", s.putPin},
		{"DELETE", "/api/v1/pins/{name}", roleOperator, "have them follow the fleet again", s.deletePin},
		{"GET", previewPath, roleViewer, "what another ref of the source would do; ?ref=", s.getPreview},
		{"POST", previewPath, roleViewer, "what a snapshot would do that is sent", s.postPreview},
		{"GET", "/api/v1/bootstrap", roleViewer, "what a new cluster's Flux needs", s.getBootstrap},
		{"GET", "/api/v1/tokens", roleAdmin, "the tokens; ?all=true, also those that have ended", s.getTokens},
		{"POST", "/api/v1/tokens", roleAdmin, "create a token, which is shown once", s.postToken},
		{"DELETE", "/api/v1/tokens/{token}", roleAdmin, "revoke a token, by id or name", s.deleteToken},

		{"POST", "/api/v1/webhooks/github", roleHook, "look at the source now, says GitHub", s.postWebhook(webhook.GitHub)},
		{"POST", "/api/v1/webhooks/gitlab", roleHook, "says GitLab", s.postWebhook(webhook.GitLab)},
		{"POST", "/api/v1/webhooks/gitea", roleHook, "says Gitea, Forgejo or Gogs", s.postWebhook(webhook.Gitea)},
		{"POST", "/api/v1/webhooks/generic", roleHook, "says a registry or a script", s.postWebhook(webhook.Generic)},

		{"GET", "/healthz", roleAnyone, "is the process alive", s.getHealth},
		{"GET", "/readyz", roleAnyone, "is there a live release", s.getReadiness},
		{"GET", metricsPath, roleViewer, "metrics for Prometheus", s.getMetrics()},
		{"GET", "/openapi.yaml", roleAnyone, "this API, for machines", s.static("application/yaml", openAPI)},
		{"GET", "/", roleAnyone, "this page", s.getIndex},
	}
}

// New returns a server of cfg's fleet. It reads the files that cfg names and
// returns what is wrong with them.
func New(cfg Config) (*Server, error) {
	if err := cfg.contradiction(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{cfg: cfg, fleet: cfg.Fleet, log: cfg.Logger, metrics: newMetrics(cfg.Registry), throttle: newThrottle()}
	s.bound()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.table = s.routes()
	s.router = s.newRouter()
	return s, nil
}

// bound makes the limiters of Limits.
func (s *Server) bound() {
	limits := s.cfg.Limits
	s.polls, s.requests = limit.NewInflightLimiter(limits.Polls), limit.NewInflightLimiter(limits.Requests)
	s.hooks = limit.NewInflightLimiter(max(1, limits.Requests/4))
	s.pollRate = limit.NewRateLimiter(limits.PollRate, int(60*limits.PollRate))
	s.requestRate = limit.NewRateLimiter(limits.RequestRate, int(10*limits.RequestRate))
	s.registerRate = limit.NewRateLimiter(registrationsPerSecond, registrationsAtOnce)
	s.metrics.load(s.cfg.Registry, s)
}

// contradiction returns what in c does not go together.
func (c Config) contradiction() error {
	oidc := []string{c.OIDCIssuer, c.OIDCAudience, c.OIDCRulesFile}
	switch {
	case c.AllowAnonymous && (c.TokensFile != "" || c.AdminTokenFile != ""):
		return errors.New("a tokens file and anonymous access contradict each other: drop one of them")
	case c.AllowAnonymous && (c.ClientCAFile != "" || c.OIDCIssuer != ""):
		return errors.New("authentication and anonymous access contradict each other: drop one of them")
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		return errors.New("TLS needs both a certificate file and a key file: name the other one as well")
	case c.ClientCAFile != "" && c.TLSCertFile == "":
		return errors.New("client certificates need TLS: name the server's certificate and key files as well")
	case slices.Contains(oidc, "") && strings.Join(oidc, "")+c.OIDCCAFile != "":
		return errors.New("OpenID Connect needs an issuer, an audience and a rules file: name all three")
	}
	return nil
}

// load reads the files for the first time, and fails where a later bad version
// would only be logged.
func (s *Server) load() error {
	if s.cfg.TokensFile != "" {
		s.tokens = &tokens{file: s.cfg.TokensFile}
		s.reloaders = append(s.reloaders, s.newReloader("tokens", s.tokens.use, s.cfg.TokensFile))
	}
	if s.cfg.AdminTokenFile != "" {
		s.admin = &adminToken{file: s.cfg.AdminTokenFile}
		s.reloaders = append(s.reloaders, s.newReloader("admin_token", s.admin.use, s.cfg.AdminTokenFile))
	}
	var secrets *webhook.Secrets
	if s.cfg.WebhookSecretFile != "" {
		secrets = webhook.NewSecrets(s.cfg.WebhookSecretFile)
		s.reloaders = append(s.reloaders, s.newReloader("webhook_secret", secrets.Use, s.cfg.WebhookSecretFile))
	}
	s.webhooks = webhook.NewReceiver(secrets)
	if s.cfg.TLSCertFile != "" {
		s.certificate = &certificate{}
		s.reloaders = append(s.reloaders, s.newReloader("certificate", s.certificate.use, s.cfg.TLSCertFile, s.cfg.TLSKeyFile))
	}
	if s.cfg.ClientCAFile != "" {
		s.clientCAs = &clientCAs{file: s.cfg.ClientCAFile}
		s.reloaders = append(s.reloaders, s.newReloader("client_ca", s.clientCAs.use, s.cfg.ClientCAFile))
	}
	if err := s.loadOIDC(); err != nil {
		return err
	}
	for _, r := range s.reloaders {
		if err := r.look(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) newRouter() *mux.Router {
	// A path that would have to be cleaned is not one of ours: the answer is
	// 404, because a client that follows redirects would hide the mistake. Paths are
	// split before they are unescaped: the slash of a revision is a part of it.
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	for _, rt := range s.table {
		if rt.handle != nil {
			router.Handle(rt.path, s.guard(rt)).Methods(rt.methods()...)
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
		w.Header().Set("Connection", "close") // there are too many
	}
	if cluster, set, is := pollPath(r.URL); is {
		s.servePoll(w, r, cluster, set)
		return
	}
	s.serveLogged(w, r)
}

// methodNotAllowed asks the router which methods the path would have taken.
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

// countAs has a request counted under the route whose method it missed, but
// without its own, which clients can make up.
func countAs(w http.ResponseWriter, missed *mux.Route) {
	path, err := missed.GetPathTemplate()
	if x, ok := w.(*exchange); ok && err == nil {
		x.route = route{path: path}
	}
}
