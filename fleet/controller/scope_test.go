package controller_test

import (
	"context"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// An operator with a scope can do everything to the clusters of the selector and nothing to others.
func TestScopedOperatorStaysWithinTheSelector(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, labels: {environment: dev, region: eu}}`)
	r.declare(`{name: pia, labels: {environment: prod}}`)
	start := r.view().Generation()
	r.apply(`{name: everywhere, selector: {}, edits: [{kind: App, name: db, patch: {spec: {tag: v2}}}]}`)
	r.apply(`{name: regional, selector: {matchLabels: {region: eu}}, edits: [{kind: App, name: db, patch: {spec: {tag: v2}}}]}`) // selects clusters in dev only, for now
	r.patch("pia", "App/web", `{"spec":{"tag":"own"}}`)

	eu := ada
	eu.Scope = &fleet.Selector{MatchLabels: map[string]string{"environment": "dev"}}
	delta := func(document string) func() (*fleet.Result, error) {
		return func() (*fleet.Result, error) { return r.PutDelta(t.Context(), eu, r.document(document)) }
	}
	const edit = `edits: [{kind: App, name: web, patch: {spec: {tag: v3}}}]}`
	for what, do := range map[string]func() (*fleet.Result, error){
		"an object":                                 func() (*fleet.Result, error) { return r.DeleteObject(t.Context(), eu, "cid", objectNamed("App/db")) },
		"a delta for all":                           delta(`{name: x, selector: {}, ` + edit),
		"a delta for prod":                          delta(`{name: x, selector: {matchLabels: {environment: prod}}, ` + edit),
		"a delta for clusters yet to come":          delta(`{name: x, selector: {matchLabels: {region: eu}}, ` + edit),
		"a delta for dev and test":                  delta(`{name: x, selector: {matchExpressions: [{key: environment, operator: In, values: [dev, test]}]}, ` + edit),
		"a delta for any environment":               delta(`{name: x, selector: {matchExpressions: [{key: environment, operator: Exists}]}, ` + edit),
		"a delta for all but prod":                  delta(`{name: x, selector: {matchExpressions: [{key: environment, operator: NotIn, values: [prod]}]}, ` + edit),
		"a delta that names a cluster in prod":      delta(`{name: x, clusters: [ann, cid], ` + edit),
		"a delta that names an unknown cluster":     delta(`{name: x, clusters: [ann, nobody], ` + edit),
		"narrowing a delta for all to dev":          delta(`{name: everywhere, selector: {matchLabels: {environment: dev}}, ` + edit),
		"deleting a delta for all":                  func() (*fleet.Result, error) { return r.DeleteDelta(t.Context(), eu, "delta/everywhere") },
		"deleting a delta for clusters yet to come": func() (*fleet.Result, error) { return r.DeleteDelta(t.Context(), eu, "delta/regional") },
		"the own delta of another cluster":          delta(`{cluster: pia, ` + edit),
		"deleting the own delta of another cluster": func() (*fleet.Result, error) { return r.DeleteDelta(t.Context(), eu, "cluster/pia") },
		"relabelling out of the scope": func() (*fleet.Result, error) {
			return r.Redeclare(t.Context(), eu, "dot", []byte(`{"labels":{"environment":"prod"}}`))
		},
		"relabelling into the scope": func() (*fleet.Result, error) {
			return r.Redeclare(t.Context(), eu, "pia", []byte(`{"labels":{"environment":"dev"}}`))
		},
		"declaring outside": func() (*fleet.Result, error) {
			_, result, err := r.Declare(t.Context(), eu, []byte(`{name: eve, labels: {environment: prod}}`))
			return result, err
		},
		"decommissioning": func() (*fleet.Result, error) { return r.Decommission(t.Context(), eu, "pia") },
		"rolling everything back": func() (*fleet.Result, error) {
			return r.Rollback(t.Context(), eu, controller.Rollback{Generation: start})
		},
		"rolling another cluster back": func() (*fleet.Result, error) {
			return r.Rollback(t.Context(), eu, controller.Rollback{Generation: start, Delta: "cluster/pia"})
		},
		"a dry run": func() (*fleet.Result, error) {
			dry := eu
			dry.DryRun = true
			return r.DeleteObject(t.Context(), dry, "cid", objectNamed("App/db"))
		},
	} {
		t.Log(what)
		r.wantRefused(fleet.ErrForbidden, do)
	}

	for what, do := range map[string]func() (*fleet.Result, error){
		"an object":            func() (*fleet.Result, error) { return r.DeleteObject(t.Context(), eu, "ann", objectNamed("App/db")) },
		"a delta of dev":       delta(`{name: a, selector: {matchLabels: {environment: dev, region: eu}}, ` + edit),
		"a delta of one value": delta(`{name: b, selector: {matchExpressions: [{key: environment, operator: In, values: [dev]}]}, ` + edit),
		"a delta of names":     delta(`{name: c, clusters: [ann, dot], ` + edit),
		"relabelling": func() (*fleet.Result, error) {
			return r.Redeclare(t.Context(), eu, "dot", []byte(`{"labels":{"tier":"gold"}}`))
		},
		"declaring": func() (*fleet.Result, error) {
			_, result, err := r.Declare(t.Context(), eu, []byte(`{name: eve, labels: {environment: dev}}`))
			return result, err
		},
	} {
		if _, err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := r.Rollback(t.Context(), eu, controller.Rollback{Generation: start, Delta: "delta/a"}); err != nil {
		t.Error(err)
	}
}

// A delta that names a purged cluster does not apply to a later cluster with that name.
func TestPurgeRemovesTheNameFromDeltas(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, labels: {environment: dev}}`)
	eu := ada
	eu.Scope = &fleet.Selector{MatchLabels: map[string]string{"environment": "dev"}}
	const edit = `edits: [{kind: App, name: web, patch: {spec: {tag: v3}}}]}`
	for _, document := range []string{`{name: alone, clusters: [dot], ` + edit, `{name: both, clusters: [ann, dot], ` + edit} {
		if _, err := r.PutDelta(t.Context(), eu, r.document(document)); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []func(context.Context, controller.WriteOptions, string) (*fleet.Result, error){r.Decommission, r.Purge} {
		if _, err := end(t.Context(), ada, "dot"); err != nil {
			t.Fatal(err)
		}
	}
	r.declare(`{name: dot, labels: {environment: prod}}`)
	for range 2 {
		if d, err := r.view().Delta("delta/alone"); err == nil {
			t.Errorf("the delta of dot is still there: %+v", d)
		}
		if d, err := r.view().Delta("delta/both"); err != nil || len(d.Clusters) != 1 || d.Clusters[0] != "ann" {
			t.Errorf("delta of ann and dot = %+v, %v, want only ann", d, err)
		}
		r = r.restart()
	}
}
