// Package server is the HTTP side of a fleet: the polls of Flux, the API for people and
// pipelines, and what probes and scrapers need.
//
//	s, err := server.New(server.Config{Fleet: f, TokensFile: "tokens.yaml"})
//	...
//	err = s.Serve(ctx, listener) // until ctx ends
//
// routes.go has every route in one table, with the parameters that it accepts. A handler
// decodes the request, calls the fleet and returns a document; read, readView and write
// encode it. It returns errors, which api.NewProblem turns into an answer.
// A poll takes a way of its own, in poll.go, since whole fleets poll at once: route,
// credential, view, bytes. Everything else goes through the router, is logged and
// measured.
//
// Package auth finds out who sent a request, limit bounds what clients cost, webhook
// verifies webhooks, api has the documents on the wire, and client is the other side. The
// server has no business rules, renders nothing and writes no token anywhere.
package server

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
	"github.com/tributary-gitops/tributary/server/webhook"
)

// Config is what a Server is made of. Only Fleet is required.
type Config struct {
	// Fleet is what is served. The caller runs it.
	Fleet *controller.Controller
	// Logger is the log; nil discards it.
	Logger *slog.Logger
	// Registry takes the server's metrics, and /metrics shows it; nil is a new one.
	Registry *prometheus.Registry
	// TokensFile is a YAML file of credentials, in addition to the tokens of the change
	// log. Without any credential of a person everybody is admin, which CheckAddress
	// allows on loopback addresses only.
	TokensFile string
	// AdminTokenFile contains a token of the role admin, with which others are created.
	AdminTokenFile string
	// ReadOnly makes the server refuse writes.
	ReadOnly bool
	// WebhookSecretFile contains a secret in each line. The sender of a webhook proves to
	// know one of them. Without the file webhooks are refused, except where everybody is
	// admin because only this machine is answered.
	WebhookSecretFile string
	// AllowAnonymous makes everybody admin on any address.
	AllowAnonymous bool
	// TLSCertFile and TLSKeyFile are PEM files; without them the server speaks plain HTTP.
	TLSCertFile, TLSKeyFile string
	// ClientCAFile contains CAs, in PEM, whose certificates clusters may show instead of a
	// token: the common name is the cluster's name. It needs TLS.
	ClientCAFile string
	// OIDCIssuer is the https URL of an OpenID Connect issuer, whose tokens are accepted
	// if they are for OIDCAudience. OIDCRulesFile gives them roles. All three or none.
	// OIDCCAFile contains CAs, in PEM, to trust for the issuer beside the machine's own.
	OIDCIssuer, OIDCAudience, OIDCRulesFile, OIDCCAFile string
	// Reload is how often these files are checked for changes; 0 means half a second.
	Reload time.Duration
	// Limits bound what one client can cost; zero fields have defaults.
	Limits Limits
	// ReadTree reads the snapshots that are sent for a preview; nil accepts none.
	ReadTree ReadTree
	// Version is shown on the start page.
	Version string
	// Now is the clock of credentials and of who is late; nil is time.Now.
	Now func() time.Time
}

// Limits bound what one client can cost the others. A zero field has the default, which
// suits polls over slow links.
type Limits struct {
	// ReadHeader is the time in which a request's headers must arrive, and Read that of
	// the whole request. 30 s each: the TLS handshakes of a fleet that polls at once fall
	// into this time, and a client that only holds a connection gives way to others.
	ReadHeader, Read time.Duration
	// Write is the time from the headers to the end of the answer, 60 s. Stall is the time
	// in which a client must take 256 KiB of it, or the rest, and in which a TLS handshake
	// must end, 30 s.
	Write, Stall time.Duration
	// Change is the time in which a change must be checked, from the end of its headers. It
	// ends then, and changes nothing. 25 s.
	Change time.Duration
	// Idle is the time between two requests of a connection. 2 min.
	Idle time.Duration
	// Shutdown is the time that answers have to finish once the server stops. 20 s.
	Shutdown time.Duration
	// Issuer is how long a request waits for the keys of the OpenID Connect issuer. 3 s.
	Issuer time.Duration
	// FailureDelay is the longest delay of the answer to a failed attempt to
	// authenticate. 2 s; negative for no delay.
	FailureDelay time.Duration
	// HeaderBytes bounds a request's headers, BodyBytes its body. 32 KiB and 1 MiB.
	HeaderBytes int
	BodyBytes   int64
	// HookBytes bounds the body of a webhook, of which little is kept. 25 MiB, which is
	// the bound of GitHub and GitLab.
	HookBytes int64
	// SnapshotBytes bounds a packed snapshot that is sent for a preview. 64 MiB.
	SnapshotBytes int64
	// Connections is how many connections may be open before polls on further ones are
	// shed. 16,384, but at most three quarters of the files that the process may open.
	Connections int
	// Polls and Requests are how many of each are answered at one time, without those of
	// slow clients. Webhooks have a quarter of Requests. 4,096 and 1,024.
	Polls, Requests int
	// Changes is how many changes of one credential are worked on at one time, also as dry
	// runs. More of them wait, up to a quarter of Requests. 4.
	Changes int
	// PollRate is how many polls of one cluster a credential may make a second, and
	// RequestRate how many other requests. The polls of a minute, or the requests of ten
	// seconds, may come at once. 20 and 200; negative for no limit.
	PollRate, RequestRate float64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		ReadHeader:   cmp.Or(l.ReadHeader, 30*time.Second),
		Read:         cmp.Or(l.Read, 30*time.Second),
		Write:        cmp.Or(l.Write, time.Minute),
		Stall:        cmp.Or(l.Stall, 30*time.Second),
		Change:       cmp.Or(l.Change, 25*time.Second),
		Idle:         cmp.Or(l.Idle, 2*time.Minute),
		Shutdown:     cmp.Or(l.Shutdown, 20*time.Second),
		Issuer:       cmp.Or(l.Issuer, 3*time.Second),
		FailureDelay: cmp.Or(l.FailureDelay, 2*time.Second),
		HeaderBytes:  cmp.Or(l.HeaderBytes, 32<<10),
		BodyBytes:    cmp.Or(l.BodyBytes, 1<<20),
		HookBytes:    cmp.Or(l.HookBytes, 25<<20),

		SnapshotBytes: cmp.Or(l.SnapshotBytes, 64<<20),

		Connections: cmp.Or(l.Connections, 16_384),
		Polls:       cmp.Or(l.Polls, 4096),
		Requests:    cmp.Or(l.Requests, 1024),
		Changes:     cmp.Or(l.Changes, 4),
		PollRate:    cmp.Or(l.PollRate, 20),
		RequestRate: cmp.Or(l.RequestRate, 200),
	}
}

// Server is the HTTP side of a fleet. It is an http.Handler; Serve runs it.
type Server struct {
	cfg          Config
	fleet        *controller.Controller
	log          *slog.Logger
	metrics      *metrics
	auth         *auth.Authenticator
	webhooks     *webhook.Receiver
	certificate  *certificate // nil for plain HTTP
	reloaders    []*reloader
	polls        *limit.InflightLimiter
	requests     *limit.InflightLimiter // other than polls and webhooks
	hooks        *limit.InflightLimiter
	changes      *limit.Shares
	pollRate     *limit.RateLimiter
	requestRate  *limit.RateLimiter
	registerRate *limit.RateLimiter
	listener     atomic.Pointer[limit.Listener] // nil until Serve
	previewing   sync.Mutex                     // held while a preview is made
	events       events
	crossSite    http.CrossOriginProtection
	table        []route
	router       *mux.Router
}

// New returns a server of cfg's fleet. It reads the files that cfg names, and returns an
// error that says what is wrong with them.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{cfg: cfg, fleet: cfg.Fleet, log: cfg.Logger, metrics: newMetrics(cfg.Registry)}
	s.newLimiters()
	if err := s.newAuthenticator(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.table = s.routes()
	s.router = s.newRouter()
	return s, nil
}

// check returns an error if parts of the configuration contradict each other.
func (c Config) check() error {
	oidc := []string{c.OIDCIssuer, c.OIDCAudience, c.OIDCRulesFile}
	switch {
	case c.AllowAnonymous && (c.TokensFile != "" || c.AdminTokenFile != ""):
		return errors.New("a tokens file and anonymous access contradict each other: remove one of them")
	case c.AllowAnonymous && (c.ClientCAFile != "" || c.OIDCIssuer != ""):
		return errors.New("authentication and anonymous access contradict each other: remove one of them")
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		return errors.New("TLS needs a certificate file and a key file: name both")
	case c.ClientCAFile != "" && c.TLSCertFile == "":
		return errors.New("client certificates need TLS: name the server's certificate and key files as well")
	case slices.Contains(oidc, "") && strings.Join(oidc, "")+c.OIDCCAFile != "":
		return errors.New("OpenID Connect needs an issuer, an audience and a rules file: name all three")
	}
	return nil
}

func (s *Server) newLimiters() {
	limits := s.cfg.Limits
	s.polls, s.requests = limit.NewInflightLimiter(limits.Polls), limit.NewInflightLimiter(limits.Requests)
	s.hooks = limit.NewInflightLimiter(max(1, limits.Requests/4))
	s.changes = limit.NewShares(limits.Changes)
	s.pollRate = limit.NewRateLimiter(limits.PollRate, int(60*limits.PollRate))
	s.requestRate = limit.NewRateLimiter(limits.RequestRate, int(10*limits.RequestRate))
	s.registerRate = limit.NewRateLimiter(registrationsPerSecond, registrationsAtOnce)
	s.metrics.registerLoad(s.cfg.Registry, s)
}

func (s *Server) newAuthenticator() (err error) {
	cfg := s.cfg
	s.auth, err = auth.New(auth.Config{
		Tokens: cfg.Fleet.Tokens, Used: cfg.Fleet.RecordUse,
		TokensFile: cfg.TokensFile, AdminTokenFile: cfg.AdminTokenFile, ClientCAFile: cfg.ClientCAFile,
		OIDCIssuer: cfg.OIDCIssuer, OIDCAudience: cfg.OIDCAudience, OIDCRulesFile: cfg.OIDCRulesFile, OIDCCAFile: cfg.OIDCCAFile,
		IssuerWait: cfg.Limits.Issuer, FailureDelay: cfg.Limits.FailureDelay, AllowAnonymous: cfg.AllowAnonymous,
		Failed: func(kind string) { s.metrics.failedAuthentications.WithLabelValues(kind).Inc() },
		Logger: s.log, Now: cfg.Now,
	})
	return err
}

// load reads the files for the first time. Then a bad file is an error; later it is only
// logged.
func (s *Server) load() error {
	for _, f := range s.auth.Files() {
		s.addReloader(f.Name, f.Use, f.Paths...)
	}
	var secrets *webhook.Secrets
	if s.cfg.WebhookSecretFile != "" {
		secrets = webhook.NewSecrets(s.cfg.WebhookSecretFile)
		s.addReloader("webhook_secret", secrets.Use, s.cfg.WebhookSecretFile)
	}
	s.webhooks = webhook.NewReceiver(secrets)
	if s.cfg.TLSCertFile != "" {
		s.certificate = &certificate{}
		s.addReloader("certificate", s.certificate.use, s.cfg.TLSCertFile, s.cfg.TLSKeyFile)
	}
	for _, r := range s.reloaders {
		if err := r.load(); err != nil {
			return err
		}
	}
	return nil
}

// certificate is the server's own certificate, with its key.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// use takes the contents of the certificate file and the key file.
func (c *certificate) use(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

// config returns a configuration in which each handshake uses the current certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
