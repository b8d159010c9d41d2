package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// ServeDebug serves Go's profiles of the process on ln until ctx ends, for go tool pprof.
// It requires no credential, and a heap may contain some: so ln must be on a loopback
// address, and requests for other host names, which a web page can cause, are refused.
// ServeDebug closes ln in any case.
func ServeDebug(ctx context.Context, ln net.Listener) error {
	defer func() { _ = ln.Close() }()
	if err := CheckDebugAddress(ln.Addr()); err != nil {
		return err
	}
	h := &http.Server{Handler: localOnly(profiles()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() }) // no client needs a graceful end
	defer stop()
	if err := h.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// CheckDebugAddress returns an error if ServeDebug must not answer on addr.
func CheckDebugAddress(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("profiles show what is in memory, and %s is not a loopback address: use one such as 127.0.0.1:6060", addr)
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index) // and heap, goroutine and so on
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.IsLoopback(r.Host) {
			http.Error(w, "requests must be for localhost, 127.0.0.1 or [::1]", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
