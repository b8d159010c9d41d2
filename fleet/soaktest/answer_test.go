package soaktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// This is the half of the model that says what one cluster gets from one commit with
// some deltas. It has no YAML, no kustomize and no schema, but what the commits and
// deltas of this test can say.

// subject is a cluster as somebody declares it.
type subject struct {
	name   string
	labels map[string]string
	patch  objects
}

// got is what a cluster gets: by set and id the specs, and the parts of deltas that
// it goes without. A cluster that has faults gets nothing.
type got struct {
	sets    map[string]map[string]spec
	orphans []string
	faults  []string
	answers map[string]string // by set, as far as they were asked for
}

// ofOverlay are an environment's own objects.
func ofOverlay(environment string) objects {
	return objects{"App/" + environment + "-agent": {"tag": "v1", "replicas": 1}, "Job/" + environment + "-backup": {"tag": "v1"}}
}

// render is what a cluster gets from a commit, with deltas in their order.
func (c *commit) render(s subject, deltas []*fleet.Delta) got {
	o, faults := c.stack(s.labels)
	for object, patch := range s.patch {
		if _, there := o[object]; !there {
			faults = append(faults, "nothing to patch: "+object)
			continue
		}
		o[object] = merge(o[object], patch).(spec)
	}
	if len(faults) > 0 {
		return got{faults: faults}
	}
	o, orphans := c.withDeltas(o, deltas)
	if faults := c.faults(o); len(faults) > 0 {
		return got{faults: faults}
	}
	return got{sets: c.inSets(o), orphans: orphans}
}

// stack is what all clusters with the same labels share.
func (c *commit) stack(labels map[string]string) (objects, []string) {
	overlay, there := c.overlays[labels["environment"]]
	gold := labels["tier"] == "gold"
	switch {
	case c.unreadable:
		return nil, []string{"fleet.yaml is unreadable"}
	case !there:
		return nil, []string{"no overlay"}
	case gold && c.extras.broken:
		return nil, []string{"the component is broken"}
	}
	o := objects{}
	if !overlay.bare {
		maps.Copy(o, c.base)
		for object, tag := range overlay.tags {
			if _, there := o[object]; !there {
				return nil, []string{"nothing to tag: " + object}
			}
			o[object] = o[object].with("tag", tag)
		}
	}
	maps.Copy(o, ofOverlay(labels["environment"]))
	if gold {
		maps.Copy(o, c.extras.objects)
	}
	return o, nil
}

// withDeltas applies the parts of deltas: first all resources, then all edits. A part
// that cannot be applied, or makes a fault that there is none of without it, is left
// out.
func (c *commit) withDeltas(o objects, deltas []*fleet.Delta) (objects, []string) {
	var orphans []string
	try := func(part string, apply func(o objects) bool) {
		next := maps.Clone(o)
		if apply(next) && !slices.ContainsFunc(c.faults(next), func(f string) bool { return !slices.Contains(c.faults(o), f) }) {
			o = next
		} else {
			orphans = append(orphans, part)
		}
	}
	for _, d := range deltas {
		for i, text := range d.Resources {
			try(fmt.Sprintf("%s:resources[%d]", d.ID(), i), func(o objects) bool { return o.add(text) })
		}
	}
	for _, d := range deltas {
		for i, e := range d.Edits {
			try(fmt.Sprintf("%s:edits[%d]", d.ID(), i), func(o objects) bool { return o.edit(e) })
		}
	}
	slices.Sort(orphans)
	return o, orphans
}

func (o objects) add(text json.RawMessage) bool {
	var r struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     map[string]any
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return false
	}
	object := r.Kind + "/" + r.Metadata.Name
	_, taken := o[object]
	o[object] = r.Spec
	return !taken
}

func (o objects) edit(e fleet.Edit) bool {
	object := e.Kind + "/" + e.Name
	was, there := o[object]
	var patch map[string]any
	if err := json.Unmarshal(e.Patch, &patch); err != nil || !there {
		return false
	}
	delete(o, object)
	if patch != nil {
		o[object] = merge(was, patch["spec"]).(spec)
	}
	return true
}

// merge is RFC 7386.
func merge(target, patch any) any {
	changes, ok := asMap(patch)
	if !ok {
		return patch
	}
	old, _ := asMap(target)
	merged := spec{}
	maps.Copy(merged, old)
	for key, value := range changes {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = merge(merged[key], value)
		}
	}
	return merged
}

func asMap(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case spec:
		return v, true
	case map[string]any:
		return v, true
	}
	return nil, false
}

// faults are what is wrong with a cluster that has those objects.
func (c *commit) faults(o objects) []string {
	var faults []string
	for object, s := range o {
		if strings.HasPrefix(object, "App/") && c.sets["App"] != "" && exceeds(s["replicas"], 9) {
			faults = append(faults, "too many replicas: "+object)
		}
	}
	for set, inputs := range c.inSets(o) {
		if len(inputs) == 0 && set != c.sets["Note"] {
			faults = append(faults, "empty set: "+set)
		}
	}
	return faults
}

// exceeds tells whether a number, as Go or as JSON has it, is more than that.
func exceeds(v any, most int) bool {
	switch n := v.(type) {
	case int:
		return n > most
	case float64:
		return n > float64(most)
	}
	return false
}

// inSets are the objects as the sets have them.
func (c *commit) inSets(o objects) map[string]map[string]spec {
	sets := map[string]map[string]spec{}
	for kind, set := range c.sets {
		sets[set] = map[string]spec{}
		for object, s := range o {
			if name, is := strings.CutPrefix(object, kind+"/"); is {
				sets[set][name] = s
			}
		}
	}
	return sets
}

// answer is the bytes that a cluster is answered for a set; "" where it has none of
// that name.
func (g got) answer(s subject, set string) string {
	inputs, there := g.sets[set]
	if !there {
		return ""
	}
	who := (&fleet.Cluster{Name: s.name, Labels: s.labels, DNS: dnsOf(s.name)}).Identity()
	list := []any{}
	for _, id := range slices.Sorted(maps.Keys(inputs)) {
		list = append(list, inputs[id].with("id", id).with("cluster", who))
	}
	return encode(map[string]any{"inputs": list})
}
