package render

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// answers returns the answer to a poll of each set, and what keeps it from being served.
// An answer that has not changed is the earlier one, with its compressed form.
func (j *renderJob) answers(objects []*cache.Object) (map[string]*fleet.Answer, fleet.Problems) {
	identity, err := j.identity()
	if err != nil {
		return nil, fleet.Problems{clusterProblem(j.cluster, "metadata", err)}
	}
	var problems fleet.Problems
	answers, unchanged := make(map[string]*fleet.Answer, len(j.repo.sets)), true
	for i, s := range j.repo.sets {
		inputs, found := j.inputs(s, i, objects)
		problems = append(problems, found...)
		body := j.earlier.answer(s.Name)
		if !body.Is(inputs, identity) {
			body, unchanged = fleet.NewAnswer(inputs, identity), false
		}
		if body.Size() > fleet.MaxBody {
			problems = append(problems, setProblem(s, j.cluster, "has %d bytes, and Flux Operator accepts at most %d; split the set by kind or selector", body.Size(), fleet.MaxBody))
		}
		answers[s.Name] = body
	}
	if unchanged && j.earlier != nil {
		answers = j.earlier.answers // saves memory
	}
	j.current.identity, j.current.answers = identity, answers
	return answers, problems
}

// identity returns the cluster's identity as JSON.
func (j *renderJob) identity() ([]byte, error) {
	if j.earlier != nil && j.earlier.cluster.SameIdentity(j.cluster) {
		return j.earlier.identity, nil
	}
	return yamltext.EncodeJSON(j.cluster.Identity())
}

// inputs returns the inputs of the set at an index, sorted by id. They are the stack's
// own slice if no object of the set differs, and keep the stack's order as long as the
// ids are the same.
func (j *renderJob) inputs(s *fleetrepo.InputSet, index int, objects []*cache.Object) ([]*fleet.Input, fleet.Problems) {
	shared := j.stack.answers[index]
	if shared.valid && len(objects) == len(j.stack.Objects) {
		if inputs, ok := shared.replace(index, j.stack.Objects, objects); ok {
			return inputs, shared.warnings
		}
	}
	members := membersOf(index, objects)
	return inputsOf(members), j.repo.memberProblems(j.ctx, s, j.stack, j.cluster, members)
}

// answer is what the objects of a stack give to one set.
type answer struct {
	positions []int // among the inputs, by index of the object; -1 for none
	inputs    []*fleet.Input
	warnings  fleet.Problems
	// valid reports that there are no problems except the warnings, whichever cluster has
	// the answer.
	valid bool
}

// answer returns a stack's answer to the set at an index.
func (r *Repo) answer(ctx context.Context, s *fleetrepo.InputSet, index int, st *stack) *answer {
	members := membersOf(index, st.Objects)
	a := &answer{inputs: inputsOf(members), positions: make([]int, len(st.Objects))}
	for i, o := range st.Objects {
		a.positions[i] = slices.IndexFunc(members, func(m member) bool { return m.Object == o })
	}
	faulty := slices.ContainsFunc(members, func(m member) bool { return len(m.in.Faults) > 0 })
	if faulty || len(members) > fleet.MaxInputs || len(members) == 0 && !s.AllowEmpty {
		return a // the problem names the cluster
	}
	a.warnings = slices.Clip(r.memberProblems(ctx, s, st, &fleet.Cluster{}, members))
	a.valid = len(a.warnings.Faults()) == 0
	return a
}

// replace returns the inputs with some objects replaced. It returns false if that changes
// more than what the inputs say.
func (a *answer) replace(index int, from, to []*cache.Object) ([]*fleet.Input, bool) {
	inputs := a.inputs
	for i, o := range to {
		if o == from[i] {
			continue
		}
		was, is := from[i].Inputs[index], o.Inputs[index]
		if was == nil && is == nil {
			continue
		}
		if was == nil || is == nil || was.ID != is.ID || len(is.Faults) > 0 || !slices.Equal(was.Keys, is.Keys) {
			return nil, false
		}
		if &inputs[0] == &a.inputs[0] {
			inputs = slices.Clone(inputs)
		}
		inputs[a.positions[i]] = &is.Input
	}
	return inputs, true
}

// member is an object with its input in one set.
type member struct {
	*cache.Object
	in *cache.Input
}

func membersOf(index int, objects []*cache.Object) []member {
	var members []member
	for _, o := range objects {
		if in := o.Inputs[index]; in != nil {
			members = append(members, member{o, in})
		}
	}
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.in.ID, b.in.ID) })
	return members
}

func inputsOf(members []member) []*fleet.Input {
	inputs := make([]*fleet.Input, len(members))
	for i, m := range members {
		inputs[i] = &m.in.Input
	}
	return inputs
}

func (r *Repo) memberProblems(ctx context.Context, s *fleetrepo.InputSet, st *stack, c *fleet.Cluster, members []member) fleet.Problems {
	var problems fleet.Problems
	switch {
	case len(members) > 0 || s.AllowEmpty:
	case len(membersOf(slices.Index(r.sets, s), st.Objects)) == 0: // whatever clusters are placed there
		problems = append(problems, fleet.Problem{File: cmp.Or(kustomization(r.tree, st.placement.Overlay), st.placement.Overlay), Line: 1, Message: fmt.Sprintf(
			"input set %q is empty for clusters that are placed here, which makes Flux delete everything that it made from the set; add an object of the set, or set allowEmpty: true on it", s.Name)})
	default:
		problems = append(problems, setProblem(s, c, "is empty, which makes Flux delete everything that it made from the set; give the cluster an object of the set, or set allowEmpty: true on it"))
	}
	if len(members) > fleet.MaxInputs {
		problems = append(problems, setProblem(s, c, "has %d inputs, and Flux Operator accepts at most %d; split the set by kind or selector", len(members), fleet.MaxInputs))
	}
	for i, m := range members {
		for _, f := range m.in.Faults {
			problems = append(problems, r.objectProblem(ctx, s, st, c, m.Object, f))
		}
		if i == 0 {
			continue
		}
		before := members[i-1]
		if len(m.in.Faults)+len(before.in.Faults) > 0 {
			continue // other problems may follow from them
		}
		if m.in.ID == before.in.ID {
			problems = append(problems, r.objectProblem(ctx, s, st, c, m.Object, cache.Fault{Message: fmt.Sprintf(
				"has the same id %q as %s %s; %s", m.in.ID, before.APIVersion, kustomize.Title(before.ID), adviceOnID(s, before.Object, m.Object))}))
		}
		if !slices.Equal(m.in.Keys, before.in.Keys) {
			problems = append(problems, differentKeys(s, before.in, m.in))
		}
	}
	return problems
}

// adviceOnID says how fleet.yaml can give two objects of a set different ids.
func adviceOnID(s *fleetrepo.InputSet, a, b *cache.Object) string {
	differ := func(s fleetrepo.InputSet) bool {
		return (&inputBuilder{set: &s, object: &a.Object, in: &cache.Input{}}).id() != (&inputBuilder{set: &s, object: &b.Object, in: &cache.Input{}}).id()
	}
	longer := *s
	longer.IDPaths = []fleetrepo.FieldPath{{"kind"}, {"metadata", "namespace"}, {"metadata", "name"}}
	if differ(longer) {
		return "set id in fleet.yaml to paths that distinguish them, such as [kind, metadata.namespace, metadata.name]"
	}
	for _, separator := range []string{".", "--", "/"} {
		other := *s
		if other.IDSeparator = separator; differ(other) {
			return fmt.Sprintf("set idSeparator: %q on the input set in fleet.yaml", separator)
		}
		if longer.IDSeparator = separator; differ(longer) {
			return fmt.Sprintf("set id: [kind, metadata.namespace, metadata.name] and idSeparator: %q on the input set in fleet.yaml", separator)
		}
	}
	return "set id in fleet.yaml to a path in which they differ"
}

// setProblem is a problem of a set on one cluster.
func setProblem(s *fleetrepo.InputSet, c *fleet.Cluster, format string, args ...any) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Cluster: c.Name,
		Message: fmt.Sprintf("input set %q ", s.Name) + fmt.Sprintf(format, args...)}
}

// objectProblem is a problem of one object in the set. If all clusters of the stack share
// the object, it is a problem of the object's file, so that it is reported once, and
// otherwise of the cluster that changed or added the object.
func (r *Repo) objectProblem(ctx context.Context, s *fleetrepo.InputSet, st *stack, c *fleet.Cluster, o *cache.Object, f cache.Fault) fleet.Problem {
	p := fleet.Problem{File: c.File, Line: c.Line, Cluster: c.Name, Field: f.Path}
	if slices.Contains(st.Objects, o) {
		var written *yaml.Node
		p.Cluster = ""
		p.File, p.Line, written = r.causeOf(ctx, st, o, f.Path)
		f.Message = quoteAsWritten(f.Message, yamltext.ValueAt(o.Values(), partsOfPath(f.Path)), written)
	} else if line := r.ownLine(c, o, f.Path); line > 0 {
		p.Line = line
	}
	p.Message = fmt.Sprintf("%s in input set %q: %s", kustomize.Title(o.ID), s.Name, f.Message)
	return p
}

// differentKeys warns that two inputs of the set have different keys.
func differentKeys(s *fleetrepo.InputSet, a, b *cache.Input) fleet.Problem {
	var differ []string
	for _, key := range slices.Concat(a.Keys, b.Keys) {
		if slices.Contains(a.Keys, key) != slices.Contains(b.Keys, key) {
			differ = append(differ, key)
		}
	}
	return fleet.Problem{File: fleetrepo.FleetFile, Line: s.Line, Warning: true, Message: fmt.Sprintf(
		"inputs %q and %q of set %q have different keys (%s), and a template that uses one fails on the input without it; give it a value in defaults",
		a.ID, b.ID, s.Name, strings.Join(differ, ", "))}
}

// quoteAsWritten replaces a value that a message quotes by what is written in the file, such as
// 1.50 or 0x1F for a number.
func quoteAsWritten(message string, value any, written *yaml.Node) string {
	text, isScalar := yamltext.ScalarText(value)
	if written == nil || !isScalar || written.Value == text {
		return message
	}
	if _, isText := value.(string); isText {
		return strings.Replace(message, strconv.Quote(text), strconv.Quote(written.Value), 1)
	}
	return strings.Replace(message, ", is "+text, ", is "+written.Value, 1)
}

// causeOf returns the file and line that a field of an object of the stack has its value from,
// and its node there: those of the object itself or, where these say something else, of the
// last patch that mentions the field, without the node.
func (r *Repo) causeOf(ctx context.Context, s *stack, o *cache.Object, field string) (file string, line int, written *yaml.Node) {
	file, line, n := r.originOf(ctx, s, o.ID, field)
	if n != nil && isSource(n, yamltext.ValueAt(o.Values(), partsOfPath(field))) {
		return file, line, n
	}
	if patch, at := s.vetting.Mention(s.placement, o.ID, lastKey(field)); patch != "" {
		return patch, at, nil
	}
	return file, line, nil
}

// isSource reports whether a value is what kustomize makes of a node.
func isSource(n *yaml.Node, value any) bool {
	text, isScalar := yamltext.ScalarText(value)
	if !isScalar || n.Value == text {
		return true
	}
	was, errWas := strconv.ParseFloat(text, 64)
	if _, isText := value.(string); isText {
		return n.ShortTag() == "!!str" && errWas == nil // a patch that replaces quoted text by a number makes text
	}
	var is float64
	return errWas == nil && n.Decode(&is) == nil && is == was
}

// ownLine returns the line of the cluster's file that an object of its own has a field from, or
// that the last patch which mentions the field has it in; 0 where that is unknown.
func (r *Repo) ownLine(c *fleet.Cluster, o *cache.Object, field string) (line int) {
	for _, root := range r.documents(c.File) {
		spec := yamltext.Child(root, "spec")
		if root.Line != c.Line || c.File == "" {
			continue
		}
		if list := yamltext.Child(spec, "resources"); list != nil {
			for _, n := range list.Content {
				if likeness(n, o.ID) > 0 {
					line, _ = follow(n, field)
				}
			}
		}
		if list := yamltext.Child(spec, "patches"); list != nil {
			for _, n := range list.Content {
				text := yamltext.Child(n, "patch")
				if text == nil {
					continue
				}
				if at := kustomize.LineThatMentions(text.Value, lastKey(field)); at > 0 {
					line = kustomize.LineWithin(text, at)
				}
			}
		}
	}
	return line
}

// lastKey returns the last key of a field path, without indexes.
func lastKey(field string) string {
	parts := partsOfPath(field)
	for i := len(parts) - 1; i >= 0; i-- {
		if _, err := strconv.Atoi(parts[i]); err != nil {
			return parts[i]
		}
	}
	return ""
}

func partsOfPath(field string) []string {
	return strings.FieldsFunc(field, func(c rune) bool { return c == '.' || c == '[' || c == ']' })
}

// follow returns the line of a field within a document, or of the nearest one around it. The
// node is that of the field; nil if it is not there.
func follow(at *yaml.Node, field string) (line int, n *yaml.Node) {
	line = at.Line
	for _, part := range partsOfPath(field) {
		for at.Kind == yaml.AliasNode {
			at = at.Alias
		}
		i, err := strconv.Atoi(part)
		switch {
		case at.Kind == yaml.SequenceNode && err == nil && i < len(at.Content):
			at = at.Content[i]
			line = at.Line
		case yamltext.Child(at, part) != nil:
			for k := 0; k+1 < len(at.Content); k += 2 {
				if at.Content[k].Value == part {
					line, at = at.Content[k].Line, at.Content[k+1]
					break
				}
			}
		default:
			return line, nil
		}
	}
	return line, at
}

// originOf returns the file in the tree that an object of the stack comes from and, as
// far as it can be found, the line and the node of a field. Origins take another build, so
// they are only looked up for a problem.
func (r *Repo) originOf(ctx context.Context, s *stack, id resid.ResId, field string) (file string, line int, n *yaml.Node) {
	s.origins.Lock()
	if s.files == nil && ctx.Err() == nil {
		if files := kustomize.Origins(ctx, kustomize.StackFiles(s.vetting, s.placement, "originAnnotations")); ctx.Err() == nil {
			s.files = files
		}
	}
	file, known := s.files[id.String()]
	s.origins.Unlock()
	if !known {
		return s.placement.Overlay, 0, nil
	}
	var best *yaml.Node
	most := 0
	for _, root := range r.documents(file) {
		if likeness := likeness(root, id); likeness > most {
			best, most = root, likeness
		}
	}
	if best == nil {
		return file, 0, nil
	}
	line, n = follow(best, field)
	return file, line, n
}

// likeness says how much a document looks like the source of an object; 0 where it cannot
// be. A build may have added a prefix and a suffix to the name, and set the namespace.
func likeness(root *yaml.Node, id resid.ResId) int {
	metadata, kind := yamltext.Child(root, "metadata"), yamltext.Child(root, "kind")
	name, namespace := yamltext.Child(metadata, "name"), yamltext.Child(metadata, "namespace")
	if kind == nil || name == nil || kind.Value != id.Kind || !strings.Contains(id.Name, name.Value) {
		return 0
	}
	points := 1 + 4*len(name.Value) // the longest name counts most
	if namespace != nil && namespace.Value == id.Namespace || namespace == nil && id.Namespace == "" {
		points += 2
	}
	if version := yamltext.Child(root, "apiVersion"); version != nil && version.Value == id.ApiVersion() {
		points++
	}
	return points
}

// documents returns the documents of a file. They are kept, because a problem of one
// object is a problem of every cluster that has it.
func (r *Repo) documents(file string) []*yaml.Node {
	if known, ok := r.roots.Load(file); ok {
		return known.([]*yaml.Node)
	}
	var roots []*yaml.Node
	if data, err := kustomize.ReadFile(r.tree, file); err == nil {
		dec := yaml.NewDecoder(bytes.NewReader(data))
		for {
			var doc yaml.Node
			if dec.Decode(&doc) != nil {
				break
			}
			roots = append(roots, doc.Content[0])
		}
	}
	r.roots.Store(file, roots)
	return roots
}
