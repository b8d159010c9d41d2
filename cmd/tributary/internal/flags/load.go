package flags

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/server"
)

// Load limits the load on a server. On the command line 0 means no limit; in
// server.Limits it means the default.
type Load struct {
	pollRate, requestRate float64
	polls, connections    int
}

// Bind adds the flags to f.
func (l *Load) Bind(f *pflag.FlagSet) {
	f.Float64Var(&l.pollRate, "poll-rate", 20, "polls per second of one credential for one cluster, with bursts of a minute's worth; 0 for no limit")
	f.Float64Var(&l.requestRate, "request-rate", 200, "other requests per second of one credential, with bursts of ten seconds' worth; 0 for no limit")
	f.IntVar(&l.polls, "max-polls", 4096, "polls answered at the same time, not counting slow clients; more get 503")
	f.IntVar(&l.connections, "max-connections", 16384, "open connections; polls on further ones get 503")
}

// Limits returns the limits that the flags set.
func (l *Load) Limits() (server.Limits, error) {
	switch {
	case l.pollRate < 0:
		return server.Limits{}, fmt.Errorf("--poll-rate %g: must not be negative", l.pollRate)
	case l.requestRate < 0:
		return server.Limits{}, fmt.Errorf("--request-rate %g: must not be negative", l.requestRate)
	case l.polls < 1:
		return server.Limits{}, fmt.Errorf("--max-polls %d: must be at least 1", l.polls)
	case l.connections < 1:
		return server.Limits{}, fmt.Errorf("--max-connections %d: must be at least 1", l.connections)
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
