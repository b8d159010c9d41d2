package git

import (
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

var digest = "sha256:" + strings.Repeat("a1", 32)

// Trailers are read as Git itself reads them.
func TestTrailersAreThoseOfGit(t *testing.T) {
	t.Parallel()
	approve := "Tributary-Approve: " + digest
	for name, c := range map[string]struct {
		message string
		want    int
	}{
		"last paragraph":                   {"Drop db\n\nIt is unused.\n\n" + approve + "\n", 1},
		"last paragraph of several":        {"Drop db\n\n" + approve + "\nReviewed-by: Bob <bob@example.com>\n", 2},
		"the title":                        {approve + "\n", 0},
		"a paragraph before the last":      {"Drop db\n\n" + approve + "\n\nCo-authored-by: Bob <bob@example.com>\n", 1},
		"with prose in its paragraph":      {"Drop db\n\nThe impact is\n" + approve + "\n", 0},
		"prose, and a line that Git makes": {"Drop db\n\nSee above.\n" + approve + "\nSigned-off-by: Ada <ada@example.com>\n", 2},
		"continued":                        {"Drop db\n\nTributary-Approve:\n  " + digest + "\n", 1},
		"indented":                         {"Drop db\n\n  " + approve + "\n", 0},
		"trailing blank lines":             {"Drop db\n\n" + approve + "\n\n \n", 1},
		"no message":                       {"", 0},
		"cherry-picked":                    {"Drop db\n\n" + approve + "\n(cherry picked from commit 0123)\n", 1},
	} {
		found := trailersOf(c.message)
		if len(found) != c.want {
			t.Errorf("%s: trailers = %v, want %d", name, found, c.want)
		}
		git := exec.CommandContext(t.Context(), "git", "interpret-trailers", "--parse")
		git.Stdin = strings.NewReader(c.message)
		out, err := git.Output()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, one := range found {
			lines = append(lines, one.key+": "+one.value)
		}
		var want []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "(") {
				want = append(want, strings.TrimSpace(line))
			}
		}
		if !reflect.DeepEqual(lines, want) {
			t.Errorf("%s: trailers = %q, and Git has %q", name, lines, want)
		}
	}
}

func TestCommitIsDescribed(t *testing.T) {
	t.Parallel()
	raw := func(author, message string) []byte {
		return fmt.Appendf(nil, "tree %040d\nparent %040d\nauthor %s\ncommitter Eve <eve@example.com> 1 +0000\ngpgsig -----BEGIN\n author x\n\n%s", 0, 0, author, message)
	}
	ada := fleet.Commit{Author: "Ada <ada@example.com>", At: time.Unix(1774785600, 0).UTC()}
	with := func(subject string, approves ...string) *fleet.Commit {
		c := ada
		c.Subject, c.Approves = subject, approves
		return &c
	}
	for message, want := range map[string]*fleet.Commit{
		"Drop db\n\nTributary-Approve: " + digest + "\n": with("Drop db", digest),
		"Drop db\n\ntributary-approve: " + digest + "\n": with("Drop db", digest),
		"Drop db\n\nTributary-Approve: sha256:1\n":       with("Drop db"),
		"Drop \x1b[31mdb\x00\xff\n":                      with("Drop [31mdb�"),
		"":                                               with(""),
		strings.Repeat("é", 200):                         with(strings.Repeat("é", 100)),
		"a\n\n" + strings.Repeat("Tributary-Approve: "+digest+"\n", 50): with("a", strings.Split(strings.Repeat(digest+" ", maxApprovals)[:maxApprovals*72-1], " ")...),
	} {
		if got := describe(raw("Ada <ada@example.com> 1774785600 +0100", message)); !reflect.DeepEqual(got, want) {
			t.Errorf("describe(%.40q) = %+v, want %+v", message, got, want)
		}
	}
	if got := describe([]byte("tree x")); !reflect.DeepEqual(got, &fleet.Commit{}) {
		t.Errorf("describe of no commit = %+v", got)
	}
	if got := describe(raw("nobody", "x")); got.Author != "nobody" || !got.At.IsZero() {
		t.Errorf("describe without a date = %+v", got)
	}
}
