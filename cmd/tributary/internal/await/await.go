// Package await waits until a release is live or held, or until clusters have polled it.
//
//	subject, err := await.ParseSubject("main@sha1:8f1c…")
//	arrived, err := await.Condition("arrived")
//	status, err := arrived(ctx, client, await.Subject{Release: id, Selector: "region=eu"})
//	if status.Met {
//		fmt.Println(status.Text)
//	}
//
// Whether a release has arrived is concluded from polls: a cluster has it once it has polled
// it in each of the sets that it polls. What Flux made of the answer is not known.
package await

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// Subject is what is waited for: a release, by ID or revision, or else a generation.
type Subject struct {
	Release    string
	Generation int64
	// Selector limits the clusters at which it is to arrive, and Clusters names them; empty for
	// all.
	Selector string
	Clusters []string
}

// Status says how far a condition is met.
type Status struct {
	Met bool
	// Text says why it is met, or what is missing.
	Text string
}

// Check finds out how far a condition is met. Its error ends the wait, unless it may pass.
type Check func(context.Context, *client.Client, Subject) (Status, error)

var conditions = []struct {
	name  string
	check Check
}{{"live", isLive}, {"held", isHeld}, {"arrived", hasArrived}}

// Conditions are the names of the conditions, for help texts.
const Conditions = "live, held or arrived"

// Condition returns the check of a condition.
func Condition(name string) (Check, error) {
	for _, c := range conditions {
		if c.name == name {
			return c.check, nil
		}
	}
	return nil, fmt.Errorf("--for %q: must be %s", name, Conditions)
}

// maxDigits is less than the digits of a release ID, which may have no letters.
const maxDigits = 11

// ParseSubject reads a release or a generation: release/ID, ID, REVISION, generation/N or N.
func ParseSubject(text string) (s Subject, err error) {
	text, isRelease := strings.CutPrefix(text, "release/")
	number, isGeneration := strings.CutPrefix(text, "generation/")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case isRelease || !isGeneration && (err != nil || len(number) > maxDigits):
		return Subject{Release: text}, nil
	case err != nil || n < 1:
		return s, fmt.Errorf("generation %q: must be a positive number", number)
	}
	return Subject{Generation: n}, nil
}

// release returns the release of a subject; nil while there is none, because its revision may
// not have been fetched yet.
func release(ctx context.Context, c *client.Client, s Subject) (*fleet.Release, Status, error) {
	if s.Release == "" {
		return nil, Status{}, errors.New("wait: name a release; a generation can only arrive")
	}
	r, err := c.Release(ctx, s.Release)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil, Status{Text: fmt.Sprintf("the server does not know release %q", s.Release)}, nil
	}
	return r, Status{}, err
}

// describe names a release and its state.
func describe(r *fleet.Release) string {
	return fmt.Sprintf("release %s of %s is %s", r.ID, textfmt.Visible(r.Revision), r.State)
}

func isLive(ctx context.Context, c *client.Client, s Subject) (Status, error) {
	r, status, err := release(ctx, c, s)
	if r == nil {
		return status, err
	}
	switch r.State {
	case fleet.Live, fleet.RollingOut:
		return Status{true, describe(r)}, nil
	case fleet.Failed, fleet.Rejected, fleet.Superseded:
		return Status{}, fmt.Errorf("%s, and will not go live; see tributary get release %s", describe(r), r.ID)
	case fleet.Held:
		return Status{Text: fmt.Sprintf("%s until somebody approves it; see tributary get release %s", describe(r), r.ID)}, nil
	}
	return Status{Text: describe(r)}, nil
}

func isHeld(ctx context.Context, c *client.Client, s Subject) (Status, error) {
	r, status, err := release(ctx, c, s)
	switch {
	case r == nil:
		return status, err
	case r.State == fleet.Held:
		return Status{true, describe(r)}, nil
	}
	return Status{}, fmt.Errorf("%s, and not held", describe(r))
}

func hasArrived(ctx context.Context, c *client.Client, s Subject) (Status, error) {
	if s.Release == "" {
		change, err := c.Change(ctx, s.Generation)
		if err != nil {
			return Status{}, err
		}
		if s.Clusters == nil && s.Selector == "" {
			s.Clusters = change.Clusters
		}
		return arrival(ctx, c, s, fmt.Sprintf("generation %d", s.Generation), func(cluster *api.Cluster) place {
			return placeOf(cluster, func(p api.Poll) bool { return p.Generation >= s.Generation })
		})
	}
	status, err := isLive(ctx, c, s)
	if err != nil || !status.Met {
		return status, err
	}
	r, err := c.Release(ctx, s.Release)
	if err != nil {
		return Status{}, err
	}
	return arrival(ctx, c, s, "release "+r.ID, func(cluster *api.Cluster) place {
		switch fails := slices.ContainsFunc(r.Failing, func(f fleet.FailingCluster) bool { return f.Cluster == cluster.Name }); {
		case cluster.Release.ID == r.ID:
			return placeOf(cluster, func(p api.Poll) bool { return p.Release == r.ID })
		case cluster.Pin != "" || cluster.State == fleet.ClusterOrphaned || fails:
			return stays
		}
		return missing // its wave has not begun
	})
}

// place says where a cluster is on the way to what is waited for.
type place int

const (
	missing place = iota
	there
	stays // on another release, whatever comes
)

// placeOf concludes from the polls of a cluster whether it has what is waited for, as a rollout
// does: it has polled, and the last poll of each of its sets that it ever polled got it.
func placeOf(c *api.Cluster, has func(api.Poll) bool) place {
	at := missing
	for _, p := range c.Polls {
		if _, served := c.Inputs[p.Set]; !served {
			continue
		}
		if !has(p) {
			return missing
		}
		at = there
	}
	return at
}

// maxNames limits how many clusters are named.
const maxNames = 5

func arrival(ctx context.Context, c *client.Client, s Subject, what string, of func(*api.Cluster) place) (Status, error) {
	clusters, err := s.clusters(ctx, c)
	if err != nil {
		return Status{}, err
	}
	names := map[place][]string{}
	for i := range clusters {
		if clusters[i].State != fleet.ClusterDecommissioned || s.Release == "" {
			at := of(&clusters[i])
			names[at] = append(names[at], clusters[i].Name)
		}
	}
	left, arrived := names[missing], len(names[there])
	if len(left) > 0 {
		return Status{Text: fmt.Sprintf("%s has arrived at %d of %s, but not at %s", what, arrived,
			textfmt.Count(arrived+len(left), "cluster"), textfmt.List(left, maxNames))}, nil
	}
	text := fmt.Sprintf("%s has arrived at %s", what, textfmt.Count(arrived, "cluster"))
	if n := len(names[stays]); n > 0 {
		text += fmt.Sprintf("; on another release: %s", textfmt.List(names[stays], maxNames))
	}
	return Status{true, text}, nil
}

// clusters returns the clusters at which the subject is to arrive.
func (s Subject) clusters(ctx context.Context, c *client.Client) ([]api.Cluster, error) {
	if len(s.Clusters) > maxNames {
		all, err := c.Clusters(ctx, "")
		return slices.DeleteFunc(all, func(c api.Cluster) bool { return !slices.Contains(s.Clusters, c.Name) }), err
	}
	if s.Clusters == nil {
		found, err := c.Clusters(ctx, s.Selector)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("--selector %q: %w: no cluster matches", s.Selector, fleet.ErrNotFound)
		}
		return found, err
	}
	var all []api.Cluster
	for _, name := range s.Clusters {
		found, err := c.Cluster(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}
