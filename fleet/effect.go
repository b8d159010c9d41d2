package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Impact is what a release or a write changes of what clusters are served.
type Impact struct {
	// Digest is sha256:<64 hex> of all the rest and of the release. A decision, and the
	// confirmation of a write, is of this impact and no other.
	Digest string `json:"digest"`
	// Clusters is how many it touches.
	Clusters int `json:"clusters"`
	// Added, Changed, Removed and Moved count inputs. One that moves is in another set
	// then: it is removed there and added here, and counted as Moved alone.
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
	Moved   int `json:"moved"`
	// Fields counts the fields that differ of inputs that are Changed.
	Fields int `json:"fields"`
	// Groups say all of it: clusters with the same changes are one group. Groups with the most removed
	// come first.
	Groups []ImpactGroup `json:"groups,omitempty"`
}

// ImpactGroup is what changes, in the same way, for some clusters.
type ImpactGroup struct {
	Clusters []string `json:"clusters"`
	// Changes are sorted by set and id.
	Changes []InputEffect `json:"changes"`
	// Vanished are sets that the clusters have no more, Emptied those left with no
	// input, and Orphaned the parts of deltas that stop to apply.
	Vanished []string `json:"vanished,omitempty"`
	Emptied  []string `json:"emptied,omitempty"`
	Orphaned []string `json:"orphaned,omitempty"`
}

// Effect is what becomes of an input.
type Effect string

// What may become of an input.
const (
	Added   Effect = "added"
	Changed Effect = "changed"
	Removed Effect = "removed"
	Moved   Effect = "moved"
)

// InputEffect is what becomes of one input.
type InputEffect struct {
	Set    string `json:"set"`
	ID     string `json:"id"`
	Effect Effect `json:"effect"`
	// To is the set that it moves to.
	To string `json:"to,omitempty"`
	// Fields are those that differ of a Changed one, sorted by path. In the impact that
	// a release keeps they have no values.
	Fields []FieldEffect `json:"fields,omitempty"`
}

// FieldEffect is one field that differs.
type FieldEffect struct {
	// Path is that of the field, such as values.replicaCount or subjects[0].name.
	Path string `json:"path"`
	// Before and After are its values, absent where there is none or they are not told.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Violation is something of the guard that is gone beyond.
type Violation struct {
	// Rule is the field of spec.guard: removedPerCluster, removedPerFleet,
	// failingClusters, allowEmptySets, allowVanishedSets or allowOrphanedParts.
	Rule string `json:"rule"`
	// Cluster is the first that has it, where it is of clusters.
	Cluster string `json:"cluster,omitempty"`
	// Message says what, how much, and what is allowed.
	Message string `json:"message"`
}

// Preview is what a snapshot would do if it were the next release.
type Preview struct {
	Revision string `json:"revision"`
	// Outcome is none, changes, held or failed: what would come of it. A release that
	// is good for some clusters is not failed.
	Outcome    string           `json:"outcome"`
	Impact     *Impact          `json:"impact"`
	Violations []Violation      `json:"violations,omitempty"`
	Failing    []FailingCluster `json:"failing,omitempty"`
	Problems   Problems         `json:"problems,omitempty"`
	// Waves are those that it would be rolled out in; empty for at once.
	Waves []WaveStatus `json:"waves,omitempty"`
}

// GuardError says that a write goes beyond the guard, or a decision is of another
// impact than there is now. It is an ErrGuarded.
type GuardError struct {
	Impact     *Impact
	Violations []Violation
}

func (e *GuardError) Error() string {
	text := ErrGuarded.Error()
	for _, v := range e.Violations {
		text += ": " + v.Message
	}
	return text
}

// Is makes errors.Is(e, ErrGuarded) true.
func (*GuardError) Is(target error) bool { return target == ErrGuarded }

// impactOf sums effects up.
func impactOf(all []memberEffect) *Impact {
	i := &Impact{Clusters: len(all)}
	groups := map[string]int{}
	var key []byte
	for _, e := range all {
		i.count(e.group.Changes)
		key = e.group.appendKey(key[:0])
		at, there := groups[string(key)]
		if !there {
			at = len(i.Groups)
			groups[string(key)] = at
			i.Groups = append(i.Groups, e.group)
		}
		i.Groups[at].Clusters = append(i.Groups[at].Clusters, e.cluster)
	}
	slices.SortStableFunc(i.Groups, func(a, b ImpactGroup) int {
		return cmp.Or(cmp.Compare(b.lost(), a.lost()), cmp.Compare(len(b.Clusters), len(a.Clusters)), cmp.Compare(a.Clusters[0], b.Clusters[0]))
	})
	return i
}

// appendKey appends what tells the group from others with other changes.
func (g *ImpactGroup) appendKey(b []byte) []byte {
	add := func(text string) { b = append(append(strconv.AppendInt(b, int64(len(text)), 10), ' '), text...) }
	for _, c := range g.Changes {
		add(c.Set)
		add(c.ID)
		add(string(c.Effect))
		add(c.To)
		b = append(strconv.AppendInt(b, int64(len(c.Fields)), 10), ' ')
		for _, f := range c.Fields {
			add(f.Path)
			add(string(f.Before))
			add(string(f.After))
		}
	}
	for _, names := range [][]string{g.Vanished, g.Emptied, g.Orphaned} {
		b = append(b, '|')
		for _, name := range names {
			add(name)
		}
	}
	return b
}

func (i *Impact) count(changes []InputEffect) {
	for _, c := range changes {
		switch c.Effect {
		case Added:
			i.Added++
		case Changed:
			i.Changed++
			i.Fields += len(c.Fields)
		case Removed:
			i.Removed++
		case Moved:
			i.Moved++
		}
	}
}

// lost is how many inputs each cluster of the group loses.
func (g *ImpactGroup) lost() (n int) {
	for _, c := range g.Changes {
		if c.Effect == Removed || c.Effect == Moved {
			n++
		}
	}
	return n
}

// seal gives the impact its digest: of all that it says, of the release that has it, if
// it is of one, and of who the release is not good for.
func (i *Impact) seal(release releaseKey, failing []FailingCluster) {
	i.Digest = ""
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", release.revision, release.snapshot, encode(i))
	for _, one := range failing {
		fmt.Fprintln(h, one.Cluster)
	}
	i.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// within tells whether all that an impact takes away, another takes away as well.
func (i *Impact) within(other *Impact) bool {
	if other == nil {
		return false
	}
	allowed := map[string]bool{}
	for _, g := range other.Groups {
		for _, loss := range g.lossNames() {
			for _, name := range g.Clusters {
				allowed[name+" "+loss] = true
			}
		}
	}
	for _, g := range i.Groups {
		for _, loss := range g.lossNames() {
			for _, name := range g.Clusters {
				if !allowed[name+" "+loss] {
					return false
				}
			}
		}
	}
	return true
}

// lossNames are all that each cluster of the group loses.
func (g *ImpactGroup) lossNames() []string {
	var names []string
	for _, c := range g.Changes {
		if c.Effect == Removed || c.Effect == Moved {
			names = append(names, "input "+c.Set+"/"+c.ID)
		}
	}
	for _, set := range slices.Concat(g.Vanished, g.Emptied) {
		names = append(names, "set "+set)
	}
	for _, part := range g.Orphaned {
		names = append(names, "part "+part)
	}
	return names
}

// losses says in a line what an impact takes away, of the first few groups.
func (i *Impact) losses(most int) string {
	var told []string
	for _, g := range i.Groups {
		var lost []string
		for _, e := range g.Changes {
			if e.Effect == Removed || e.Effect == Moved {
				lost = append(lost, e.Set+"/"+e.ID)
			}
		}
		if len(lost) == 0 {
			continue
		}
		if len(told) == most {
			told = append(told, "…")
			break
		}
		told = append(told, fmt.Sprintf("%s of %d clusters (%s)", strings.Join(lost, ", "), len(g.Clusters), abbreviated(g.Clusters, 3)))
	}
	return strings.Join(told, "; ")
}

// abbreviated are the first few of a list of names.
func abbreviated(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
