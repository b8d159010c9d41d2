package main

import (
	"cmp"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// what says in a few words what changed.
func what(c fleet.Change, most int) string {
	var all []string
	if c.Release != nil {
		all = append(all, "release "+c.Release.Revision)
	}
	for _, p := range c.Pins {
		all = append(all, marked("pin "+p.Pin, p.Before == nil, p.After == nil))
	}
	for _, d := range c.Deltas {
		all = append(all, marked(d.Delta, d.Before == nil, d.After == nil))
	}
	for _, r := range c.Records {
		all = append(all, recordText(r))
	}
	for _, t := range c.Tokens {
		revoked := t.After == nil || t.After.RevokedAt != nil
		text := marked(tokenTitle(t), t.Before == nil, false)
		if revoked {
			text += " (revoked)"
		}
		all = append(all, text)
	}
	return some(all, most)
}

func marked(title string, isNew, isGone bool) string {
	switch {
	case isNew:
		return title + " (new)"
	case isGone:
		return title + " (dropped)"
	}
	return title
}

// recordText says what became of a cluster where that is more than other fields.
func recordText(r fleet.RecordChange) string {
	title := clusterID + r.Cluster
	before, after := cmp.Or(r.Before, &fleet.ClusterRecord{}), cmp.Or(r.After, &fleet.ClusterRecord{})
	switch {
	case after.Decommissioned != nil:
		return title + " (decommissioned)"
	case before.Decommissioned != nil:
		return title + " (forgotten)"
	case after.Orphaned != nil:
		return title + " (orphaned)"
	case before.Orphaned != nil:
		return title + " (no longer orphaned)"
	case after.Stays != nil && before.Stays == nil:
		return title + " (stays on " + after.Stays.Release.Revision + ")"
	case before.Stays != nil && after.Stays == nil:
		return title + " (goes with the fleet again)"
	}
	return marked(title, r.Before == nil, r.After == nil)
}

func tokenTitle(t fleet.TokenChange) string {
	return "token " + cmp.Or(t.After, t.Before, &fleet.Token{Name: t.Token}).Name
}

// changePart is one thing of a change, as it was and as it is; "" for nothing.
type changePart struct{ title, before, after string }

func partsOf(c fleet.Change) (all []changePart, err error) {
	add := func(title, before, after string, failed error) {
		all, err = append(all, changePart{title, before, after}), cmp.Or(err, failed)
	}
	for _, p := range c.Pins {
		before, wrong := asYAML(p.Before)
		after, failed := asYAML(p.After)
		add("pin "+p.Pin, before, after, cmp.Or(wrong, failed))
	}
	for _, d := range c.Deltas {
		before, wrong := deltaDocument(d.Before)
		after, failed := deltaDocument(d.After)
		add(d.Delta, before, after, cmp.Or(wrong, failed))
	}
	for _, r := range c.Records {
		before, wrong := asYAML(r.Before)
		after, failed := asYAML(r.After)
		add(clusterID+r.Cluster, before, after, cmp.Or(wrong, failed))
	}
	for _, t := range c.Tokens {
		before, wrong := asYAML(t.Before)
		after, failed := asYAML(t.After)
		add(tokenTitle(t), before, after, cmp.Or(wrong, failed))
	}
	return all, err
}

// asYAML is "" for nil.
func asYAML[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := yaml.Marshal(v)
	return string(text), err
}
