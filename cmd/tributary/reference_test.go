package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/usage"
)

var update = flag.Bool("update", false, "write the generated files")

// TestReferenceOfCommandsIsCurrent compares the reference page with the commands. With
// -update it writes the page.
func TestReferenceOfCommandsIsCurrent(t *testing.T) {
	t.Parallel()
	const file = "../../docs/reference/cli.md"
	page := referencePage(newRoot())
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page {
		t.Errorf("%s does not match the commands; run make reference", file)
	}
}

// referencePage returns the page of a root command.
func referencePage(root *cobra.Command) string {
	var p pageWriter
	p.add("# Command line\n\n")
	p.add("<!-- Generated from the commands by `make reference`. Do not edit. -->\n\n")
	p.paragraphs(root.Long)
	p.add("`%s COMMAND --help` prints the section of a command, and `%[1]s --version` prints the version.\n"+
		"`%[1]s completion --help` says how a shell completes commands, flags, and the names that the server knows.\n\n", root.Name())
	p.add("A command that is stopped by a signal ends with the exit status of a failure, except `serve`, which ends with 0.\n\n")
	p.add("## Server flags\n\n%s\n\n", usage.ServerHelp)
	get, _, _ := root.Find([]string{"get"})
	p.flagTable(get, usage.IsServer)
	p.add("| command | purpose |\n|---|---|\n")
	commands := runnableCommands(root)
	for _, c := range commands {
		p.add("| [`%s`](#%s) | %s |\n", c.CommandPath(), commandAnchor(c), tableCell(c.Short))
	}
	p.add("\n")
	for _, c := range commands {
		p.command(c)
	}
	page := strings.ReplaceAll(p.String(), ":"+root.Version+"`", ":VERSION`") // in the default of an image
	return strings.TrimSpace(page) + "\n"
}

// runnableCommands returns the commands without subcommands, depth first.
func runnableCommands(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		switch {
		case sub.Hidden || sub.Name() == "help" || sub.Name() == "completion":
		case sub.HasSubCommands():
			all = append(all, runnableCommands(sub)...)
		default:
			all = append(all, sub)
		}
	}
	return all
}

// commandAnchor returns the anchor that GitHub gives to the heading of a command.
func commandAnchor(c *cobra.Command) string {
	return strings.ReplaceAll(c.CommandPath(), " ", "-")
}

type pageWriter struct{ strings.Builder }

func (p *pageWriter) add(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

func (p *pageWriter) command(c *cobra.Command) {
	p.add("## %s\n\n", c.CommandPath())
	p.add("%s.\n\n", escapeCell(c.Short))
	p.code(synopsis(c))
	p.paragraphs(c.Long)
	p.flags(c)
	examples, status := splitExamples(c.Example)
	if examples != "" {
		p.add("Examples:\n\n")
		p.code(examples)
	}
	p.paragraphs(status)
}

// synopsis returns a usage line for each form of the command. Forms are separated by
// ", or " in its Use.
func synopsis(c *cobra.Command) string {
	var lines []string
	parent := c.Parent().CommandPath()
	for use := range strings.SplitSeq(c.Use, ", or ") {
		lines = append(lines, parent+" "+use+" [flags]")
	}
	return strings.Join(lines, "\n")
}

func (p *pageWriter) code(text string) {
	p.add("```\n%s\n```\n\n", text)
}

// paragraphs writes a help text. Paragraphs that are indented become code.
func (p *pageWriter) paragraphs(text string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		switch {
		case part == "":
		case strings.HasPrefix(part, "  "):
			p.code(unindent(part))
		default:
			p.add("%s\n\n", escapeCell(part))
		}
	}
}

// flags writes a table of the command's flags, including those that it inherits.
func (p *pageWriter) flags(c *cobra.Command) {
	p.flagTable(c, func(f *pflag.Flag) bool { return !usage.IsServer(f) })
	if f := c.Flag("server"); f != nil && usage.IsServer(f) {
		p.add("And the [server flags](#server-flags).\n\n")
	}
}

// flagTable writes a table of those flags of a command that match.
func (p *pageWriter) flagTable(c *cobra.Command, matches func(*pflag.Flag) bool) {
	p.add("| flag | default | meaning |\n|---|---|---|\n")
	row := func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || !matches(f) {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if known := kinds[kind]; known != "" {
			kind = known
		}
		name = strings.TrimSpace(name + " " + kind)
		value := f.DefValue
		if value == "[]" || value == "false" || value == "0" && strings.Contains(usage, "default") {
			value = ""
		}
		if value != "" {
			value = "`" + value + "`"
		}
		p.add("| `%s` | %s | %s |\n", name, tableCell(value), tableCell(usage))
	}
	c.NonInheritedFlags().VisitAll(row)
	c.InheritedFlags().VisitAll(row)
	p.add("\n")
}

// kinds replaces pflag's names for types that a reader does not know.
var kinds = map[string]string{"stringToString": "key=value,…", "stringArray": "string", "float": "number"}

// splitExamples splits the examples of a command, which are indented, from the prose that
// follows them.
func splitExamples(text string) (examples, status string) {
	examples, status, _ = strings.Cut(text, "\n\n")
	return unindent(examples), status
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// escapeCell escapes what Markdown would take for markup in prose.
func escapeCell(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(text)
}

// tableCell escapes prose for a table.
func tableCell(text string) string { return strings.ReplaceAll(escapeCell(text), "|", `\|`) }
