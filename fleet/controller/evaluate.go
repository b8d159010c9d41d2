package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/weigh"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// candidate is a release with what it makes of the fleet if it goes live for every cluster at once.
type candidate struct {
	fleet.Evaluation
	compiled *fleet.Compiled
	before   *view.View   // what is served; nil before the first release
	state    *fleet.State // that it was evaluated with
	change   *fleet.Change
	next     *view.View
	rendered fleet.Problems // those that rendering found
	commit   *fleet.Commit  // nil where it is unknown
	weighing weigh.Change   // unset where it failed
	diffs    []impact.Diff
}

// releaser decides about releases.
type releaser struct{ *writer }

// evaluate renders a release for every cluster, beside what is served, and compares the two. The
// state may be newer than what is served. What was rendered in an earlier evaluation is reused.
func (r *releaser) evaluate(ctx context.Context, compiled *fleet.Compiled, before *view.View, s *fleet.State, earlier *candidate) (*candidate, error) {
	c := &candidate{compiled: compiled, before: before, state: s}
	// Where two trees are compared without a log, nothing else has the release before.
	known, err := r.loadReleases(ctx, s, before.With(compiled))
	if err != nil {
		return nil, err
	}
	known[compiled.Ref] = compiled
	plan, err := r.goLive(c, known)
	if err != nil {
		return nil, err
	}
	var again view.Earlier
	if earlier != nil {
		again = view.Earlier{View: earlier.next, Problems: earlier.rendered}
	}
	if c.next, c.rendered, err = r.realize(ctx, plan, compiled, known, append([]*view.View{before}, again.Views()...)...); err != nil {
		return nil, err
	}
	c.change, c.Failing = plan.Change(), plan.Failing()
	c.rendered = append(c.rendered, again.ProblemsIn(c.next)...)
	c.collectProblems()
	if c.failed() {
		return c, nil
	}
	c.weighing = r.weighing(ctx, before, c.next, s, c.change.At)
	if earlier != nil {
		c.weighing.Earlier = earlier.diffs
	}
	var sum *fleet.Impact
	if c.diffs, sum, err = c.weighing.Diff(impact.Options{Fields: true}); err != nil {
		return nil, err
	}
	c.checkGuard(sum)
	return c, nil
}

// goLive plans that the candidate goes live. Registrations that its files contradict end with it.
func (r *releaser) goLive(c *candidate, known view.Releases) (*rollout.Plan, error) {
	rules := rollout.NewRules(c.state, lookup(known))
	change := &fleet.Change{At: r.now(), Kind: fleet.WentLive, Release: &fleet.ReleaseEvent{Ref: c.compiled.Ref, To: fleet.Live}}
	if c.before != nil {
		r.dropContradicted(change, c.state, rules.Contradicted(c.compiled))
	}
	return rules.GoLive(change, c.compiled)
}

// dropContradicted ends what was declared, registered and written for clusters that a file is for
// now which has other labels: the name was declared for another cluster.
func (r *releaser) dropContradicted(c *fleet.Change, s *fleet.State, names []string) {
	for _, name := range names {
		c.Records = append(c.Records, fleet.RecordChange{Cluster: name, Before: s.Records[name]})
		c.Tokens = append(c.Tokens, r.tokens.Set().EndAll(name, c.At)...)
	}
	if len(names) > 0 {
		c.Deltas, c.Pins = s.Deltas.Without(names...), s.Pins.Without(names...)
	}
}

// realize renders what a plan leads to, and has the plan move clusters that their release is not
// valid for. Those that were rendered in the other views are taken from there. The problems are
// those that rendering found. A cluster whose new release needs a release that is not loaded is
// answered 503.
func (w *writer) realize(ctx context.Context, plan *rollout.Plan, live *fleet.Compiled, known view.Releases, others ...*view.View) (*view.View, fleet.Problems, error) {
	plan.Fail(plan.Unreadable())
	compiled, err := w.loadReleases(ctx, plan.State(), known)
	if err != nil {
		return nil, nil, err
	}
	v, problems, err := view.Build(ctx, plan.State(), live, compiled, view.Options{Renders: &w.renders}, others...)
	if err != nil {
		return nil, nil, err
	}
	v, more, err := w.isolateFailures(ctx, plan, v, func(failing []fleet.FailingCluster) []fleet.FailingCluster { return failing }, others...)
	if err != nil {
		return nil, nil, err
	}
	return v.MarkUnavailable(), append(problems, more...), nil
}

// failureRounds is how often failing clusters are moved: to what they had before, and to what they
// have. They were rendered there once.
const failureRounds = 2

// isolateFailures moves failing clusters of a view, those that movable returns, to releases that are
// valid for them. It returns the problems of rendering them there.
func (w *writer) isolateFailures(ctx context.Context, plan *rollout.Plan, v *view.View, movable func([]fleet.FailingCluster) []fleet.FailingCluster,
	others ...*view.View) (*view.View, fleet.Problems, error) {
	var problems fleet.Problems
	for range failureRounds {
		failing := movable(v.Failing())
		if len(failing) == 0 {
			break
		}
		plan.Fail(failing)
		names := make([]string, len(failing))
		for i, one := range failing {
			names[i] = one.Cluster
		}
		compiled, err := w.loadReleases(ctx, plan.State(), v.Releases())
		if err != nil {
			return nil, nil, err
		}
		var more fleet.Problems
		if v, more, err = v.Next(ctx, plan.State(), compiled, names, others...); err != nil {
			return nil, nil, err
		}
		problems = append(problems, more...)
	}
	return v, problems, nil
}

func lookup(compiled view.Releases) fleet.Lookup {
	return func(ref fleet.ReleaseRef) *fleet.Compiled { return compiled[ref] }
}

func (c *candidate) collectProblems() {
	c.Clusters = len(c.next.Members())
	c.change.Release.Clusters = c.Clusters
	c.Problems = slices.Concat(c.rendered, c.compiled.Repo.Problems(), c.next.Clashes(nil), c.next.OverLimit()).Sort()
}

// failed reports whether the release is valid for no cluster.
func (c *candidate) failed() bool {
	if c.compiled.Repo.Failed() {
		return true
	}
	failing := map[string]bool{}
	for _, one := range c.Failing {
		failing[one.Cluster] = true
	}
	return len(failing) > 0 && !slices.ContainsFunc(c.next.Members(), func(m *view.Member) bool {
		return m.State == fleet.ClusterActive && !failing[m.Cluster.Name]
	})
}

// guard returns the guard that the release is compared with: that of what is served.
func (c *candidate) guard() fleet.Guard {
	if c.before != nil {
		return c.before.Guard()
	}
	return c.compiled.Repo.Guard()
}

// checkGuard sets the impact of the release, and the limits of the guard that it exceeds.
func (c *candidate) checkGuard(sum *fleet.Impact) {
	guard := c.guard()
	c.Impact = sum
	if c.before != nil {
		c.Violations = c.weighing.Check(guard, c.diffs, c.Impact)
	}
	if c.before != nil || c.state.Live != nil { // A first release takes nothing from anybody.
		c.Violations = append(c.Violations, impact.CheckFailing(guard, c.Failing, c.Clusters)...)
	}
	impact.SetDigest(c.Impact, c.Failing)
}

// weighing returns what lies between two views, for a change of a state.
func (w *writer) weighing(ctx context.Context, before, after *view.View, s *fleet.State, at time.Time) weigh.Change {
	return weigh.Change{
		Before: before, After: after, Losses: s.Losses, At: at,
		Lists: func() ([]labels.Selector, error) { return read(ctx, storeTimeout, w.polls.Lists, w.cfg.Now()) },
		LastOwners: func(names []string) (map[string]string, error) {
			return read(ctx, storeTimeout, w.polls.LastOwners, names)
		},
	}
}

// isApprovedByCommit reports whether the commit of the release names the impact that it has, and the
// guard in force allows that.
func (c *candidate) isApprovedByCommit() bool {
	return c.before != nil && c.guard().ApproveByTrailer && c.commit != nil && slices.Contains(c.commit.Approves, c.Impact.Digest)
}

// document returns the candidate as the log has it, in a state.
func (c *candidate) document(s fleet.ReleaseState, generation int64) *fleet.Release {
	ref := c.compiled.Ref
	return &fleet.Release{
		ID: ref.ID(), Revision: ref.Revision, Digest: ref.Snapshot, State: s, At: c.change.At, Generation: generation, Clusters: c.Clusters,
		Problems: c.Problems, Failing: c.Failing, Impact: c.Impact, Violations: c.Violations,
		Commit: c.commit.Linked(c.compiled.Repo.CommitURL(), ref.Revision),
	}
}

// Preview returns what a snapshot would do as the next release. It changes nothing.
func (c *Controller) Preview(ctx context.Context, s *fleet.Snapshot) (*fleet.Preview, error) {
	v, err := c.view()
	if err != nil {
		return nil, err
	}
	return c.releaser.preview(ctx, s, v, v.State())
}

func (r *releaser) preview(ctx context.Context, s *fleet.Snapshot, before *view.View, state *fleet.State) (*fleet.Preview, error) {
	compiled, err := fleet.Compile(ctx, r.cfg.Renderer, s, "", r.now())
	if err != nil {
		return nil, err
	}
	c, err := r.evaluate(ctx, compiled, before, state, nil)
	if err != nil {
		return nil, err
	}
	c.commit = s.Commit
	p := &fleet.Preview{Revision: s.Revision, Commit: c.commit.Linked(compiled.Repo.CommitURL(), s.Revision), Problems: c.Problems, Failing: c.Failing, Violations: c.Violations, Outcome: fleet.OutcomeFailed}
	if c.failed() {
		return p, nil
	}
	if _, p.Impact, err = c.weighing.Diff(impact.Options{Fields: true, Values: true}); err != nil {
		return nil, err
	}
	p.Impact.Digest = c.Impact.Digest
	if before != nil {
		waves, _ := rollout.NewRules(state, lookup(before.Releases())).Waves(compiled)
		for i := range waves {
			p.Waves = append(p.Waves, waves[i].Status())
		}
	}
	switch {
	case len(c.Violations) > 0 && !c.isApprovedByCommit():
		p.Outcome = fleet.OutcomeHeld
	case p.Impact.IsEmpty():
		p.Outcome = fleet.OutcomeNone
	default:
		p.Outcome = fleet.OutcomeChanges
	}
	return p, nil
}

// PreviewRef returns what another ref of the source would do. It is an ErrConflict where the source
// has no refs.
func (c *Controller) PreviewRef(ctx context.Context, ref string) (*fleet.Preview, error) {
	source, ok := c.cfg.Source.(fleet.RefFetcher)
	if !ok {
		return nil, fmt.Errorf("ref %q: %w: the source of this server has no refs; send the tree itself", ref, fleet.ErrConflict)
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := source.At(limited, refOf(ref))
	switch {
	case err == nil:
		return c.Preview(ctx, s)
	case errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrInvalid), errors.Is(err, fleet.ErrConflict):
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	// That the source's host refuses this server is not the caller's fault. Only the text is kept, so
	// that no error inside it is mistaken for one of the request.
	return nil, fmt.Errorf("ref %q: %w: %s", ref, fleet.ErrSource, err.Error())
}

// refOf returns the ref of a revision, such as main@sha1:<40 hex>. Any other text is a ref already.
func refOf(ref string) string {
	if _, commit, is := strings.Cut(ref, "@sha1:"); is {
		return commit
	}
	if _, digest, is := strings.Cut(ref, "@sha256:"); is {
		return "sha256:" + digest
	}
	return ref
}

// Compare returns what a snapshot would do as the release after another one, of a fleet that nobody
// serves and that has those deltas: it is what Preview returns for a fleet that is served. It is an
// ErrInvalid where the one before is valid for no cluster itself, or the deltas make no sense.
func Compare(ctx context.Context, r fleet.Renderer, before, after *fleet.Snapshot, deltas []*fleet.Delta) (*fleet.Preview, error) {
	if _, err := fleet.DeltasFor(&fleet.Cluster{}, deltas); err != nil {
		return nil, err
	}
	c := New(Config{Renderer: r})
	first, err := fleet.Compile(ctx, r, before, "", time.Time{})
	if err != nil {
		return nil, err
	}
	evaluated, err := c.releaser.evaluate(ctx, first, nil, fleet.NewState(&fleet.LogState{Deltas: deltas}), nil)
	if err != nil {
		return nil, err
	}
	if evaluated.failed() {
		return nil, fmt.Errorf("%s is valid for no cluster, so that nothing can be compared with it:\n%w", before.Revision, evaluated.Problems.Faults())
	}
	return c.releaser.preview(ctx, after, evaluated.next, evaluated.next.State())
}
