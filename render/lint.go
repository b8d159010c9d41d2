package render

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Lint returns warnings about what has no effect in a repo that Compile returned: overlays,
// components and schemas that nothing uses, patches and replacements that select nothing,
// selectors that match no cluster, labels that are probably misspelt, and variables that
// nothing substitutes. It is for checks by people and not for each release: it looks at
// everything once more.
func Lint(ctx context.Context, repo fleet.Repo) fleet.Problems {
	r, ok := repo.(*Repo)
	if !ok || !r.spec.Readable {
		return nil
	}
	l := linter{Repo: r}
	if roots := r.documents(fleetrepo.FleetFile); len(roots) > 0 {
		l.spec = yamltext.Child(roots[0], "spec")
	}
	l.unusedDirectories()
	l.unusedSchemas()
	l.idleTargets()
	for _, v := range l.vettings() {
		l.found = append(l.found, v.Ignored()...)
	}
	l.selectors()
	l.misspeltLabels()
	l.variables(ctx)
	return l.found.Sort()
}

type linter struct {
	*Repo
	spec  *yaml.Node // of fleet.yaml
	found fleet.Problems
}

func (l *linter) warn(file string, line int, field, format string, args ...any) {
	l.found = append(l.found, fleet.Problem{File: file, Line: line, Field: field, Message: fmt.Sprintf(format, args...), Warning: true})
}

// vettings returns the vettings of the stacks that were built, usually one.
func (l *linter) vettings() (all []*kustomize.Vetting) {
	for _, s := range l.stacks {
		if s != nil && !slices.Contains(all, s.vetting) {
			all = append(all, s.vetting)
		}
	}
	return all
}

// unusedDirectories warns of kustomizations that no cluster's stack leads to, where
// directories beside them are used. A fleet repo may also hold what is none of Tributary's
// business.
func (l *linter) unusedDirectories() {
	used, parents := map[string]bool{}, map[string]bool{}
	for _, v := range l.vettings() {
		for _, dir := range v.Directories() {
			used[dir], parents[path.Dir(dir)] = true, true
		}
	}
	for dir := range used {
		delete(parents, dir) // what is in a used directory belongs to it
	}
	delete(parents, ".")
	for parent := range parents {
		entries, err := fs.ReadDir(l.tree, parent)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			dir := path.Join(parent, entry.Name())
			file := kustomization(l.tree, dir)
			leadsToUsed := slices.ContainsFunc(slices.Collect(maps.Keys(used)), func(u string) bool { return strings.HasPrefix(u, dir+"/") })
			if entry.IsDir() && !used[dir] && !leadsToUsed && file != "" {
				l.warn(file, 1, "", "no cluster uses this kustomization, directly or through another one")
			}
		}
	}
}

func kustomization(tree fs.FS, dir string) string {
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if kustomize.IsKustomization(e.Name()) {
			return path.Join(dir, e.Name())
		}
	}
	return ""
}

// unusedSchemas warns of schemas that no input set names, beside those that one does.
func (l *linter) unusedSchemas() {
	read := l.usedSchemas()
	for _, dir := range slices.Sorted(maps.Keys(read)) {
		entries, err := fs.ReadDir(l.tree, dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if file := path.Join(dir, e.Name()); path.Ext(file) == ".json" && !slices.Contains(read[dir], file) {
				l.warn(file, 1, "", "no input set uses this schema, directly or through another one")
			}
		}
	}
}

// usedSchemas returns the schemas that were read, by directory.
func (l *linter) usedSchemas() map[string][]string {
	found := map[string][]string{}
	for _, file := range l.Repo.spec.Files() {
		if path.Ext(file) == ".json" {
			found[path.Dir(file)] = append(found[path.Dir(file)], file)
		}
	}
	return found
}

// idleTargets warns of patches and replacements that select no object in any stack. A part of
// an object's final name is enough to match, because a build also matches names as they were
// before prefixes and suffixes.
func (l *linter) idleTargets() {
	for _, v := range l.vettings() {
		for _, t := range v.Targets() {
			name, err := regexp.Compile(t.Selector.Name)
			if err != nil {
				continue // kustomize refuses it
			}
			matches := func(kind, object string) bool {
				return (t.Selector.Kind == "" || matchesWhole(t.Selector.Kind, kind)) && name.MatchString(object)
			}
			if !l.anyObject(matches) && !v.AnyObject(matches) {
				l.found = append(l.found, fleet.Problem{File: t.File, Line: t.Line, Field: t.Field, Warning: true,
					Message: "selects no object for any cluster" + l.hint(v, t.Selector)})
			}
		}
	}
}

// matchesWhole reports whether a pattern matches a whole text, as in kustomize's selectors.
func matchesWhole(pattern, text string) bool {
	matched, err := regexp.MatchString("^(?:"+pattern+")$", text)
	return err != nil || matched
}

func (l *linter) anyObject(matches func(kind, name string) bool) bool {
	for _, s := range l.stacks {
		if s != nil && slices.ContainsFunc(s.Objects, func(o *cache.Object) bool { return o != nil && matches(o.Kind, o.Name) }) {
			return true
		}
	}
	return false
}

// hint names the object that a target probably means.
func (l *linter) hint(v *kustomize.Vetting, target types.Selector) string {
	var names, kinds []string
	collect := func(kind, name string) bool {
		kinds = append(kinds, kind)
		if target.Kind == "" || target.Kind == kind {
			names = append(names, name)
		}
		return false
	}
	l.anyObject(collect)
	v.AnyObject(collect)
	if len(names) == 0 {
		return nearest.Hint(target.Kind, kinds)
	}
	return nearest.Hint(target.Name, names)
}

// selectors warns of rules and waves that match no cluster.
func (l *linter) selectors() {
	if len(l.clusters) == 0 {
		return
	}
	matchesAny := func(s *fleet.Selector) bool {
		compiled, err := s.Compile()
		return err != nil || slices.ContainsFunc(l.clusters, func(c *fleet.Cluster) bool { return compiled.Matches(labels.Set(c.Labels)) })
	}
	for i, rule := range l.Repo.spec.Rules {
		if rule.Selector != nil && !matchesAny(rule.Selector) {
			l.warnSpec("placement", i, "matches no cluster that has a file")
		}
	}
	for i, wave := range l.Repo.spec.Waves {
		if !matchesAny(&wave.Selector) {
			l.warnSpec("rollout.waves", i, "matches no cluster that has a file")
		}
	}
}

// warnSpec warns of the selector of an entry of a list in spec.
func (l *linter) warnSpec(list string, i int, message string) {
	at := l.spec
	for part := range strings.SplitSeq(list, ".") {
		at = yamltext.Child(at, part)
	}
	line := 0
	if at != nil && i < len(at.Content) {
		entry := at.Content[i]
		if line = entry.Line; yamltext.Child(entry, "selector") != nil {
			line = yamltext.Child(entry, "selector").Line
		}
	}
	l.warn(fleetrepo.FleetFile, line, fmt.Sprintf("spec.%s[%d].selector", list, i), "%s", message)
}

// misspeltLabels warns of labels of clusters that no selector mentions, and that differ by
// one letter from one that a selector does mention.
func (l *linter) misspeltLabels() {
	mentioned := map[string][]string{}
	mention := func(s *fleet.Selector) {
		for key, value := range s.MatchLabels {
			mentioned[key] = append(mentioned[key], value)
		}
		for _, e := range s.MatchExpressions {
			mentioned[e.Key] = append(mentioned[e.Key], e.Values...)
		}
	}
	for _, rule := range l.Repo.spec.Rules {
		if rule.Selector != nil {
			mention(rule.Selector)
		}
	}
	for i := range l.Repo.spec.Waves {
		mention(&l.Repo.spec.Waves[i].Selector)
	}
	warned := map[string]bool{}
	for _, c := range l.clusters {
		for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
			value := c.Labels[key]
			values, known := mentioned[key]
			near := ""
			if !known {
				if other := offByOne(key, slices.Sorted(maps.Keys(mentioned))); other != "" && c.Labels[other] == "" {
					near = "the label " + other
				}
			} else if !slices.Contains(values, value) && len(value) > 2 {
				near = offByOne(value, values)
			}
			if text := key + "=" + value; near != "" && !warned[text] {
				warned[text] = true
				l.warn(c.File, c.Line, "metadata.labels."+key, "%s matches no rule and no wave of fleet.yaml, which mention %s; is it misspelt?", text, near)
			}
		}
	}
}

func offByOne(word string, known []string) string {
	for _, other := range known {
		if levenshtein.ComputeDistance(word, other) == 1 {
			return other
		}
	}
	return ""
}

// variable is a variable as Flux's postBuild substitutes it.
var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(?::=[^}]*)?\}`)

// variables warns of variables in inputs, once for each.
func (l *linter) variables(ctx context.Context) {
	type place struct {
		stack  *stack
		object *cache.Object
	}
	first := map[string]*place{}
	for _, key := range slices.Sorted(maps.Keys(l.stacks)) {
		s := l.stacks[key]
		if s == nil {
			continue
		}
		for _, o := range s.Objects {
			for _, text := range variablesOf(o) {
				if first[text] == nil {
					first[text] = &place{stack: s, object: o}
				}
			}
		}
	}
	for _, text := range slices.Sorted(maps.Keys(first)) {
		p := first[text]
		file, line, spec := l.originOf(ctx, p.stack, p.object.ID, "spec")
		if at := scalarWith(spec, text); at != nil {
			line = at.Line
		}
		l.warn(file, line, "", "%s: %s is served as it is, because nothing substitutes it; use cluster.* in the template, or a patch", kustomize.Title(p.object.ID), text)
	}
}

// variablesOf returns the distinct variables in the inputs of an object.
func variablesOf(o *cache.Object) (found []string) {
	if o == nil {
		return nil
	}
	for _, in := range o.Inputs {
		if in != nil {
			for _, text := range slices.Concat(variable.FindAll(in.Head, -1), variable.FindAll(in.Tail, -1)) {
				found = append(found, string(text))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// scalarWith returns the first scalar at or below a node, which may be nil, that contains a text; nil for
// none.
func scalarWith(n *yaml.Node, text string) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.ScalarNode && strings.Contains(n.Value, text):
		return n
	}
	for _, child := range n.Content {
		if found := scalarWith(child, text); found != nil {
			return found
		}
	}
	return nil
}
