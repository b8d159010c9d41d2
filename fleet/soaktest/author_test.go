package soaktest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// author makes one commit after another, from a random number generator alone.
type author struct {
	*rand.Rand
	commits int // made so far
	names   int // of clusters, objects and tags that were never used before
	gone    map[string]file
	// declared are the labels of clusters that the API came to declare.
	declared map[string]map[string]string
}

// change is one thing that a commit may do. It returns what it did, "" for nothing.
type change struct {
	weight int
	do     func(a *author, c *commit) string
}

var changes = []change{
	{14, (*author).tag}, {8, (*author).tagEnvironment}, {12, (*author).addObject}, {5, (*author).removeObject},
	{6, (*author).addClusters}, {5, (*author).loseClusters}, {5, (*author).bringBack}, {3, (*author).adopt}, {8, (*author).relabel},
	{8, (*author).patchCluster}, {4, (*author).patchTooMuch}, {4, (*author).patchNothing}, {5, (*author).breakFiles},
	{3, (*author).breakExtras}, {3, (*author).breakFleet}, {3, (*author).breakBase},
	{5, (*author).shrinkExtras}, {3, (*author).shrinkBase}, {3, (*author).renameSet}, {3, (*author).dropSet}, {3, (*author).bare},
	{4, (*author).toggleNotes}, {6, (*author).moveGuard}, {7, (*author).moveWaves},
}

// next is a commit on top of another, and what it does.
func (a *author) next(before *commit) (*commit, string) {
	c := before.clone()
	var did []string
	if a.IntN(10) < 7 {
		c.mend()
		did = append(did, "mend")
	}
	for len(did) < 2 {
		if what := a.change()(a, c); what != "" {
			did = append(did, what)
		} else if a.IntN(4) == 0 {
			break
		}
	}
	a.commits++
	c.revision = fmt.Sprintf("main@sha1:%040x", a.commits)
	return c, strings.Join(did, ", ")
}

func (a *author) change() func(a *author, c *commit) string {
	total := 0
	for _, one := range changes {
		total += one.weight
	}
	at := a.IntN(total)
	for _, one := range changes {
		if at -= one.weight; at < 0 {
			return one.do
		}
	}
	panic("weights do not add up")
}

// pick chooses a key of a map; "" of an empty one.
func pick[V any](r *rand.Rand, m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(m))[r.IntN(len(m))]
}

func (a *author) fresh(what string) string {
	a.names++
	return fmt.Sprintf("%s%d", what, a.names)
}

func (a *author) tag(c *commit) string {
	object := pick(a.Rand, c.base)
	if strings.HasPrefix(object, "Note/") {
		return ""
	}
	c.base[object] = c.base[object].with("tag", a.fresh("v"))
	return "tag " + object
}

func (a *author) tagEnvironment(c *commit) string {
	environment, object := pick(a.Rand, c.overlays), pick(a.Rand, c.base)
	if strings.HasPrefix(object, "Note/") {
		return ""
	}
	c.overlays[environment].tags[object] = a.fresh("v")
	return "tag " + object + " in " + environment
}

func (a *author) addObject(c *commit) string {
	name := a.fresh([]string{"App/app", "Job/job", "Note/note"}[a.IntN(3)])
	if strings.HasPrefix(name, "Note/") {
		c.base[name] = spec{"text": name}
	} else {
		c.base[name] = spec{"tag": "v1", "replicas": 1 + a.IntN(3)}
	}
	return "add " + name
}

// removeObject leaves patches of clusters, but not those of overlays, hitting nothing.
func (a *author) removeObject(c *commit) string {
	object := pick(a.Rand, c.base)
	c.drop(object)
	return "remove " + object
}

// drop takes an object away, unless it is one of the last: to kustomize a
// kustomization.yaml without anything in it is a fault of its own.
func (c *commit) drop(object string) {
	if len(c.base) < 4 {
		return
	}
	delete(c.base, object)
	for _, o := range c.overlays {
		delete(o.tags, object)
	}
}

func (a *author) addClusters(c *commit) string {
	if len(c.clusters) > 220 {
		return ""
	}
	var names []string
	for range 1 + a.IntN(3) {
		name := a.fresh("c")
		c.clusters[name] = file{labels: a.labels(name), broken: a.IntN(4) == 0}
		names = append(names, name)
	}
	return "add " + strings.Join(names, " ")
}

// labels are random ones. Some clusters are of no wave but the last, ever: the crowd
// may have those polled when it likes.
func (a *author) labels(name string) map[string]string {
	l := map[string]string{"environment": environments[a.IntN(3)]}
	if a.IntN(3) == 0 {
		l["tier"] = "gold"
	}
	if ring := []string{"", "", "", "", "canary", "early"}[a.IntN(6)]; ring != "" && !isIdle(name) {
		l["ring"] = ring
	}
	return l
}

// isIdle tells it of c2, c20 to c29 and c200 and more.
func isIdle(name string) bool { return strings.HasPrefix(name, "c2") }

func (a *author) loseClusters(c *commit) string {
	var names []string
	for range 1 + a.IntN(3) {
		name := pick(a.Rand, c.clusters)
		if name == "" || len(c.clusters) < 180 {
			break
		}
		a.gone[name] = c.clusters[name]
		delete(c.clusters, name)
		names = append(names, name)
	}
	if names == nil {
		return ""
	}
	return "lose " + strings.Join(names, " ")
}

func (a *author) bringBack(c *commit) string {
	name := pick(a.Rand, a.gone)
	if _, there := c.clusters[name]; name == "" || there {
		return ""
	}
	c.clusters[name] = a.gone[name]
	delete(a.gone, name)
	return "bring back " + name
}

// adopt adds the file of a cluster that the API declares.
func (a *author) adopt(c *commit) string {
	name := pick(a.Rand, a.declared)
	if _, there := c.clusters[name]; name == "" || there {
		return ""
	}
	f := file{labels: a.declared[name]}
	if a.IntN(3) == 0 {
		f.labels = a.labels(name)
	}
	if a.IntN(2) == 0 {
		f.patch = objects{pick(a.Rand, c.base): {"replicas": 1 + a.IntN(12)}}
	}
	c.clusters[name] = f
	return "adopt " + name
}

func (a *author) relabel(c *commit) string {
	name := pick(a.Rand, c.clusters)
	f := c.clusters[name]
	f.labels = a.labels(name)
	c.clusters[name] = f
	return "relabel " + name
}

func (a *author) patched(c *commit, object string, patch spec) string {
	name := pick(a.Rand, c.clusters)
	f := c.clusters[name]
	if f.patch = maps.Clone(f.patch); f.patch == nil {
		f.patch = objects{}
	}
	f.patch[object] = patch
	c.clusters[name] = f
	return fmt.Sprintf("patch %s of %s", object, name)
}

func (a *author) anApp(c *commit) string {
	apps := maps.Clone(c.base)
	maps.DeleteFunc(apps, func(object string, _ spec) bool { return !strings.HasPrefix(object, "App/") })
	return pick(a.Rand, apps)
}

func (a *author) patchCluster(c *commit) string {
	object := a.anApp(c)
	if object == "" {
		return ""
	}
	return a.patched(c, object, spec{"replicas": 2 + a.IntN(7), "env": map[string]any{"b": nil, "c": a.fresh("x")}})
}

func (a *author) patchTooMuch(c *commit) string {
	object := a.anApp(c)
	if object == "" {
		return ""
	}
	return "too much: " + a.patched(c, object, spec{"replicas": tooMany})
}

func (a *author) patchNothing(c *commit) string {
	return "nothing: " + a.patched(c, "App/nothing", spec{"replicas": 1})
}

// breakFiles breaks so many that the guard lets it pass, or not.
func (a *author) breakFiles(c *commit) string {
	n := []int{1, 2, 5, 15, 30}[a.IntN(5)]
	for range n {
		name := pick(a.Rand, c.clusters)
		f := c.clusters[name]
		f.broken = true
		c.clusters[name] = f
	}
	return fmt.Sprintf("break %d files", n)
}

func (a *author) breakExtras(c *commit) string {
	c.extras.broken = true
	return "break the component"
}

func (a *author) breakFleet(c *commit) string {
	c.unreadable = true
	return "break fleet.yaml"
}

func (a *author) breakBase(c *commit) string {
	object := a.anApp(c)
	if object == "" {
		return ""
	}
	c.base[object] = c.base[object].with("replicas", tooMany)
	return "break " + object + " of all"
}

// shrinkExtras takes objects away from a third of the clusters, or gives them back.
func (a *author) shrinkExtras(c *commit) string {
	if len(c.extras.objects) < 3 {
		for range 8 {
			c.extras.objects[a.fresh("App/extra")] = spec{"tag": "v1"}
		}
		return "grow the component"
	}
	for range a.IntN(len(c.extras.objects)) {
		delete(c.extras.objects, pick(a.Rand, c.extras.objects))
	}
	return fmt.Sprintf("shrink the component to %d", len(c.extras.objects))
}

func (a *author) shrinkBase(c *commit) string {
	for range 2 + a.IntN(3) {
		c.drop(pick(a.Rand, c.base))
	}
	return fmt.Sprintf("shrink the base to %d", len(c.base))
}

func (a *author) renameSet(c *commit) string {
	other := map[string]string{"apps": "programs", "programs": "apps", "jobs": "tasks", "tasks": "jobs", "notes": "memos", "memos": "notes"}
	kind := pick(a.Rand, c.sets)
	c.sets[kind] = other[c.sets[kind]]
	return fmt.Sprintf("call the set of %s %s", kind, c.sets[kind])
}

// everySet are all names that sets ever have.
var everySet = []string{"apps", "jobs", "memos", "notes", "programs", "tasks"}

func (a *author) dropSet(c *commit) string {
	if len(c.sets) < 3 {
		for kind, set := range newCommit().sets {
			c.sets[kind] = cmp.Or(c.sets[kind], set)
		}
		return "bring the set back"
	}
	kind := pick(a.Rand, c.sets)
	delete(c.sets, kind)
	return "drop the set of " + kind
}

func (a *author) bare(c *commit) string {
	environment := pick(a.Rand, c.overlays)
	o := c.overlays[environment]
	o.bare = true
	c.overlays[environment] = o
	return "empty the overlay of " + environment
}

// toggleNotes empties the one set that may be empty, or fills it.
func (a *author) toggleNotes(c *commit) string {
	notes := maps.Clone(c.base)
	maps.DeleteFunc(notes, func(object string, _ spec) bool { return !strings.HasPrefix(object, "Note/") })
	for object := range notes {
		c.drop(object)
	}
	if len(notes) > 0 {
		return "no notes"
	}
	c.base["Note/welcome"] = spec{"text": "hello again"}
	return "a note"
}

func (a *author) moveGuard(c *commit) string {
	limit := func(of ...string) fleet.Limit {
		l, err := fleet.ParseLimit(of[a.IntN(len(of))])
		if err != nil {
			panic(err)
		}
		return l
	}
	c.guard = fleet.Guard{
		RemovedPerCluster: limit("50%", "50%", "10%", "2", "100%"), RemovedPerFleet: limit("10%", "10%", "3%", "100", "100%"),
		FailingClusters: limit("10%", "10%", "2", "50%"),
		AllowEmptySets:  a.IntN(4) == 0, AllowVanishedSets: a.IntN(4) == 0, AllowStaleParts: a.IntN(2) == 0,
	}
	return fmt.Sprintf("guard %+v", c.guard)
}

func (a *author) moveWaves(c *commit) string {
	c.waves = nil
	if a.IntN(4) == 0 {
		return "no waves"
	}
	for _, ring := range []string{"canary", "early"}[:1+a.IntN(2)] {
		c.waves = append(c.waves, fleet.WaveRule{
			Name: ring, Selector: fleet.Selector{MatchLabels: map[string]string{"ring": ring}},
			Soak: time.Duration(a.IntN(3)) * 10 * time.Minute, Manual: a.IntN(4) == 0, Polled: 50 + 10*a.IntN(6),
		})
	}
	return fmt.Sprintf("%d waves", len(c.waves))
}

// first is the commit that all others come after.
func (a *author) first() *commit {
	c := newCommit()
	for range 200 {
		name := a.fresh("c")
		c.clusters[name] = file{labels: a.labels(name)}
	}
	a.commits++
	c.revision = fmt.Sprintf("main@sha1:%040x", a.commits)
	return c
}
