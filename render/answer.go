package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// member is an object with its input in one set.
type member struct {
	*object
	in *input
}

// answers makes the answer of every set, and notes what keeps one from being served. One
// that is as it was before is the earlier one, compressed form and all.
func (w *work) answers(objects []*object) (map[string]*fleet.Body, fleet.Problems) {
	identity, err := w.identity()
	if err != nil {
		return nil, fleet.Problems{at(w.cluster, "metadata", err)}
	}
	var problems fleet.Problems
	answers, same := make(map[string]*fleet.Body, len(w.repo.sets)), true
	for n, s := range w.repo.sets {
		inputs, found := w.inputs(s, n, objects)
		problems = append(problems, found...)
		body := w.before.answer(s.Name)
		if !body.Is(inputs, identity) {
			body, same = fleet.NewAnswer(inputs, identity), false
		}
		if body.Size() > fleet.MaxBody {
			problems = append(problems, s.about(w.cluster, "has %d bytes, and the client takes at most %d; split the set by kind or selector", body.Size(), fleet.MaxBody))
		}
		answers[s.Name] = body
	}
	if same && w.before != nil {
		answers = w.before.answers // for memory
	}
	w.made.identity, w.made.answers = identity, answers
	return answers, problems
}

// identity is the cluster's, as JSON.
func (w *work) identity() ([]byte, error) {
	if w.before != nil && w.before.cluster.SameIdentity(w.cluster) {
		return w.before.identity, nil
	}
	return encode(w.cluster.Identity())
}

func (m *made) answer(set string) *fleet.Body {
	if m == nil {
		return nil
	}
	return m.answers[set]
}

// inputs are those of one set, sorted by id. They are the stack's own slice where no
// object of the set is another, and else the stack's order holds as long as the ids do.
func (w *work) inputs(s *inputSet, n int, objects []*object) ([]*fleet.Input, fleet.Problems) {
	shared := w.stack.answers[n]
	if shared.sound && len(objects) == len(w.stack.objects) {
		if inputs, ok := shared.with(n, w.stack.objects, objects); ok {
			return inputs, shared.warnings
		}
	}
	members := membersOf(n, objects)
	return inputsOf(members), w.repo.problemsOf(s, w.stack, w.cluster, members)
}

// answer is what a stack gives to one set.
type answer struct {
	places   []int // of objects, among the inputs; -1 for none
	inputs   []*fleet.Input
	warnings fleet.Problems
	// sound tells that there is nothing else to tell of it, whichever cluster has it.
	sound bool
}

// answer computes the stack's own answer to the set at a place.
func (r *Repo) answer(s *inputSet, n int, st *stack) *answer {
	members := membersOf(n, st.objects)
	a := &answer{inputs: inputsOf(members), places: make([]int, len(st.objects))}
	for i, o := range st.objects {
		a.places[i] = slices.IndexFunc(members, func(m member) bool { return m.object == o })
	}
	faulty := slices.ContainsFunc(members, func(m member) bool { return len(m.in.faults) > 0 })
	if faulty || len(members) > fleet.MaxInputs || len(members) == 0 && !s.AllowEmpty {
		return a // whose fault it is depends on the cluster
	}
	a.warnings = slices.Clip(r.problemsOf(s, st, &fleet.Cluster{}, members))
	a.sound = len(a.warnings.Faults()) == 0
	return a
}

// with is the answer with other objects in the place of some. It returns false where more
// is another than what the inputs say.
func (a *answer) with(n int, from, to []*object) ([]*fleet.Input, bool) {
	inputs := a.inputs
	for i, o := range to {
		old := from[i]
		if o == old {
			continue
		}
		was, is := old.inputs[n], o.inputs[n]
		if was == nil && is == nil {
			continue
		}
		if was == nil || is == nil || was.ID != is.ID || len(is.faults) > 0 || !slices.Equal(was.keys, is.keys) {
			return nil, false
		}
		if &inputs[0] == &a.inputs[0] {
			inputs = slices.Clone(inputs)
		}
		inputs[a.places[i]] = &is.Input
	}
	return inputs, true
}

func membersOf(n int, objects []*object) []member {
	var members []member
	for _, o := range objects {
		if in := o.inputs[n]; in != nil {
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

func (r *Repo) problemsOf(s *inputSet, st *stack, c *fleet.Cluster, members []member) fleet.Problems {
	var problems fleet.Problems
	if len(members) == 0 && !s.AllowEmpty {
		problems = append(problems, s.about(c, "is empty, which tells Flux to delete all that it made from it; give the cluster an object of the set, or set allowEmpty: true on it"))
	}
	if len(members) > fleet.MaxInputs {
		problems = append(problems, s.about(c, "has %d inputs, and the client takes at most %d; split the set by kind or selector", len(members), fleet.MaxInputs))
	}
	for i, m := range members {
		for _, f := range m.in.faults {
			problems = append(problems, r.fault(s, st, c, m.object, f))
		}
		if i == 0 {
			continue
		}
		before := members[i-1]
		if len(m.in.faults)+len(before.in.faults) > 0 {
			continue // the rest may follow from them
		}
		if m.in.ID == before.in.ID {
			problems = append(problems, r.fault(s, st, c, m.object, fault{message: fmt.Sprintf(
				"has the id %q, as %s %s has; set id in fleet.yaml to paths that tell them apart, such as [kind, metadata.namespace, metadata.name]",
				m.in.ID, before.APIVersion, title(before.id))}))
		}
		if !slices.Equal(m.in.keys, before.in.keys) {
			problems = append(problems, s.uneven(before.in, m.in))
		}
	}
	return problems
}

// about is a problem of the set on one cluster.
func (s *inputSet) about(c *fleet.Cluster, format string, args ...any) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Cluster: c.Name,
		Message: fmt.Sprintf("input set %q ", s.Name) + fmt.Sprintf(format, args...)}
}

// fault is a problem of one object in the set: of the file it comes from, where
// it is shared by all clusters of the stack, so that it is told once; else of
// the cluster that changed or added it.
func (r *Repo) fault(s *inputSet, st *stack, c *fleet.Cluster, o *object, f fault) fleet.Problem {
	p := fleet.Problem{File: c.File, Line: c.Line, Cluster: c.Name, Field: f.path}
	if slices.Contains(st.objects, o) {
		p.Cluster = ""
		p.File, p.Line = r.originOf(st, o.id, f.path)
	}
	p.Message = fmt.Sprintf("%s in input set %q: %s", title(o.id), s.Name, f.message)
	return p
}

// uneven warns that two inputs of the set have different keys.
func (s *inputSet) uneven(a, b *input) fleet.Problem {
	var differ []string
	for _, key := range slices.Concat(a.keys, b.keys) {
		if slices.Contains(a.keys, key) != slices.Contains(b.keys, key) {
			differ = append(differ, key)
		}
	}
	return fleet.Problem{File: fleetFile, Line: s.line, Warning: true, Message: fmt.Sprintf(
		"inputs %q and %q of set %q differ in their keys (%s): a template that names one stops at the input without it; give it a value in defaults",
		a.ID, b.ID, s.Name, strings.Join(differ, ", "))}
}
