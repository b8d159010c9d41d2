package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func clusterNames(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("edge-%03d", i))
	}
	return all
}

func TestWhatIsTakenAwayStandsFirst(t *testing.T) {
	impact := &fleet.Impact{Digest: "sha256:12", Clusters: 322, Added: 1, Changed: 1, Removed: 1, Moved: 1, Fields: 3, Groups: []fleet.ImpactGroup{{
		Clusters: clusterNames(322),
		Changes: []fleet.InputEffect{
			{Set: "apps", ID: "a", Effect: fleet.Added},
			{Set: "apps", ID: "c", Effect: fleet.Changed, Fields: []fleet.FieldEffect{
				{Path: "values.size", Before: json.RawMessage(`{"a": [1, 2]}`), After: json.RawMessage(`"` + strings.Repeat("x", 500) + `"`)},
				{Path: "values.new", After: json.RawMessage(`null`)},
				{Path: "values.untold"},
			}},
			{Set: "apps", ID: "m", Effect: fleet.Moved, To: "tools"},
			{Set: "apps", ID: "r\x1b[2J", Effect: fleet.Removed},
		},
		Vanished: []string{"users"}, Emptied: []string{"roles"}, Orphaned: []string{"delta/pin patches[0]"},
	}}}
	err := guarded(&fleet.GuardError{Impact: impact, Violations: []fleet.Violation{{Rule: "allowEmptySets", Message: "roles is left empty"}}}, "it is not allowed", "--confirm")
	want := `it is not allowed: inputs: 1 removed, 1 moved, 1 changed (3 fields), 1 added; clusters: 322
guard: allowEmptySets: roles is left empty
322 clusters: edge-000, edge-001, edge-002, edge-003, edge-004, edge-005, edge-006, edge-007, edge-008, edge-009 and 312 more
  - set users vanishes
  - set roles is left empty
  - delta/pin patches[0] stops to apply
  - apps/r?[2J
  - apps/m moves to tools: it is deleted here, and made there
  ~ apps/c
      values.size: {"a":[1,2]} → "` + strings.Repeat("x", longestValue-2) + `…
      values.new: (none) → null
      values.untold
  + apps/a
if that is meant, repeat the command with --confirm sha256:12`
	if err.Error() != want {
		t.Errorf("guarded = %s\nwant %s", err, want)
	}
}

func TestClustersThatFailForOneReasonAreToldOnce(t *testing.T) {
	p := &fleet.Preview{Revision: "main@sha1:1", Outcome: fleet.OutcomeFailed, Failing: []fleet.FailingCluster{
		{Cluster: "a", Reason: "base: no such file"}, {Cluster: "b", Reason: "file: x"}, {Cluster: "c", Reason: "base: no such file"},
	}, Problems: fleet.Problems{{File: "base", Message: "no such file"}, {File: "fleet.yaml", Message: "odd", Warning: true}}}
	var text bytes.Buffer
	if err := printPreview(&text, p); err != nil {
		t.Fatal(err)
	}
	want := "main@sha1:1 would fail, and the fleet would stay as it is\nwarning: fleet.yaml: odd\nfails for a, c: base: no such file\nfails for b: file: x\n"
	if text.String() != want {
		t.Errorf("printed\n%swant\n%s", &text, want)
	}
	if got := verdictOf(p); got != hasFaults {
		t.Errorf("diff ends with %v, want %d", got, hasFaults)
	}
}

// A comment that is too long is refused by GitHub, and nobody would see it at all.
func TestCommentFitsAndSaysWhatIsLeftOut(t *testing.T) {
	p := &fleet.Preview{Revision: "main@sha1:1", Outcome: fleet.OutcomeHeld, Impact: &fleet.Impact{Clusters: 5000, Removed: 1}}
	for i := range 500 {
		g := fleet.ImpactGroup{Clusters: clusterNames(10)}
		for n := range 300 {
			g.Changes = append(g.Changes, fleet.InputEffect{Set: "apps", ID: fmt.Sprintf("group-%d-%d-%s", i, n, strings.Repeat("ü", 20)), Effect: fleet.Removed})
		}
		p.Impact.Groups = append(p.Impact.Groups, g)
		p.Violations = append(p.Violations, fleet.Violation{Rule: "removedPerCluster", Message: strings.Repeat("<", 2000)})
		p.Failing = append(p.Failing, fleet.FailingCluster{Cluster: fmt.Sprint(i), Reason: fmt.Sprint("reason ", i)})
	}
	var text bytes.Buffer
	if err := printMarkdown(&text, p); err != nil {
		t.Fatal(err)
	}
	got := text.String()
	if len(got) > 65_536 {
		t.Errorf("the comment has %d bytes", len(got))
	}
	for _, part := range []string{"| 5000 | 1 |", "more reasons", "group-0-0", "more lines", "_Left out, because a comment has no room for it: what changes for 4"} {
		if !strings.Contains(got, part) {
			t.Errorf("the comment lacks %q", part)
		}
	}
	if strings.Count(got, "<details>") != strings.Count(got, "</details>") || strings.Count(got, "```")%2 != 0 {
		t.Error("what is folded is not closed")
	}
}

// What there is no room for in whole is shown in part.
func TestCommentShowsAPartOfALargeGroup(t *testing.T) {
	g := fleet.ImpactGroup{Clusters: clusterNames(2)}
	for n := range 150 {
		g.Changes = append(g.Changes, fleet.InputEffect{Set: "apps", ID: fmt.Sprint(n, strings.Repeat("長", 250)), Effect: fleet.Removed})
	}
	var text bytes.Buffer
	if err := printMarkdown(&text, &fleet.Preview{Impact: &fleet.Impact{Clusters: 2, Groups: []fleet.ImpactGroup{g}}}); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); len(got) > 65_536 || !strings.Contains(got, "- apps/0長") || !strings.Contains(got, "more lines") || strings.Contains(got, "Left out") {
		t.Errorf("the comment has %d bytes and ends with %q", len(got), got[max(0, len(got)-200):])
	}
}

// Who writes a fleet repo must not write the comment.
func TestNamesDoNothingInAComment(t *testing.T) {
	evil := "</code>**x**|`` ` ``<img src=x>@admin #1 [a](https://b.example) \n# title"
	p := &fleet.Preview{Revision: evil, Outcome: fleet.OutcomeHeld,
		Violations: []fleet.Violation{{Rule: "removedPerFleet", Message: evil}},
		Impact: &fleet.Impact{Clusters: 1, Removed: 1, Groups: []fleet.ImpactGroup{{
			Clusters: []string{evil}, Changes: []fleet.InputEffect{{Set: "apps", ID: "```\n```" + evil, Effect: fleet.Removed}},
		}}},
	}
	var text bytes.Buffer
	if err := printMarkdown(&text, p); err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(text.String(), "````diff\n")
	fenced, after, closed := strings.Cut(rest, "\n````\n")
	if !closed || strings.Contains(fenced, "\n") || !strings.HasPrefix(fenced, "- apps/``` ```</code>") {
		t.Errorf("the fence holds %q", fenced)
	}
	for _, harm := range []string{"</code>**", "<img", "@admin", "#1 ", "[a]", "https:", "\n# title", "``"} {
		if strings.Contains(before+after, harm) {
			t.Errorf("the comment does more than to be read: %q\n%s", harm, &text)
		}
	}
	if !strings.Contains(before, "&#64;\u200badmin") {
		t.Errorf("somebody is called by name:\n%s", before)
	}
}

func TestDiffEndsWithTheWorst(t *testing.T) {
	for outcome, want := range map[string]int{
		fleet.OutcomeNone: 0, fleet.OutcomeChanges: differs, fleet.OutcomeHeld: wouldBeHeld, fleet.OutcomeFailed: hasFaults,
	} {
		if got := verdictOf(&fleet.Preview{Outcome: outcome}); got != want {
			t.Errorf("%s: diff ends with %v, want %v", outcome, got, want)
		}
		if got := verdictOf(&fleet.Preview{Outcome: outcome, Failing: []fleet.FailingCluster{{Cluster: "a"}}}); got != hasFaults {
			t.Errorf("%s with a cluster that fails: diff ends with %v, want %v", outcome, got, hasFaults)
		}
	}
}

func TestPinIsCalledAfterItsClusters(t *testing.T) {
	for text, want := range map[string]string{
		"environment=prod,region in (eu,us)": "environment-prod-region-in-eu-us",
		"!example.com/gpu":                   "example-com-gpu",
		strings.Repeat("edge-1-", 20):        strings.Repeat("edge-1-", 9)[:62],
	} {
		if got := asLabel(text); got != want {
			t.Errorf("asLabel(%q) = %q, want %q", text, got, want)
		}
	}
}
