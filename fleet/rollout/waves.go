package rollout

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// RestWave is the name of the wave of the clusters that no rule selects.
const RestWave = "rest"

// Waves returns the waves in which a release reaches the fleet, without empty ones, and the
// clusters that are new with it: those that nothing declares, those whose declaration its files
// contradict, so that it ends, and those that only the rollout in progress declares and that were
// never served. The rules are those of the live release. The last wave makes the release live. Orphans are in no wave, nor are clusters that the release would orphan.
func (r *Rules) Waves(release *fleet.Compiled) (waves []fleet.Wave, added []string) {
	live := r.compiled(r.state.LiveRef())
	if live == nil {
		return nil, nil
	}
	rules := live.Repo.Waves()
	if len(rules) == 0 {
		return nil, nil
	}
	waves = make([]fleet.Wave, len(rules)+1)
	selectors := make([]labels.Selector, len(rules))
	for i, rule := range rules {
		waves[i] = fleet.Wave{Name: rule.Name, Soak: rule.Soak, Manual: rule.Manual, Polled: rule.Polled}
		selectors[i], _ = rule.Selector.Compile() // checked when fleet.yaml was read
	}
	waves[len(rules)] = fleet.Wave{Name: RestWave}
	contradicted := r.Contradicted(release)
	for _, name := range r.state.Names(r.compiled) {
		identity := r.state.Identity(name, r.compiled)
		if identity == nil || r.state.Records[name].IsDecommissioned() {
			continue
		}
		row := r.state.Assignments[name]
		if row != nil && row.Reason == fleet.ReasonOrphaned || slices.Contains(contradicted, name) {
			continue
		}
		if was := r.spec(name); release.File(name) == nil && was != nil && was.File != "" && release.IsUnreadable(name, was) == nil {
			continue
		}
		if r.neverServed(name) {
			if release.File(name) != nil {
				added = append(added, name)
			}
			continue
		}
		at := slices.IndexFunc(selectors, func(s labels.Selector) bool { return s != nil && s.Matches(labels.Set(identity.Labels)) })
		if at < 0 {
			at = len(rules)
		}
		waves[at].Clusters = append(waves[at].Clusters, name)
	}
	for _, name := range release.Names {
		isNew := r.state.Identity(name, r.compiled) == nil || slices.Contains(contradicted, name)
		if isNew && !r.state.Records[name].IsDecommissioned() {
			added = append(added, name)
		}
	}
	slices.Sort(added)
	return slices.DeleteFunc(waves, func(w fleet.Wave) bool { return len(w.Clusters) == 0 }), added
}
