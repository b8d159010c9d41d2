package preview

import (
	"fmt"
	"io"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// maxComment is a length that GitHub accepts for a comment. GitHub counts characters and
// this counts bytes, of which there are no fewer. The rest is for the last line.
const maxComment = 65_536 - 512

// comment builds a comment on a pull request.
type comment struct{ strings.Builder }

// add appends a text if it fits, and reports whether it did.
func (c *comment) add(text string) bool {
	if c.Len()+len(text) > maxComment {
		return false
	}
	c.WriteString(text)
	return true
}

// PrintMarkdown prints a preview as a comment on a pull request: the outcome, the numbers
// and the reasons, and then the changes, folded, as far as they fit.
func PrintMarkdown(w io.Writer, p *fleet.Preview) error {
	c := &comment{}
	fmt.Fprintf(c, "**Tributary:** %s %s\n\n", code(p.Revision), headline(p))
	if about := Commit(p.Commit); about != "" {
		fmt.Fprintf(c, "%s\n\n", escape(about))
	}
	if i := p.Impact; !i.IsEmpty() {
		c.WriteString("| clusters | removed | moved | changed | fields | added |\n|--:|--:|--:|--:|--:|--:|\n")
		fmt.Fprintf(c, "| %d | %d | %d | %d | %d | %d |\n\n", i.Clusters, i.Removed, i.Moved, i.Changed, i.Fields, i.Added)
	}
	if !p.Impact.IsEmpty() && p.Impact.Digest != "" {
		fmt.Fprintf(c, "%s\n\n", approvalMarkdown(p))
	}
	if left := c.list(reasons(p)); left > 0 {
		fmt.Fprintf(c, "- and %s\n\n", textfmt.Count(left, "more reason"))
	}
	if left := c.list(clusterItems(p.Impact)); left > 0 {
		fmt.Fprintf(c, "- and %s\n\n", textfmt.Count(left, "more change of clusters"))
	}
	if p.Impact != nil {
		c.groups(p.Impact.Groups)
	}
	_, err := io.WriteString(w, c.String())
	return err
}

// approvalMarkdown says by which digest the impact can be approved.
func approvalMarkdown(p *fleet.Preview) string {
	if p.Outcome == fleet.OutcomeHeld && !fleet.NeedFix(p.Violations) {
		return "To approve this impact in the commit itself, where `spec.guard.approveByTrailer` allows it, end its message with " +
			code(fleet.ApproveTrailer+": "+p.Impact.Digest)
	}
	return "Impact: " + code(p.Impact.Digest)
}

// reasons returns the items that a reader must not miss.
func reasons(p *fleet.Preview) (all []string) {
	for _, v := range p.Violations {
		all = append(all, "guard, "+code(v.Rule)+": "+escape(v.Message))
	}
	for _, g := range groupByReason(p.Failing) {
		all = append(all, "fails for "+code(textfmt.List(g.clusters, maxNames))+": "+escape(g.reason))
	}
	for _, problem := range OtherProblems(p.Problems, p.Failing).Group() {
		all = append(all, severity(problem.Problem)+escape(problem.String()))
	}
	return all
}

// clusterItems returns what becomes of clusters, one item a line.
func clusterItems(i *fleet.Impact) (all []string) {
	if i != nil {
		for _, line := range clusterLines(i) {
			all = append(all, escape(line.text))
		}
	}
	return all
}

// The reasons must leave room for the removals, which matter more than a hundredth
// reason.
const (
	maxReasons = 20
	maxReason  = 300 // characters
)

// list adds items and returns how many it left out.
func (c *comment) list(items []string) int {
	for i, item := range items {
		if i == maxReasons || !c.add("- "+item+"\n") {
			return len(items) - i
		}
	}
	if len(items) > 0 {
		c.WriteString("\n")
	}
	return 0
}

// groups adds the changes of each group, and says what did not fit.
func (c *comment) groups(groups []fleet.ImpactGroup) {
	for i, g := range groups {
		if c.group(g) {
			continue
		}
		clusters := 0
		for _, rest := range groups[i:] {
			clusters += len(rest.Clusters)
		}
		fmt.Fprintf(c, "_The comment has no room for the changes of %s. See all of them with_ `tributary diff -o json`_._\n", textfmt.Count(clusters, "more cluster"))
		return
	}
}

const (
	maxLines     = 200  // of one group
	aroundGroup  = 2048 // bytes, reserved for the text around the lines of a group
	detailsBlock = "<details><summary>%s: %s</summary>\n\n%sdiff\n%s\n%s\n\n</details>\n\n"
)

// group adds as many lines of a group as fit, and reports whether it added any.
func (c *comment) group(g fleet.ImpactGroup) bool {
	lines, longest, shown := []string{}, 2, 0
	room, all := maxComment-c.Len()-aroundGroup, effectLines(g)
	for i, line := range all {
		text := textfmt.Shorten(diffMark(line)+" "+line.text, maxReason)
		if room -= len(text) + 1; i == maxLines || room < 0 {
			lines = append(lines, "  and "+textfmt.Count(len(all)-i, "more line"))
			break
		}
		longest = max(longest, longestRun(text, '`'))
		lines, shown = append(lines, text), i+1
	}
	fence := strings.Repeat("`", longest+1)
	return len(all) == 0 || shown > 0 && c.add(fmt.Sprintf(detailsBlock, textfmt.Count(len(g.Clusters), "cluster"),
		code(textfmt.Shorten(textfmt.List(g.Clusters, maxNames), maxReason)), fence, strings.Join(lines, "\n"), fence))
}

// diffMark returns the mark that GitHub colours in a diff.
func diffMark(line effectLine) string {
	if line.mark == '~' {
		return "!"
	}
	return string(line.mark)
}

// longestRun returns the length of the longest run of a character in a text.
func longestRun(text string, of rune) (longest int) {
	run := 0
	for _, r := range text {
		if run++; r != of {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// code formats a name as code. It does not use backquotes, which a name could close.
func code(name string) string { return "<code>" + entities(name) + "</code>" }

// escape makes a text safe in a comment: it cannot form a link or a table, or mention a
// user. GitHub decodes entities before it looks for mentions, so an @ also gets a
// zero-width space.
func escape(text string) string {
	return strings.ReplaceAll(entities(text), "&#64;", "&#64;\u200b")
}

func entities(text string) string {
	var b strings.Builder
	for _, r := range textfmt.Shorten(textfmt.Visible(text), maxReason) {
		if r < 0x80 && strings.ContainsRune("&<>\"'`*_[](){}#!|~\\@:$^", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
