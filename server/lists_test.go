package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// The list of clusters is an answer to the Flux of a management cluster. A person who reads it is not
// remembered.
func TestPatchThatTakesTheLastClusterOutOfAPolledListIsRefused(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	const list = "/api/v1/flux/clusters?selector=region%3Dus"
	for _, name := range []string{"east", "west"} {
		h.change("POST", "/api/v1/clusters", "application/json", `{"name":"`+name+`","labels":{"region":"us"}}`)
	}
	relabel := func(name, region string) reply {
		return h.change("PATCH", "/api/v1/clusters/"+name, "application/merge-patch+json", `{"labels":{"region":"`+region+`"}}`)
	}
	h.wantStatus("a person's look at the list", h.get(list, "User-Agent", "curl/8"), http.StatusOK)
	relabel("east", "eu").wantKept(t)
	relabel("west", "eu").wantKept(t)
	relabel("east", "us").wantKept(t)
	relabel("west", "us").wantKept(t)

	h.wantStatus("the poll of a management cluster", h.get(list, "User-Agent", "flux-operator/v0.58.0"), http.StatusOK)
	if got := relabel("east", "eu").wantKept(t); len(got.Lists) != 1 || got.Lists[0].Before != 2 || len(got.Lists[0].Removed) != 1 {
		t.Errorf("relabelling one of two changes the lists %+v", got.Lists)
	}
	refused := relabel("west", "eu")
	if detail := refused.problem(t, http.StatusConflict, "guarded"); !strings.Contains(detail, `the list of clusters matching "region=us" would become empty`) {
		t.Errorf("relabelling the last one: %s", detail)
	}
	var problem struct{ Impact fleet.Impact }
	must(t, json.Unmarshal(refused.body, &problem))
	if l := problem.Impact.Lists; len(l) != 1 || l[0].Selector != "region=us" || len(l[0].Removed) != 1 || l[0].Removed[0] != "west" {
		t.Errorf("the impact has the lists %+v", l)
	}
}

// A list that cannot be remembered is not answered: nobody could say what it would lose.
func TestListThatCannotBeRememberedIsRefused(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	long := "/api/v1/flux/clusters?selector=region+notin+(x" + manyRegions() + ")"
	h.get(long, "User-Agent", "flux-operator/v0.58.0").problem(t, http.StatusUnprocessableEntity, "too-large")
}

func manyRegions() string {
	var b strings.Builder
	for n := range 26 {
		b.WriteString("," + strings.Repeat(string(rune('a'+n)), 50))
	}
	return b.String()
}
