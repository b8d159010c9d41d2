package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/server"
)

// loadFlags bound what a server takes on. On the command line 0 is no limit, where
// server.Limits has its default.
type loadFlags struct {
	pollRate, requestRate float64
	polls, connections    int
}

func (l *loadFlags) bind(f *pflag.FlagSet) {
	f.Float64Var(&l.pollRate, "poll-rate", 20, "polls a second that one credential may make of one cluster, a minute's worth at once; 0 for no limit")
	f.Float64Var(&l.requestRate, "request-rate", 200, "other requests a second that one credential may make, ten seconds' worth at once; 0 for no limit")
	f.IntVar(&l.polls, "max-polls", 4096, "polls that are answered at one time, those of slow clients aside; more get 503")
	f.IntVar(&l.connections, "max-connections", 16384, "connections that are open before polls on further ones get 503")
}

func (l *loadFlags) limits() (server.Limits, error) {
	switch {
	case l.pollRate < 0:
		return server.Limits{}, fmt.Errorf("--poll-rate %g: must not be less than 0", l.pollRate)
	case l.requestRate < 0:
		return server.Limits{}, fmt.Errorf("--request-rate %g: must not be less than 0", l.requestRate)
	case l.polls < 1:
		return server.Limits{}, fmt.Errorf("--max-polls %d: must be 1 or more", l.polls)
	case l.connections < 1:
		return server.Limits{}, fmt.Errorf("--max-connections %d: must be 1 or more", l.connections)
	}
	return server.Limits{
		PollRate: orNoLimit(l.pollRate), RequestRate: orNoLimit(l.requestRate), Polls: l.polls, Connections: l.connections,
	}, nil
}

func orNoLimit(perSecond float64) float64 {
	if perSecond == 0 {
		return -1
	}
	return perSecond
}

// listenDebug opens the address of --debug-listen, nil where there is none.
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
