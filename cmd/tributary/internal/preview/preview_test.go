package preview

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

func TestRemovalsAreListedFirst(t *testing.T) {
	t.Parallel()
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
		Vanished: []string{"users"}, Emptied: []string{"roles"}, StaleParts: []string{"delta/pin patches[0]"},
	}}}
	err := GuardError(&fleet.GuardError{Impact: impact, Violations: []fleet.Violation{{Rule: "allowEmptySets", Message: "roles is left empty"}}}, "it is not allowed", "--confirm")
	want := `it is not allowed: inputs: 1 removed, 1 moved, 1 changed (3 fields), 1 added; clusters: 322
guard: allowEmptySets: roles is left empty
322 clusters: edge-000, edge-001, edge-002, edge-003, edge-004, edge-005, edge-006, edge-007, edge-008, edge-009 and 312 more
  - set users is removed
  - set roles becomes empty
  - delta/pin patches[0] no longer applies
  - apps/r?[2J
  - apps/m moves to tools: it is deleted in one set and created in the other
  ~ apps/c
      values.size: {"a":[1,2]} → "` + strings.Repeat("x", maxValue-2) + `…
      values.new: (none) → null
      values.untold
  + apps/a
if this is intended, repeat the command with --confirm sha256:12`
	if err.Error() != want {
		t.Errorf("GuardError = %s\nwant %s", err, want)
	}
}

func TestClustersThatFailForOneReasonAreGrouped(t *testing.T) {
	t.Parallel()
	p := &fleet.Preview{Revision: "main@sha1:1", Outcome: fleet.OutcomeFailed, Failing: []fleet.FailingCluster{
		{Cluster: "a", Reason: "base: no such file"}, {Cluster: "b", Reason: "file: x"}, {Cluster: "c", Reason: "base: no such file"},
	}, Problems: fleet.Problems{{File: "base", Message: "no such file"}, {File: "fleet.yaml", Message: "odd", Warning: true}}}
	var text bytes.Buffer
	if err := Print(&text, p, false); err != nil {
		t.Fatal(err)
	}
	want := "main@sha1:1 would fail, and the fleet would stay as it is\nwarning: fleet.yaml: odd\nfails for a, c: base: no such file\nfails for b: file: x\n"
	if text.String() != want {
		t.Errorf("printed\n%swant\n%s", &text, want)
	}
}

// GitHub rejects a comment that is too long.
func TestLongCommentIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
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
	if err := PrintMarkdown(&text, p); err != nil {
		t.Fatal(err)
	}
	got := text.String()
	if len(got) > 65_536 {
		t.Errorf("the comment has %d bytes", len(got))
	}
	for _, part := range []string{"| 5000 | 1 |", "more reasons", "group-0-0", "more lines", "_The comment has no room for the changes of 4"} {
		if !strings.Contains(got, part) {
			t.Errorf("the comment lacks %q", part)
		}
	}
	if strings.Count(got, "<details>") != strings.Count(got, "</details>") || strings.Count(got, "```")%2 != 0 {
		t.Error("a folded section is not closed")
	}
}

func TestCommentShowsPartOfALargeGroup(t *testing.T) {
	t.Parallel()
	g := fleet.ImpactGroup{Clusters: clusterNames(2)}
	for n := range 150 {
		g.Changes = append(g.Changes, fleet.InputEffect{Set: "apps", ID: fmt.Sprint(n, strings.Repeat("長", 250)), Effect: fleet.Removed})
	}
	var text bytes.Buffer
	if err := PrintMarkdown(&text, &fleet.Preview{Impact: &fleet.Impact{Clusters: 2, Groups: []fleet.ImpactGroup{g}}}); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); len(got) > 65_536 || !strings.Contains(got, "- apps/0長") || !strings.Contains(got, "more lines") || strings.Contains(got, "no room") {
		t.Errorf("the comment has %d bytes and ends with %q", len(got), got[max(0, len(got)-200):])
	}
}

// The authors of a fleet repo must not be able to write the comment.
func TestNamesCannotInjectMarkdown(t *testing.T) {
	t.Parallel()
	evil := "</code>**x**|`` ` ``<img src=x>@admin #1 [a](https://b.example) \n# title"
	p := &fleet.Preview{Revision: evil, Outcome: fleet.OutcomeHeld,
		Violations: []fleet.Violation{{Rule: "removedPerFleet", Message: evil}},
		Impact: &fleet.Impact{Clusters: 1, Removed: 1, Groups: []fleet.ImpactGroup{{
			Clusters: []string{evil}, Changes: []fleet.InputEffect{{Set: "apps", ID: "```\n```" + evil, Effect: fleet.Removed}},
		}}},
	}
	var text bytes.Buffer
	if err := PrintMarkdown(&text, p); err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(text.String(), "````diff\n")
	fenced, after, closed := strings.Cut(rest, "\n````\n")
	if !closed || strings.Contains(fenced, "\n") || !strings.HasPrefix(fenced, "- apps/``` ```</code>") {
		t.Errorf("the fence holds %q", fenced)
	}
	for _, harm := range []string{"</code>**", "<img", "@admin", "#1 ", "[a]", "https:", "\n# title", "``"} {
		if strings.Contains(before+after, harm) {
			t.Errorf("the comment contains markup from a name: %q\n%s", harm, &text)
		}
	}
	if !strings.Contains(before, "&#64;\u200badmin") {
		t.Errorf("the comment mentions a user:\n%s", before)
	}
}
