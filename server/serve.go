package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/server/limit"
)

// Serve answers on ln until ctx ends, over TLS if there is a certificate. Then it finishes
// the requests in flight, closes ln and returns nil. It returns an error if ln must not be
// served (CheckAddress), if ln breaks, and if answers had to be cut off because they took
// longer than Limits.Shutdown.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer func() { _ = ln.Close() }() // Serve owns it, and may have closed it already
	if err := s.CheckAddress(ln.Addr()); err != nil {
		return err
	}
	if s.auth.IsAnonymous() {
		s.log.Warn("everybody who reaches the server is admin, because it has no tokens", "listen", ln.Addr().String())
	}
	ctx, cancel := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	for _, r := range s.reloaders {
		reloading.Go(func() { r.run(ctx, cmp.Or(s.cfg.Reload, 500*time.Millisecond)) })
	}
	defer reloading.Wait()
	defer cancel()

	h := s.httpServer()
	ended := make(chan error, 1)
	go func() { ended <- s.accept(h, s.limited(ln)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("listen on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
		return s.shutdown(h)
	}
}

// limited returns ln with a bound on the open connections.
func (s *Server) limited(ln net.Listener) net.Listener {
	most := s.cfg.Limits.Connections
	if files := limit.MaxOpenFiles() / 4 * 3; files < most { // the source and the change log need some, too
		s.log.Info("the bound on connections is lower, because the process may open few files", "connections", files, "wanted", most)
		most = files
	}
	l := limit.Listen(ln, most, func(reason string) { s.metrics.connectionsClosed.WithLabelValues(reason).Inc() })
	s.listener.Store(l)
	return l
}

func (s *Server) accept(h *http.Server, ln net.Listener) error {
	if s.certificate != nil {
		return h.ServeTLS(ln, "", "")
	}
	return h.Serve(ln)
}

func (s *Server) httpServer() *http.Server {
	limits := s.cfg.Limits
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Stall, // a handler that takes longer, or answers more, sets its own
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
		ConnContext:       limit.ConnContext,
		// Pings find clients that vanished. Each stream is a request in flight.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, SendPingTimeout: limits.Stall, PingTimeout: limits.Stall, WriteByteTimeout: limits.Stall},
		// OPTIONS * would be answered 200 before the handler is called.
		DisableGeneralOptionsHandler: true,
		// Mistakes of clients, which are not errors of the server.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	h.RegisterOnShutdown(s.events.end)
	if s.certificate != nil {
		h.TLSConfig = s.certificate.config()
		s.auth.ConfigureTLS(h.TLSConfig)
	}
	return h
}

func (s *Server) shutdown(h *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Shutdown)
	defer cancel()
	err := h.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = h.Close() // the connections that are left
		return fmt.Errorf("answers were cut off, because they took longer than %s after the stop", s.cfg.Limits.Shutdown)
	}
	return err
}
