package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/render"
)

// TestFleetRepoOfREADMEWorksAsTyped runs the shell block of the README's fleet repo in an
// empty directory and compares what it prints with the block that follows.
func TestFleetRepoOfREADMEWorksAsTyped(t *testing.T) {
	t.Parallel()
	script, output := shellBlock(t, "../../README.md", "\n## A fleet repo\n")
	got := runShell(t, t.TempDir(), script)
	want := strings.ReplaceAll(regexp.QuoteMeta(output), "…", ".*")
	if !regexp.MustCompile("^" + want + "$").MatchString(got) {
		t.Errorf("printed\n%s\nthe README shows\n%s", got, output)
	}
}

// TestFleetRepoOfTutorialWorksAsTyped runs the shell block of the tutorial and the commands
// that follow it, and looks for each line that the tutorial shows.
func TestFleetRepoOfTutorialWorksAsTyped(t *testing.T) {
	t.Parallel()
	script, output := shellBlock(t, "../../docs/tutorial/first-change.md", "\n## 1. Write a fleet repo\n")
	got := runShell(t, t.TempDir(), script+"tributary validate .\ntributary render . laptop\n")
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); !strings.Contains(line, "…") && !strings.Contains(got, line) {
			t.Errorf("the tutorial shows %q; printed\n%s", line, got)
		}
	}
}

// shellBlock returns the first shell block after a heading, and the block of output that
// follows it.
func shellBlock(t *testing.T, file, heading string) (script, output string) {
	t.Helper()
	_, section, _ := strings.Cut(readText(t, file), heading)
	blocks := strings.Split(section, "\n```")
	if len(blocks) < 4 || !strings.HasPrefix(blocks[1], "sh\n") {
		t.Fatalf("%s: no shell block and output after %q", file, heading)
	}
	return strings.TrimPrefix(blocks[1], "sh\n") + "\n", strings.TrimPrefix(blocks[3], "\n") + "\n"
}

// runShell runs a script in a directory and returns what it prints.
func runShell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-e")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(script)
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	return string(got)
}

// TestReferenceIsComplete compares the reference with the code: every metric, every route
// and every problem type is documented, and no other.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	api := readText(t, "../../server/openapi.yaml")
	errors := readText(t, "../../docs/reference/errors.md")
	for _, m := range regexp.MustCompile(`(?m)^ +- urn:tributary:problem:(\S+)$`).FindAllStringSubmatch(api, -1) {
		if !strings.Contains(errors, "| `"+m[1]+"` |") {
			t.Errorf("docs/reference/errors.md lacks the problem type %s", m[1])
		}
	}
	routes := readText(t, "../../docs/reference/api.md")
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := yaml.Unmarshal([]byte(api), &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if route := strings.ToUpper(method) + " " + path; item[method] != nil && !strings.Contains(routes, "| `"+route+"` |") {
				t.Errorf("docs/reference/api.md lacks the route %s", route)
			}
		}
	}
	inCode, inDocs := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(tributary_[a-z_]+)").FindAllStringSubmatch(readText(t, "../../docs/reference/metrics.md"), -1) {
		inDocs[m[1]] = true
	}
	name := regexp.MustCompile(`"(tributary_[a-z_]+)"`)
	walk(t, "../..", ".go", func(file, text string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			inCode[m[1]] = true
			if !inDocs[m[1]] {
				t.Errorf("docs/reference/metrics.md lacks the metric %s of %s", m[1], file)
			}
		}
	})
	for metric := range inDocs {
		if !inCode[metric] {
			t.Errorf("docs/reference/metrics.md has the metric %s, which does not exist", metric)
		}
	}
}

// TestPathsOfCONTRIBUTINGExist looks for each file and package that the page tells a newcomer
// to start in.
func TestPathsOfCONTRIBUTINGExist(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(readText(t, "../../CONTRIBUTING.md"), "| I want to |")
	table, _, _ = strings.Cut(table, "\n## ")
	paths := regexp.MustCompile("`([a-z]+/[a-z/._-]+)`").FindAllStringSubmatch(table, -1)
	if len(paths) < 20 {
		t.Fatalf("found %d paths, want more", len(paths))
	}
	for _, m := range paths {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Errorf("CONTRIBUTING.md names %s, which does not exist", m[1])
		}
	}
}

// TestLinksOfDocumentationResolve follows every relative link of every Markdown file, to
// the file and to the heading.
func TestLinksOfDocumentationResolve(t *testing.T) {
	t.Parallel()
	headings, links := map[string]map[string]bool{}, map[string][]string{}
	walk(t, "../..", ".md", func(file, text string) { headings[file], links[file] = headingsAndLinks(text) })
	for file, targets := range links {
		for _, target := range targets {
			u, err := url.Parse(target)
			if err != nil {
				t.Errorf("%s: %s: %v", file, target, err)
				continue
			}
			if u.IsAbs() {
				continue
			}
			to := file
			if u.Path != "" {
				to = filepath.Join(filepath.Dir(file), filepath.FromSlash(u.Path))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s: no such file", file, target)
			} else if u.Fragment != "" && !headings[to][u.Fragment] {
				t.Errorf("%s: %s: no such heading", file, target)
			}
		}
	}
}

var (
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// headingsAndLinks returns the anchors of the headings and the link targets of a Markdown
// file. Code has neither.
func headingsAndLinks(text string) (headings map[string]bool, links []string) {
	headings = map[string]bool{}
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if code || strings.HasPrefix(line, "    ") {
			continue
		}
		if title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && strings.HasPrefix(line, "#") {
			headings[anchor(title)] = true
		}
		for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
			links = append(links, m[1])
		}
	}
	return headings, links
}

// anchor returns the fragment that GitHub gives a heading.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(title))
}

// walk calls visit with every file of the repository that has the extension.
func walk(t *testing.T, root, ext string, visit func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(file) == ext && !d.IsDir() {
			visit(file, readText(t, file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPrintedResourceSetsWaitForTheirProviders checks each block of YAML in the documents,
// and the files of examples, for ResourceSets that do not wait for their providers.
func TestPrintedResourceSetsWaitForTheirProviders(t *testing.T) {
	t.Parallel()
	found, tree := 0, fstest.MapFS{}
	block := regexp.MustCompile("(?ms)^(?:```yaml|[^\n]*<<'?EOF'?)\n(.*?)^(?:```|EOF)$")
	walk(t, "../..", ".md", func(file, text string) {
		for i, m := range block.FindAllStringSubmatch(text, -1) {
			tree[fmt.Sprintf("%s-%d.yaml", strings.TrimPrefix(file, "../../"), i)] = &fstest.MapFile{Data: []byte(m[1])}
			found += strings.Count(m[1], "kind: ResourceSet\n")
		}
	})
	if problems := render.UnprotectedResourceSets(tree); len(problems) > 0 || found < 2 {
		t.Errorf("of %d ResourceSets in documents: %v", found, problems)
	}
	if problems := render.UnprotectedResourceSets(os.DirFS("../../examples")); len(problems) > 0 {
		t.Error(problems)
	}
}
