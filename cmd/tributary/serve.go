package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/changelog"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

type serveOptions struct {
	source            flags.Source
	listen, addrFile  string
	interval          time.Duration
	releaseTimeout    time.Duration
	store             changelog.Options
	retention         time.Duration
	tokensFile        string
	adminTokenFile    string
	webhookSecretFile string
	tlsCert, tlsKey   string
	clientCA          string
	oidcIssuer        string
	oidcAudience      string
	oidcRules, oidcCA string
	allowAnonymous    bool
	debugListen       string
	load              flags.Load
	log               flags.Log
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve SOURCE",
		Short: "Run the server",
		Long: `Follows a source, renders every revision for every cluster, and answers the polls of
their Flux Operators. A revision that has a fault is not served: clusters keep the last
good one, and tributary get releases says what is wrong. The change log (--store) keeps
what is live and every change made through the API across restarts.

` + flags.SourceHelp + `

Without a tokens file, an admin token file or a token in the change log (tributary token
create), every request has the rights of an admin. That is only allowed on a loopback
address. Several servers can share one PostgreSQL database: one of them follows the
source, and all of them take writes, except those with --read-only. A webhook at
/api/v1/webhooks/{github,gitlab,gitea,generic} makes the server check the source at once.
Its sender must know a secret of --webhook-secret-file.`,
		Example: `  tributary serve ./examples/fleet
  tributary serve https://github.com/acme/fleet.git?ref=main \
    --listen :8443 --tokens-file tokens.yaml --tls-cert-file tls.crt --tls-key-file tls.key

Exit status is 0 after SIGINT or SIGTERM, and 1 if the server cannot run.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.store.ReadOnly && len(args) == 0 {
				return nil
			}
			return named("SOURCE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.store.ReadOnly && len(args) > 0 {
				return errors.New("serve: --read-only follows only the change log; leave out SOURCE")
			}
			return serve(cmd.Context(), cmd.ErrOrStderr(), strings.Join(args, ""), o)
		},
	}
	f := cmd.Flags()
	o.source.Bind(f)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on")
	f.StringVar(&o.addrFile, "addr-file", "", "file to write the listen address to, for --listen 127.0.0.1:0")
	f.Var(flags.Duration(&o.interval, time.Minute), "interval", "how often to check the source; a directory is also watched")
	f.Var(flags.Duration(&o.releaseTimeout, controller.DefaultReleaseTimeout), "release-timeout", "how long the evaluation of one revision may take; after three tries it is refused")
	f.StringVar(&o.store.URL, "store", "sqlite:tributary.db", "change log: sqlite:PATH, or the postgres:// URL of a database")
	f.StringVar(&o.store.MovedFrom, "moved-from", "", "SOURCE that the fleet in the change log came from, if it has moved to another one")
	f.BoolVar(&o.store.Required, "require-store", false, "refuse to start without a change log, or with an empty one; for every start but the first")
	f.Var(flags.Duration(&o.retention, 365*24*time.Hour), "history-retention", "how long to keep changes at least; 0 keeps them forever")
	f.BoolVar(&o.store.ReadOnly, "read-only", false, "follow the change log and answer polls only: no SOURCE, no writes")
	f.StringVar(&o.adminTokenFile, "admin-token-file", "", "file with an admin token; read again when it changes")
	f.StringVar(&o.tokensFile, "tokens-file", "", "YAML file of credentials; read again when it changes")
	f.StringVar(&o.webhookSecretFile, "webhook-secret-file", "", "file with webhook secrets, one on each line; read again when it changes")
	f.StringVar(&o.tlsCert, "tls-cert-file", "", "PEM certificate chain; read again when it changes")
	f.StringVar(&o.tlsKey, "tls-key-file", "", "PEM key of the certificate")
	f.StringVar(&o.clientCA, "client-ca-file", "", "PEM certificates of client CAs; a certificate that they issued authenticates the cluster named by its CN; read again when it changes")
	f.StringVar(&o.oidcIssuer, "oidc-issuer", "", "https URL of an OpenID Connect issuer whose tokens are accepted")
	f.StringVar(&o.oidcAudience, "oidc-audience", "", "audience that OpenID Connect tokens must have")
	f.StringVar(&o.oidcRules, "oidc-rules-file", "", "YAML file that maps claims of OpenID Connect tokens to roles; read again when it changes")
	f.StringVar(&o.oidcCA, "oidc-ca-file", "", "PEM certificates to trust for the issuer, in addition to the system's")
	f.BoolVar(&o.allowAnonymous, "insecure-allow-anonymous", false, "give every request the rights of an admin, on any address")
	o.load.Bind(f)
	f.StringVar(&o.debugListen, "debug-listen", "", "loopback address to serve go tool pprof on, such as 127.0.0.1:6060")
	o.log.Bind(f)
	return cmd
}

// heapGrowth is the value of GOGC unless the environment sets it: how much the heap grows
// before a collection, in percent. Most of a server's memory lives as long as a release,
// so Go's default of 100 would double it for the garbage of one commit.
const heapGrowth = 65

func serve(ctx context.Context, stderr io.Writer, ref string, o serveOptions) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	logger, err := o.log.Logger(stderr)
	if err != nil {
		return err
	}
	switch {
	case o.interval <= 0:
		return fmt.Errorf("--interval %s: must be positive", o.interval)
	case o.releaseTimeout <= 0:
		return fmt.Errorf("--release-timeout %s: must be positive", o.releaseTimeout)
	case o.retention < 0:
		return fmt.Errorf("--history-retention %s: must not be negative", o.retention)
	}
	limits, err := o.load.Limits()
	if err != nil {
		return err
	}
	var source fleet.Source
	if !o.store.ReadOnly {
		opened, err := sources.Open(ref, o.source.Options)
		if err != nil {
			return err
		}
		defer func() { _ = opened.Close() }()
		source = opened
	}
	store, release, err := changelog.Open(ctx, ref, o.store)
	if err != nil {
		return err
	}
	defer release()

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	live := controller.New(controller.Config{
		Source: source, Renderer: render.NewRenderer(), Interval: o.interval, Logger: logger, Registerer: registry,
		Store: store, Archive: archive.New(), Retention: o.retention, ReadOnly: o.store.ReadOnly,
		ReleaseTimeout: o.releaseTimeout,
	})
	s, err := server.New(server.Config{
		Fleet: live, Logger: logger, Registry: registry, Version: version,
		ReadTree: func(ctx context.Context, packed io.Reader) (fs.FS, error) {
			return archive.ReadUpload(ctx, packed, o.source.Options.Limits)
		},
		ReadOnly: o.store.ReadOnly, Limits: limits, AdminTokenFile: o.adminTokenFile,
		TokensFile: o.tokensFile, WebhookSecretFile: o.webhookSecretFile, AllowAnonymous: o.allowAnonymous,
		TLSCertFile: o.tlsCert, TLSKeyFile: o.tlsKey, ClientCAFile: o.clientCA,
		OIDCIssuer: o.oidcIssuer, OIDCAudience: o.oidcAudience, OIDCRulesFile: o.oidcRules, OIDCCAFile: o.oidcCA,
	})
	if err != nil {
		return err
	}
	// Restore what was served last before the first client connects, so that a restart
	// behind a load balancer answers no poll with 503.
	if err := live.Restore(ctx); err != nil {
		return err
	}
	listener, err := listen(ctx, s, o)
	if err != nil {
		return err
	}
	debug, err := listenDebug(ctx, o.debugListen)
	if err != nil {
		_ = listener.Close()
		return err
	}
	logger.Info("serving", "version", version, "source", live.Status().Source, "listen", listener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return live.Run(ctx) })
	group.Go(func() error { return s.Serve(ctx, listener) })
	if debug != nil {
		logger.Info("serving profiles", "listen", debug.Addr().String())
		group.Go(func() error { return server.ServeDebug(ctx, debug) })
	}
	err = group.Wait()
	logger.Info("stopped")
	return err
}

// listen opens the address and, if the server may answer there, writes it to the file.
func listen(ctx context.Context, s *server.Server, o serveOptions) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", o.listen, err)
	}
	if err = s.CheckAddress(listener.Addr()); err == nil && o.addrFile != "" {
		err = writeAddress(o.addrFile, listener.Addr())
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// writeAddress renames the file into place, so that a reader never sees half an address.
func writeAddress(file string, addr net.Addr) error {
	part := file + ".part"
	if err := os.WriteFile(part, []byte(addr.String()+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// listenDebug opens the address of --debug-listen; nil if it is empty.
func listenDebug(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		if err = server.CheckDebugAddress(listener.Addr()); err == nil {
			return listener, nil
		}
		_ = listener.Close()
	}
	return nil, fmt.Errorf("--debug-listen %s: %w", address, err)
}
