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
)

// question is what was polled, and at which generation it was answered.
type question struct {
	generation   int64
	cluster, set string
}

// nothing stands for an answer that tells a cluster to keep what it has.
const nothing = "nothing"

// crowd polls all the while, and remembers what it was told. Which clusters it
// happens to poll must not matter to what comes next: it has only those noted that no
// wave waits for.
type crowd struct {
	clock  *clock
	served atomic.Pointer[fleet.Fleet]
	mu     sync.Mutex // guards the rest
	heard  map[question]string
	wrong  []string
}

func (c *crowd) run(ctx context.Context, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	last := int64(0)
	for ctx.Err() == nil {
		f := c.served.Load()
		if f == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		v, err := f.View()
		if err != nil {
			c.complain(!errors.Is(err, fleet.ErrNotReady), "View() = %v", err)
			time.Sleep(time.Millisecond)
			continue
		}
		c.complain(v.Generation() < last, "generation %d after %d", v.Generation(), last)
		last = v.Generation()
		for range 5 {
			m := v.Members()[r.IntN(len(v.Members()))]
			for _, set := range everySet {
				c.poll(v, m, set)
			}
		}
		time.Sleep(time.Millisecond) // leaves the processor to those who are polled
	}
}

func (c *crowd) poll(v *fleet.View, m *fleet.Member, set string) {
	told, err := answerOf(m, set)
	c.complain(err != nil, "%s of %s: %v", set, m.Cluster.Name, err)
	q := question{v.Generation(), m.Cluster.Name, set}
	c.mu.Lock()
	before, again := c.heard[q]
	c.heard[q] = told
	c.mu.Unlock()
	c.complain(again && before != told, "%+v is answered\n%s\nand was\n%s", q, told, before)
	if told != nothing && isIdle(m.Cluster.Name) {
		m.Polled(set, c.clock.Now(), v.Generation(), "soak")
	}
}

// answerOf is the answer to a poll; an error that no poll may be answered with is one.
func answerOf(m *fleet.Member, set string) (string, error) {
	body, err := m.Inputs(set)
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

// tell returns what was heard since the last time, and what was wrong.
func (c *crowd) tell() (heard map[question]string, wrong []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard, c.heard = c.heard, map[question]string{}
	return heard, c.wrong
}
