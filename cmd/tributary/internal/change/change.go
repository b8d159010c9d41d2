// Package change describes an entry of the change log.
//
//	fmt.Println(change.Summary(c, 3)) // "delta/pin-keda (new), Cluster/edge-7 (orphaned)"
//
// Parts returns the same things as documents, for a diff.
package change

import (
	"cmp"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Summary names what changed, up to limit things.
func Summary(c api.Change, limit int) string {
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
		all = append(all, clusterSummary(r))
	}
	for _, t := range c.Tokens {
		title := marked(tokenTitle(t), t.Before == nil, false)
		if t.After == nil || t.After.RevokedAt != nil {
			title += " (revoked)"
		}
		all = append(all, title)
	}
	return textfmt.List(all, limit)
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

// clusterSummary describes a change to a cluster's life beyond its fields.
func clusterSummary(r api.RecordChange) string {
	title := document.ClusterPrefix + r.Cluster
	before, after := cmp.Or(r.Before, &api.Record{}), cmp.Or(r.After, &api.Record{})
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

// Part is one thing that changed, before and after, as YAML; "" if it did not exist.
type Part struct{ Title, Before, After string }

// Parts returns the things that changed.
func Parts(c api.Change) (all []Part, err error) {
	add := func(title, before, after string, errs ...error) {
		all, err = append(all, Part{title, before, after}), cmp.Or(append([]error{err}, errs...)...)
	}
	for _, p := range c.Pins {
		before, beforeErr := toYAML(p.Before)
		after, afterErr := toYAML(p.After)
		add("pin "+p.Pin, before, after, beforeErr, afterErr)
	}
	for _, d := range c.Deltas {
		before, beforeErr := document.Delta(d.Before)
		after, afterErr := document.Delta(d.After)
		add(d.Delta, before, after, beforeErr, afterErr)
	}
	for _, r := range c.Records {
		before, beforeErr := toYAML(r.Before)
		after, afterErr := toYAML(r.After)
		add(document.ClusterPrefix+r.Cluster, before, after, beforeErr, afterErr)
	}
	for _, t := range c.Tokens {
		before, beforeErr := toYAML(t.Before)
		after, afterErr := toYAML(t.After)
		add(tokenTitle(t), before, after, beforeErr, afterErr)
	}
	return all, err
}

// toYAML returns "" for nil.
func toYAML[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := yaml.Marshal(v)
	return string(text), err
}
