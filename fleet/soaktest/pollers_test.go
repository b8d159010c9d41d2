package soaktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// question is what was polled, and at which generation it was answered.
type question struct {
	generation   int64
	cluster, set string
}

// nothing stands for an answer that makes a cluster keep what it has.
const nothing = "nothing"

// crowd polls all the time, and keeps the answers. Which clusters it polls must not influence what
// happens next: only polls of clusters that no wave waits for are recorded.
type crowd struct {
	served atomic.Pointer[controller.Controller]
	mu     sync.Mutex // guards the rest
	heard  map[question]string
	wrong  []string
}

func (c *crowd) run(ctx context.Context, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	last := int64(0)
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) { // leaves the processor to the servers
		server := c.served.Load()
		if server == nil {
			continue
		}
		v, err := server.View()
		if err != nil {
			c.complain(!errors.Is(err, fleet.ErrNotReady), "View() = %v", err)
			continue
		}
		c.complain(v.Generation() < last, "generation %d after %d", v.Generation(), last)
		last = v.Generation()
		for range 5 {
			m := v.Members()[r.IntN(len(v.Members()))]
			for _, set := range everySet {
				c.poll(server, v, m, set)
			}
		}
	}
}

func (c *crowd) poll(server *controller.Controller, v *view.View, m *view.Member, set string) {
	text, err := answerOf(m, set)
	c.complain(err != nil, "%s of %s: %v", set, m.Cluster.Name, err)
	q := question{v.Generation(), m.Cluster.Name, set}
	c.mu.Lock()
	before, again := c.heard[q]
	c.heard[q] = text
	c.mu.Unlock()
	c.complain(again && before != text, "%+v is answered\n%s\nand was\n%s", q, text, before)
	if text != nothing && isIdle(m.Cluster.Name) {
		server.RecordPoll(m, m.Cluster.Name, set, v.Generation(), "soak", "")
	}
}

// answerOf returns the answer to a poll. The error is one that no poll may be answered with.
func answerOf(m *view.Member, set string) (string, error) {
	body, err := m.Body(set)
	switch {
	case err == nil:
		return string(body.JSON()), nil
	case errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrNotReady):
		return nothing, nil
	}
	return nothing, err
}

func (c *crowd) complain(is bool, format string, args ...any) {
	if is {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

// report returns the answers since the last report, and everything that was wrong.
func (c *crowd) report() (heard map[question]string, wrong []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard, c.heard = c.heard, map[question]string{}
	return heard, c.wrong
}
