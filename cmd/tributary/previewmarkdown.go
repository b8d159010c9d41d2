package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// longestComment is what GitHub takes of a comment, in characters; of bytes there are
// no fewer, and some are left for the line that says what was left out.
const longestComment = 65_536 - 512

// comment is a comment of a pull request in the making.
type comment struct{ strings.Builder }

// fits adds a text, unless there is no room for it.
func (c *comment) fits(text string) bool {
	if c.Len()+len(text) > longestComment {
		return false
	}
	c.WriteString(text)
	return true
}

// printMarkdown prints a comment for a pull request: what would come of it, how much,
// and folded behind that, all as far as it fits.
func printMarkdown(w io.Writer, p *fleet.Preview) error {
	c := &comment{}
	fmt.Fprintf(c, "**Tributary:** %s %s\n\n", code(p.Revision), headline(p))
	if i := p.Impact; i != nil && i.Clusters > 0 {
		c.WriteString("| clusters | removed | moved | changed | fields | added |\n|--:|--:|--:|--:|--:|--:|\n")
		fmt.Fprintf(c, "| %d | %d | %d | %d | %d | %d |\n\n", i.Clusters, i.Removed, i.Moved, i.Changed, i.Fields, i.Added)
	}
	left := c.list(reasonItems(p))
	if left > 0 {
		fmt.Fprintf(c, "- and %s\n\n", count(left, "more reason"))
	}
	if p.Impact != nil {
		c.groups(p.Impact.Groups)
	}
	_, err := io.WriteString(w, c.String())
	return err
}

// reasonItems are what the first look must not miss.
func reasonItems(p *fleet.Preview) (all []string) {
	for _, v := range p.Violations {
		all = append(all, "guard, "+code(v.Rule)+": "+escaped(v.Message))
	}
	for _, g := range sharedReasons(p.Failing) {
		all = append(all, "fails for "+code(some(g.clusters, mostNames))+": "+escaped(g.reason))
	}
	for _, problem := range unsaid(p.Problems, p.Failing) {
		kind := "fault: "
		if problem.Warning {
			kind = "warning: "
		}
		all = append(all, kind+escaped(problem.String()))
	}
	return all
}

// mostReasons leaves room for what is lost, which counts more than its hundredth
// reason; and longestReason is how much is shown of one, in characters.
const mostReasons, longestReason = 20, 300

// list adds items, and returns how many were left out.
func (c *comment) list(items []string) int {
	for i, item := range items {
		if i == mostReasons || !c.fits("- "+item+"\n") {
			return len(items) - i
		}
	}
	if len(items) > 0 {
		c.WriteString("\n")
	}
	return 0
}

// groups adds what happens to clusters, group by group, and says what did not fit.
func (c *comment) groups(groups []fleet.ImpactGroup) {
	for at, g := range groups {
		if c.group(g) {
			continue
		}
		clusters := 0
		for _, rest := range groups[at:] {
			clusters += len(rest.Clusters)
		}
		fmt.Fprintf(c, "_Left out, because a comment has no room for it: what changes for %s. All of it is in_ `tributary diff -o json`_._\n", count(clusters, "more cluster"))
		return
	}
}

// mostLines is how many lines of one group are shown, and aroundLines how much room is
// left for what stands around them, in bytes.
const mostLines, aroundLines = 200, 2048

// group adds as many lines of a group as there is room for, and tells whether it is any.
func (c *comment) group(g fleet.ImpactGroup) bool {
	lines, longest, shown := []string{}, 2, 0
	room, all := longestComment-c.Len()-aroundLines, effectLines(g)
	for i, line := range all {
		text := shortened(diffMark(line)+" "+line.text, longestReason)
		if room -= len(text) + 1; i == mostLines || room < 0 {
			lines = append(lines, "  and "+count(len(all)-i, "more line"))
			break
		}
		longest = max(longest, longestRun(text, '`'))
		lines, shown = append(lines, text), i+1
	}
	fence := strings.Repeat("`", longest+1)
	return len(all) == 0 || shown > 0 && c.fits(fmt.Sprintf("<details><summary>%s: %s</summary>\n\n%sdiff\n%s\n%s\n\n</details>\n\n",
		count(len(g.Clusters), "cluster"), code(shortened(some(g.Clusters, mostNames), longestReason)), fence, strings.Join(lines, "\n"), fence))
}

// diffMark is the mark as GitHub colours it.
func diffMark(line effectLine) string {
	if line.mark == '~' {
		return "!"
	}
	return string(line.mark)
}

// longestRun is how often a character stands in a row at most.
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

// code is a name in a comment. It is no code span, which could be ended from within.
func code(name string) string { return "<code>" + entities(name) + "</code>" }

// escaped is a text that does nothing in a comment but to be read: what others wrote
// must neither make up a link or a table, nor call somebody by name, for which
// entities are read first.
func escaped(text string) string {
	return strings.ReplaceAll(entities(text), "&#64;", "&#64;\u200b")
}

func entities(text string) string {
	var b strings.Builder
	for _, r := range shortened(visible(text), longestReason) {
		if r < 0x80 && strings.ContainsRune("&<>\"'`*_[](){}#!|~\\@:$^", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
