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
)

// Limits bound what one client can cost the others. A zero field has a default
// that suits polls over slow links.
type Limits struct {
	// ReadHeader is the time a request's headers may take to arrive, Read the
	// time of the whole request. 10 s and 30 s.
	ReadHeader, Read time.Duration
	// Write is the time from the headers to the end of the answer. 60 s.
	Write time.Duration
	// Idle is the time between two requests of a connection. 2 min.
	Idle time.Duration
	// Shutdown is the time that answers get to finish once the server must stop. 20 s.
	Shutdown time.Duration
	// HeaderBytes bounds a request's headers, BodyBytes its body. 32 KiB and 1 MiB.
	HeaderBytes int
	BodyBytes   int64
	// HookBytes bounds the body of a webhook, of which little is kept. 25 MiB:
	// GitHub and GitLab send no more.
	HookBytes int64
	// SnapshotBytes bounds a packed snapshot that is sent for a preview. 64 MiB.
	SnapshotBytes int64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		ReadHeader:  cmp.Or(l.ReadHeader, 10*time.Second),
		Read:        cmp.Or(l.Read, 30*time.Second),
		Write:       cmp.Or(l.Write, time.Minute),
		Idle:        cmp.Or(l.Idle, 2*time.Minute),
		Shutdown:    cmp.Or(l.Shutdown, 20*time.Second),
		HeaderBytes: cmp.Or(l.HeaderBytes, 32<<10),
		BodyBytes:   cmp.Or(l.BodyBytes, 1<<20),
		HookBytes:   cmp.Or(l.HookBytes, 25<<20),

		SnapshotBytes: cmp.Or(l.SnapshotBytes, 64<<20),
	}
}

// Serve answers on ln, over TLS where there is a certificate, until ctx ends;
// then it finishes what it is answering, closes ln and returns nil. It returns
// an error where ln must not be served (CheckAddress), where it breaks, and
// where answers had to be cut because they took longer than Limits.Shutdown.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer func() { _ = ln.Close() }() // Serve owns it, and may have closed it already
	if err := s.CheckAddress(ln.Addr()); err != nil {
		return err
	}
	if s.anonymous() {
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
	go func() { ended <- s.accept(h, ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("listen on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
		return s.shutdown(h)
	}
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
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
		// OPTIONS * would be answered 200 before the handler is asked.
		DisableGeneralOptionsHandler: true,
		// What clients do wrong with the connection; nothing here to be woken for.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	h.RegisterOnShutdown(s.events.end)
	if s.certificate != nil {
		h.TLSConfig = s.certificate.config()
		if s.clientCAs != nil {
			s.clientCAs.ask(h.TLSConfig)
		}
	}
	return h
}

func (s *Server) shutdown(h *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Limits.Shutdown)
	defer cancel()
	err := h.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = h.Close() // the connections that are left
		return fmt.Errorf("answers were cut, because they took longer than %s after the stop", s.cfg.Limits.Shutdown)
	}
	return err
}
