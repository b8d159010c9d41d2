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

// answer writes a set's answer to one cluster, and notes what keeps it from
// being served. n is the set's place in fleet.yaml.
func (r *Repo) answer(s *inputSet, st *stack, c fleet.Cluster, objects []*object, n int, identity []byte) (fleet.InputSet, fleet.Problems) {
	var members []member
	size := len(`{"inputs":[]}`)
	for _, o := range objects {
		if in := o.inputs[n]; in != nil {
			members = append(members, member{o, in})
			size += len(in.Head) + len(in.Tail) + len(identity) + len(`{,"cluster":,},`)
		}
	}
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.in.ID, b.in.ID) })
	problems := r.problemsOf(s, st, c, members)

	inputs := make([]*fleet.Input, len(members))
	body := append(make([]byte, 0, size), `{"inputs":[`...)
	for i, m := range members {
		if i > 0 {
			body = append(body, ',')
		}
		inputs[i], body = &m.in.Input, m.in.AppendTo(body, identity)
	}
	body = append(body, ']', '}')
	if len(body) > fleet.MaxBody {
		problems = append(problems, s.about(c, "has %d bytes, and the client takes at most %d; split the set by kind or selector", len(body), fleet.MaxBody))
	}
	return fleet.InputSet{Count: len(members), Inputs: inputs, JSON: body}, problems
}

func (r *Repo) problemsOf(s *inputSet, st *stack, c fleet.Cluster, members []member) fleet.Problems {
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
func (s *inputSet) about(c fleet.Cluster, format string, args ...any) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Cluster: c.Name,
		Message: fmt.Sprintf("input set %q ", s.Name) + fmt.Sprintf(format, args...)}
}

// fault is a problem of one object in the set: of the file it comes from, where
// it is shared by all clusters of the stack, so that it is told once; else of
// the cluster that changed or added it.
func (r *Repo) fault(s *inputSet, st *stack, c fleet.Cluster, o *object, f fault) fleet.Problem {
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
