package fleetrepo

import (
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/schema"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// FleetFile is the file at the root of a fleet repo that Spec is read from.
const FleetFile = "fleet.yaml"

const (
	apiVersion = "tributary/v1alpha1"
	// manualGate is the only kind of gate.
	manualGate = "manual"
	// maxSeparator limits idSeparator.
	maxSeparator = 3
	// maxWaves limits the waves of a rollout: every cluster is matched against all.
	maxWaves = 100
	dnsLabel = "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63"
)

// Spec is fleet.yaml with the schemas that it names. It is immutable. Revisions that read
// the same have the same Spec, so inputs that were made by it remain valid.
type Spec struct {
	// Readable is false where fleet.yaml is missing or not YAML. Then everything but
	// Problems is empty.
	Readable bool
	Sets     []*InputSet
	Rules    []Rule
	Guard    fleet.Guard
	Waves    []fleet.WaveRule
	// CommitURL is the template of a commit's URL; empty for none.
	CommitURL string
	// Providers say how often the providers of clusters poll.
	Providers []fleet.ProviderRule
	Problems  fleet.Problems
	// FailsAll reports that a problem concerns the whole fleet. Directories that are
	// missing concern only the clusters that are placed on them.
	FailsAll bool
	// Missing has the directories that rules name and the tree does not have.
	Missing map[string]fleet.Problem
	// Named has the file, line and field of the first rule that names each directory.
	Named map[Place]fleet.Problem
	// Misplaces is a fault that may keep rules from matching clusters; nil for none.
	Misplaces *fleet.Problem

	read *cache.Recorder
}

// InputSet is an entry of spec.inputs: which objects it selects, and how each becomes an
// input.
type InputSet struct {
	Name         string            `json:"name"`
	APIVersion   string            `json:"apiVersion"`
	Kind         string            `json:"kind"`
	Selector     *fleet.Selector   `json:"selector"`
	ID           pathList          `json:"id"`
	IDSeparator  string            `json:"idSeparator"`
	Fields       map[string]string `json:"fields"`
	Defaults     anyValues         `json:"defaults"`
	Schema       string            `json:"schema"`
	AllowEmpty   bool              `json:"allowEmpty"`
	AllowSecrets bool              `json:"allowSecrets"`

	// Line is the line in fleet.yaml.
	Line int
	// IDPaths and FieldPaths are ID and Fields, parsed. FieldPaths is nil for a set that
	// takes the whole spec of each object.
	IDPaths    []FieldPath
	FieldPaths map[string]FieldPath

	selector labels.Selector
	schema   *schema.Schema // nil if the set has none
}

// Selects reports whether an object belongs to the set.
func (s *InputSet) Selects(o *kustomize.Object) bool {
	return (s.Kind == "" || s.Kind == o.Kind) &&
		(s.APIVersion == "" || s.APIVersion == o.APIVersion) &&
		(s.selector == nil || s.selector.Matches(o.Metadata("labels")))
}

// Validate holds the fields of an input against the set's schema and calls fault with the
// path and the message of each violation. spent is what the other sets of the same object
// took, as [schema.Schema.Validate] counts it, and the result what they took together.
func (s *InputSet) Validate(input map[string]any, spent int, fault func(path, message string)) int {
	if s.schema == nil {
		return spent
	}
	return s.schema.Validate(input, spent, fault)
}

// Rule is an entry of spec.placement.
type Rule struct {
	Selector   *fleet.Selector `json:"selector"`
	Overlay    string          `json:"overlay"`
	Components []string        `json:"components"`

	selector labels.Selector
	missing  []missingDirectory
}

// Matches reports whether the rule is for clusters with those labels.
func (r *Rule) Matches(set map[string]string) bool {
	return r.selector != nil && r.selector.Matches(labels.Set(set))
}

type missingDirectory struct {
	dir     string
	problem fleet.Problem
}

// ReadSpec reads fleet.yaml. earlier is the Spec of another revision, which it returns if
// that would read the same; nil for none.
func ReadSpec(tree fs.FS, earlier *Spec) *Spec {
	if earlier != nil && earlier.read.Matches(tree) {
		return earlier
	}
	s := &Spec{read: cache.NewRecorder(tree), Guard: fleet.DefaultGuard(), FailsAll: true, Missing: map[string]fleet.Problem{}, Named: map[Place]fleet.Problem{}}
	d, doc, problems := readFleet(s.read)
	if s.Problems = problems; doc != nil {
		s.fill(d, doc)
	}
	s.read.Release()
	return s
}

// Files returns the files that the Spec was read from: fleet.yaml, and the schemas.
func (s *Spec) Files() []string { return s.read.Files() }

func (s *Spec) fill(d *document, doc *fleetDocument) {
	s.Readable, s.Rules, s.Guard = true, doc.Spec.Placement, doc.Spec.Guard.guard()
	s.CommitURL = doc.Spec.Source.CommitURL
	for i := range doc.Spec.Inputs {
		if !d.isFaulty(FieldIndex("spec.inputs", i)) { // what objects lack may follow from that
			s.Sets = append(s.Sets, &doc.Spec.Inputs[i])
		}
	}
	s.Providers = doc.providers
	for i := range doc.Spec.Rollout.Waves {
		s.Waves = append(s.Waves, doc.Spec.Rollout.Waves[i].rule())
	}
	faults := len(s.Problems.Faults())
	for i, rule := range s.Rules {
		for _, m := range rule.missing {
			s.Missing[m.dir] = m.problem
		}
		faults -= len(rule.missing)
		at := FieldIndex("spec.placement", i)
		s.name(d, at+".overlay", Place{Dir: rule.Overlay})
		for j, c := range rule.Components {
			s.name(d, FieldIndex(at+".components", j), Place{Dir: c, Component: true})
		}
	}
	missing := slices.Collect(maps.Values(s.Missing))
	for _, p := range s.Problems.Faults() {
		ofRules := len(s.Rules) == 0 || strings.HasPrefix(p.Field, "spec.placement") && !slices.Contains(missing, p)
		if ofRules && s.Misplaces == nil {
			s.Misplaces = &p
		}
	}
	// Beyond the limit not all problems are known, so nothing is known about the rest.
	s.FailsAll = faults > 0 || len(s.Problems) >= yamltext.MaxProblems
}

// Place is a directory as an overlay or as a component.
type Place struct {
	Dir       string
	Component bool
}

// Overlays returns the overlays of all rules.
func (s *Spec) Overlays() (all []string) {
	for _, rule := range s.Rules {
		all = append(all, rule.Overlay)
	}
	return all
}

func (s *Spec) name(d *document, field string, p Place) {
	if _, known := s.Named[p]; !known && p.Dir != "" {
		s.Named[p] = fleet.Problem{File: FleetFile, Line: d.line(field), Field: field}
	}
}

// LabelMeant returns the label of a rule that has an overlay that a label of a cluster is
// probably meant to be; "" for none.
func (s *Spec) LabelMeant(key, value string) string {
	for _, rule := range s.Rules {
		if rule.Overlay == "" || rule.Selector == nil {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(rule.Selector.MatchLabels)) {
			v := rule.Selector.MatchLabels[k]
			_, sameKey := nearest.Name(key, []string{k})
			if _, sameValue := nearest.Name(value, []string{v}); sameKey && sameValue {
				return k + "=" + v
			}
		}
	}
	return ""
}

type fleetDocument struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Source struct {
			CommitURL string `json:"commitURL"`
		} `json:"source"`
		Inputs    []InputSet `json:"inputs"`
		Placement []Rule     `json:"placement"`
		Guard     guard      `json:"guard"`
		Rollout   struct {
			Waves []wave `json:"waves"`
		} `json:"rollout"`
		Providers []providerRule `json:"providers"`
	} `json:"spec"`

	providers []fleet.ProviderRule
}

// guard is spec.guard, the document form of fleet.Guard.
type guard struct {
	RemovedPerCluster fleet.Limit `json:"removedPerCluster"`
	RemovedPerFleet   fleet.Limit `json:"removedPerFleet"`
	RemovedEverywhere fleet.Limit `json:"removedEverywhere"`
	Protected         protections `json:"protected"`
	OrphanedClusters  fleet.Limit `json:"orphanedClusters"`
	FailingClusters   fleet.Limit `json:"failingClusters"`
	Window            duration    `json:"window"`
	ApproveByTrailer  bool        `json:"approveByTrailer"`
	AllowEmptySets    bool        `json:"allowEmptySets"`
	AllowVanishedSets bool        `json:"allowVanishedSets"`
	AllowStaleParts   bool        `json:"allowOrphanedParts"`
	AllowReownedNames bool        `json:"allowReownedNames"`
}

func guardDocument(g fleet.Guard) guard {
	return guard{
		g.RemovedPerCluster, g.RemovedPerFleet, g.RemovedEverywhere, g.Protected, g.OrphanedClusters, g.FailingClusters,
		duration(g.Window), g.ApproveByTrailer, g.AllowEmptySets, g.AllowVanishedSets, g.AllowStaleParts, g.AllowReownedNames,
	}
}

func (g guard) guard() fleet.Guard {
	return fleet.Guard{
		RemovedPerCluster: g.RemovedPerCluster, RemovedPerFleet: g.RemovedPerFleet, RemovedEverywhere: g.RemovedEverywhere,
		Protected: g.Protected, OrphanedClusters: g.OrphanedClusters, FailingClusters: g.FailingClusters,
		Window: time.Duration(g.Window), ApproveByTrailer: g.ApproveByTrailer,
		AllowEmptySets: g.AllowEmptySets, AllowVanishedSets: g.AllowVanishedSets, AllowStaleParts: g.AllowStaleParts, AllowReownedNames: g.AllowReownedNames,
	}
}

func (g *guard) check(d *document) {
	for i, p := range g.Protected {
		if p == (fleet.Protection{}) {
			d.problem(FieldIndex("spec.guard.protected", i), "must have set, id, apiVersion, kind, namespace or name; to protect nothing, write protected: []")
		}
	}
	if time.Duration(g.Window) > fleet.MaxWindow {
		d.problem("spec.guard.window", "must be at most %.0fh; 0 turns it off", fleet.MaxWindow.Hours())
	}
}

// protections are what the guard protects. A list replaces the default one.
type protections []fleet.Protection

func (v *protections) decodeNode(d *document, path string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	list := []fleet.Protection{}
	d.decodeValue(path, n, reflect.ValueOf(&list).Elem())
	*v = list
}

// wave is an entry of spec.rollout.waves, the document form of fleet.WaveRule.
type wave struct {
	Name     string          `json:"name"`
	Selector *fleet.Selector `json:"selector"`
	Soak     duration        `json:"soak"`
	Gate     string          `json:"gate"`
	Polled   percent         `json:"polled"`
}

// pathList is one field path or a list of them.
type pathList []string

func (p *pathList) decodeNode(d *document, path string, n *yaml.Node) {
	var list []string
	if n.Kind == yaml.ScalarNode {
		list = []string{n.Value}
	} else if err := n.Decode(&list); err != nil {
		d.problem(path, "must be a field path or a list of field paths, is %s", describe(n))
	}
	*p = list
}

// anyValues are keys and values that the author chooses.
type anyValues map[string]any

func (v *anyValues) decodeNode(d *document, path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, is %s", describe(n))
		return
	}
	var err error
	if *v, err = yamltext.ValueOf(n); err != nil {
		d.problem(path, "%v", err)
	}
}

// duration is a time span in Go's form.
type duration time.Duration

func (v *duration) decodeNode(d *document, path string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	span, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || span < 0 {
		d.problem(path, "must be a duration such as 10m or 1h30m, is %s", describe(n))
	}
	*v = duration(span)
}

// percent is a share from 1 to 100, with or without the sign; 0 if it is not set.
type percent int

func (v *percent) decodeNode(d *document, path string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	share, err := strconv.Atoi(strings.TrimSuffix(n.Value, "%"))
	if n.Kind != yaml.ScalarNode || err != nil || share < 1 || share > 100 {
		d.problem(path, "must be a share from 1 to 100 per cent, such as 90 or 90%%, is %s", describe(n))
	}
	*v = percent(share)
}

// readFleet returns nil if nothing can be made of the file.
func readFleet(tree fs.FS) (*document, *fleetDocument, fleet.Problems) {
	data, err := kustomize.ReadFile(tree, FleetFile)
	if err != nil {
		return nil, nil, fleet.Problems{kustomize.UnreadableFile(FleetFile, err, adviceOnFleetFile(tree))}
	}
	docs, problems := parseDocuments(FleetFile, data)
	switch {
	case problems != nil:
		return nil, nil, problems
	case len(docs) == 0:
		return nil, nil, fleet.Problems{{File: FleetFile, Line: 1, Message: "is empty; it needs apiVersion: " + apiVersion + ", kind: Fleet, metadata.name and spec"}}
	case len(docs) > 1:
		return nil, nil, fleet.Problems{{File: FleetFile, Line: docs[1].root.Line, Message: "is a second document, and there must be one; merge them"}}
	}
	d, f := docs[0], &fleetDocument{}
	f.Spec.Guard = guardDocument(fleet.DefaultGuard()) // for fields that the file does not set
	d.decode(f)
	f.check(d, tree)
	return d, f, d.problems
}

// adviceOnFleetFile says what to do where there is no fleet.yaml.
func adviceOnFleetFile(tree fs.FS) string {
	others, _ := fs.Glob(tree, "*/"+FleetFile) // the pattern is valid
	for _, name := range append([]string{"fleet.yml", "Fleet.yaml", "fleets.yaml"}, others...) {
		if _, err := fs.Stat(tree, name); err != nil {
			continue
		}
		if dir := path.Dir(name); dir != "." {
			return "there is one in " + dir + "/: use that directory as the source"
		}
		return "rename " + name
	}
	return "a fleet repo has this file at its root, with apiVersion: " + apiVersion + " and kind: Fleet"
}

func (f *fleetDocument) check(d *document, tree fs.FS) {
	d.checkType(f.APIVersion, f.Kind, "Fleet")
	if f.Metadata.Name == "" {
		d.problem("metadata.name", "must name the fleet")
	}
	if len(f.Spec.Inputs) == 0 {
		d.problem("spec.inputs", "must have at least one input set, or there is nothing to serve")
	}
	seen, schemas := map[string]bool{}, schema.NewLoader(tree)
	for i := range f.Spec.Inputs {
		set, path := &f.Spec.Inputs[i], FieldIndex("spec.inputs", i)
		set.check(d, path, schemas)
		if seen[set.Name] {
			d.problem(path+".name", "an input set named %q exists already; each needs its own name", set.Name)
		}
		seen[set.Name] = true
	}
	for i := range f.Spec.Placement {
		r, path := &f.Spec.Placement[i], FieldIndex("spec.placement", i)
		if r.Selector == nil { // a rule that has lost its selector must not place every cluster
			d.problem(path+".selector", "must say which clusters the rule is for; {} means all")
		} else {
			r.selector = compileSelector(d, path+".selector", *r.Selector)
		}
		if r.Overlay == "" && len(r.Components) == 0 {
			d.problem(path, "must name an overlay, components, or both")
		}
		r.missing = checkPlacement(d, path, tree, &r.Overlay, r.Components)
	}
	checkCommitURL(d, f.Spec.Source.CommitURL)
	f.Spec.Guard.check(d)
	checkWaves(d, "spec.rollout.waves", f.Spec.Rollout.Waves)
	for i := range f.Spec.Providers {
		f.providers = append(f.providers, f.Spec.Providers[i].compile(d, FieldIndex("spec.providers", i)))
	}
}

// checkCommitURL notes where the template of a commit's URL is none.
func checkCommitURL(d *document, template string) {
	if template == "" {
		return
	}
	u, err := url.Parse(strings.ReplaceAll(template, fleet.CommitPlaceholder, "0"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || !strings.Contains(template, fleet.CommitPlaceholder) {
		d.problem("spec.source.commitURL", "must be an https URL with %[1]s for the commit, such as https://github.com/acme/fleet/commit/%[1]s", fleet.CommitPlaceholder)
	}
}

// checkType notes where a document is not of a kind that Tributary defines.
func (d *document) checkType(version, kind, want string) {
	if version != apiVersion {
		d.problem("apiVersion", "must be %s", apiVersion)
	}
	if kind != want {
		d.problem("kind", "must be %s", want)
	}
}

func (s *InputSet) check(d *document, path string, schemas *schema.Loader) {
	s.Line = d.line(path)
	if !isDNSLabel(s.Name) {
		d.problem(path+".name", "%q must be a DNS-1123 label, because it is part of the set's URL", s.Name)
	}
	if s.Kind == "" && s.Selector == nil {
		d.problem(path+".kind", "must select objects by kind, by selector, or both")
	}
	if s.Kind == "" && len(s.ID) == 0 {
		d.problem(path+".id", "is required for a set of several kinds, for example [kind, metadata.namespace, metadata.name]")
	}
	if s.Selector != nil {
		s.selector = compileSelector(d, path+".selector", *s.Selector)
	}
	if len(s.ID) == 0 {
		s.ID = pathList{"metadata.name"}
	}
	if s.IDSeparator == "" {
		s.IDSeparator = "-"
	}
	if len(strings.Trim(s.IDSeparator, "-._/:")) > 0 || len(s.IDSeparator) > maxSeparator {
		d.problem(path+".idSeparator", "%q must be one to three of the characters - . _ / :", s.IDSeparator)
	}
	for i, text := range s.ID {
		s.IDPaths = append(s.IDPaths, parsePath(d, FieldIndex(path+".id", i), text))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Fields)) {
		checkReserved(d, path+".fields", key)
		if s.FieldPaths == nil {
			s.FieldPaths = map[string]FieldPath{}
		}
		s.FieldPaths[key] = parsePath(d, path+".fields."+key, s.Fields[key])
	}
	for _, key := range slices.Sorted(maps.Keys(s.Defaults)) {
		checkReserved(d, path+".defaults", key)
	}
	if s.Schema != "" {
		var err error
		var at *schema.FileError
		switch s.schema, err = schemas.Load(s.Schema); {
		case errors.As(err, &at):
			d.problems = append(d.problems, fleet.Problem{File: at.File, Line: at.Line, Column: at.Column, Field: at.Field, Message: at.Message})
		case err != nil:
			d.problem(path+".schema", "%v", err)
		}
	}
}

// ReservedKeys are the keys of an input that its author cannot set: Tributary sets two of
// them, and Flux Operator overwrites the third.
var ReservedKeys = []string{"cluster", "id", "provider"}

func checkReserved(d *document, path, key string) {
	if slices.Contains(ReservedKeys, key) {
		d.problem(path+"."+key, "is reserved; give the field another name")
	}
}

// checkPlacement cleans the directories of an overlay and components. It notes and
// returns those that do not exist.
func checkPlacement(d *document, path string, tree fs.FS, overlay *string, components []string) (missing []missingDirectory) {
	check := func(field string, dir *string) {
		before := len(d.problems)
		clean, wrong := kustomize.Directory(tree, *dir)
		if *dir = clean; wrong != "" {
			d.problem(field, "%s", wrong)
		}
		for _, p := range d.problems[before:] {
			missing = append(missing, missingDirectory{clean, p})
		}
	}
	if *overlay != "" {
		check(path+".overlay", overlay)
	}
	for i := range components {
		check(FieldIndex(path+".components", i), &components[i])
	}
	return missing
}

func compileSelector(d *document, path string, s fleet.Selector) labels.Selector {
	compiled, err := s.Compile()
	if err != nil {
		d.problem(path, "%v", err)
		return labels.Nothing()
	}
	return compiled
}

func checkWaves(d *document, path string, waves []wave) {
	if n := len(waves); n > maxWaves {
		d.problem(path, "has %d waves; a rollout may have at most %d", n, maxWaves)
		return
	}
	for i := range waves {
		w, at := &waves[i], FieldIndex(path, i)
		if !isDNSLabel(w.Name) {
			d.problem(at+".name", dnsLabel, w.Name)
		}
		if w.Selector == nil { // an author who forgot it would not expect the canary to be the whole fleet
			d.problem(at+".selector", "must say which clusters the wave has; {} means all that are left")
		} else {
			compileSelector(d, at+".selector", *w.Selector)
		}
		if w.Gate != "" && w.Gate != manualGate {
			d.problem(at+".gate", "%q must be %s, or absent", w.Gate, manualGate)
		}
		if slices.ContainsFunc(waves[:i], func(earlier wave) bool { return earlier.Name == w.Name }) {
			d.problem(at+".name", "a wave named %q exists already; each needs its own name", w.Name)
		}
		if first := slices.IndexFunc(waves[:i], w.isWithin); first >= 0 {
			d.warning(at+".selector", "no cluster is left for this wave: %s takes all that it selects", FieldIndex(path, first))
		}
	}
}

// isWithin reports whether an earlier wave certainly takes all clusters of this one.
func (w *wave) isWithin(earlier wave) bool {
	if w.Selector == nil || earlier.Selector == nil {
		return false
	}
	everything := len(earlier.Selector.MatchLabels)+len(earlier.Selector.MatchExpressions) == 0
	return everything || reflect.DeepEqual(w.Selector, earlier.Selector)
}

func (w *wave) rule() fleet.WaveRule {
	out := fleet.WaveRule{Name: w.Name, Soak: time.Duration(w.Soak), Manual: w.Gate == manualGate, Polled: int(w.Polled)}
	if w.Selector != nil {
		out.Selector = *w.Selector
	}
	if out.Polled == 0 {
		out.Polled = fleet.DefaultPolled
	}
	return out
}

func isDNSLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }
