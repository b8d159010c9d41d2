package credential_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

func TestScopeAllowsWhatCanReachNoOtherCluster(t *testing.T) {
	t.Parallel()
	clusters := newWorld(t).clusters
	find := func(name string) *fleet.Cluster { return clusters[name] }
	labels := func(pairs ...string) *fleet.Selector {
		s := &fleet.Selector{MatchLabels: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			s.MatchLabels[pairs[i]] = pairs[i+1]
		}
		return s
	}
	expr := func(key, operator string, values ...string) *fleet.Selector {
		return &fleet.Selector{MatchExpressions: []fleet.SelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	dev := labels("environment", "dev")
	for _, c := range []struct {
		scope  *fleet.Selector
		own    string
		target fleet.Scope
		want   bool
	}{
		{dev, "ann", fleet.Scope{}, true},
		{dev, "cid", fleet.Scope{}, false},
		{dev, "nobody", fleet.Scope{}, false},
		{dev, "", fleet.Scope{Clusters: []string{"ann", "bob"}}, true},
		{dev, "", fleet.Scope{Clusters: []string{"ann", "cid"}}, false},
		{dev, "", fleet.Scope{Clusters: []string{"ann", "nobody"}}, false}, // it may be created in prod
		{dev, "", fleet.Scope{Selector: labels()}, false},
		{dev, "", fleet.Scope{Selector: dev}, true},
		{dev, "", fleet.Scope{Selector: labels("environment", "dev", "region", "eu")}, true},
		{dev, "", fleet.Scope{Selector: labels("environment", "prod")}, false},
		{dev, "", fleet.Scope{Selector: labels("region", "eu")}, false}, // even if all of those are in dev
		{dev, "", fleet.Scope{Selector: expr("environment", "In", "dev")}, true},
		{dev, "", fleet.Scope{Selector: expr("environment", "In", "dev", "test")}, false},
		{dev, "", fleet.Scope{Selector: expr("environment", "Exists")}, false},
		{dev, "", fleet.Scope{Selector: expr("environment", "DoesNotExist")}, false},
		{dev, "", fleet.Scope{Selector: expr("environment", "NotIn", "prod")}, false},
		{dev, "", fleet.Scope{Selector: expr("environment", "Is", "dev")}, false},
		{labels("environment", "dev", "region", "eu"), "", fleet.Scope{Selector: dev}, false},
		{expr("environment", "Exists"), "", fleet.Scope{Selector: dev}, true},
		{expr("environment", "Exists"), "", fleet.Scope{Selector: expr("environment", "Exists")}, true},
		{expr("environment", "Exists"), "", fleet.Scope{Selector: expr("environment", "NotIn", "dev")}, false},
		{expr("environment", "In", "dev", "test"), "", fleet.Scope{Selector: expr("environment", "In", "test", "dev")}, true},
		{expr("environment", "In", "dev", "test"), "", fleet.Scope{Selector: expr("environment", "In", "test", "prod")}, false},
		{expr("environment", "NotIn", "prod"), "", fleet.Scope{Selector: dev}, true},
		{expr("environment", "NotIn", "prod"), "", fleet.Scope{Selector: labels("environment", "prod")}, false},
		{expr("environment", "NotIn", "prod"), "", fleet.Scope{Selector: expr("environment", "NotIn", "prod", "test")}, true},
		{expr("environment", "NotIn", "prod", "test"), "", fleet.Scope{Selector: expr("environment", "NotIn", "prod")}, false},
		{expr("environment", "NotIn", "prod"), "", fleet.Scope{Selector: expr("environment", "DoesNotExist")}, true},
		{expr("environment", "NotIn", "prod"), "", fleet.Scope{Selector: expr("environment", "Exists")}, false},
		{expr("environment", "DoesNotExist"), "", fleet.Scope{Selector: expr("environment", "DoesNotExist")}, true},
		{expr("environment", "DoesNotExist"), "", fleet.Scope{Selector: expr("environment", "NotIn", "prod")}, false},
		{expr("environment", "DoesNotExist"), "", fleet.Scope{Selector: expr("region", "DoesNotExist")}, false},
	} {
		scope, err := c.scope.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := credential.ScopeAllows(scope, c.target, c.own, find); got != c.want {
			t.Errorf("the scope %s allows %q, %+v, %+v: %t, want %t", scope, c.own, c.target.Clusters, c.target.Selector, got, c.want)
		}
	}
}
