package soaktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/fstest"
)

// tree is the fleet repo that says what a commit does. JSON is YAML too.
func (c *commit) tree() fstest.MapFS {
	t := fstest.MapFS{}
	put := func(path, content string) { t[path] = &fstest.MapFile{Data: []byte(content)} }
	put("fleet.yaml", c.fleetFile())
	put("schemas/app.json", `{"type": "object", "required": ["tag"], "properties": {"replicas": {"type": "integer", "maximum": 9}}}`)
	put("base/kustomization.yaml", kustomization(c.base, "", nil, nil))
	for path, content := range c.base.files("base") {
		put(path, content)
	}
	for environment, o := range c.overlays {
		dir := "overlays/" + environment
		base := []string{"../../base"}
		if o.bare {
			base, o.tags = nil, nil
		}
		put(dir+"/kustomization.yaml", kustomization(ofOverlay(environment), "", base, o.tags))
		for path, content := range ofOverlay(environment).files(dir) {
			put(path, content)
		}
	}
	put("components/extras/kustomization.yaml", kustomization(c.extras.objects, "Component", nil, nil))
	for path, content := range c.extras.objects.files("components/extras") {
		if c.extras.broken {
			content = "{ no YAML"
		}
		put(path, content)
	}
	for name, f := range c.clusters {
		put("clusters/"+name+".yaml", f.document(name))
	}
	return t
}

func (c *commit) fleetFile() string {
	if c.unreadable {
		return "kind: Fleet\nspec: [of, nothing]\n"
	}
	var inputs, waves []any
	for _, kind := range slices.Sorted(maps.Keys(c.sets)) {
		set := map[string]any{"name": c.sets[kind], "kind": kind}
		switch kind {
		case "App":
			set["schema"] = "schemas/app.json"
		case "Note":
			set["allowEmpty"] = true
		}
		inputs = append(inputs, set)
	}
	var placement []any
	for _, environment := range environments {
		placement = append(placement, map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"environment": environment}}, "overlay": "overlays/" + environment,
		})
	}
	placement = append(placement, map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"tier": "gold"}}, "components": []string{"components/extras"},
	})
	for _, w := range c.waves {
		wave := map[string]any{"name": w.Name, "selector": w.Selector, "soak": w.Soak.String(), "polled": w.Polled}
		if w.Manual {
			wave["gate"] = "manual"
		}
		waves = append(waves, wave)
	}
	s := map[string]any{"inputs": inputs, "placement": placement, "guard": map[string]any{
		"removedPerCluster": c.guard.RemovedPerCluster, "removedPerFleet": c.guard.RemovedPerFleet, "failingClusters": c.guard.FailingClusters,
		"allowEmptySets": c.guard.AllowEmptySets, "allowVanishedSets": c.guard.AllowVanishedSets, "allowOrphanedParts": c.guard.AllowStaleParts,
	}}
	if len(waves) > 0 {
		s["rollout"] = map[string]any{"waves": waves}
	}
	return document("tributary/v1alpha1", "Fleet", map[string]any{"name": "soak"}, s)
}

func (f file) document(name string) string {
	if f.broken {
		return document("tributary/v1alpha1", "Cluster", map[string]any{"name": name}, map[string]any{"patches": "none"})
	}
	s := map[string]any{"dns": dnsOf(name)}
	var patches []any
	for _, object := range slices.Sorted(maps.Keys(f.patch)) {
		patches = append(patches, map[string]any{"patch": objectDocument(object, f.patch[object])})
	}
	if len(patches) > 0 {
		s["patches"] = patches
	}
	return document("tributary/v1alpha1", "Cluster", map[string]any{"name": name, "labels": f.labels}, s)
}

func dnsOf(cluster string) string { return cluster + ".example.com" }

// kustomization lists the files of objects and more resources, and sets tags.
func kustomization(o objects, kind string, more []string, tags map[string]string) string {
	k := map[string]any{"resources": append(more, o.names()...)}
	if kind != "" {
		k["apiVersion"], k["kind"] = "kustomize.config.k8s.io/v1alpha1", kind
	}
	var patches []any
	for _, object := range slices.Sorted(maps.Keys(tags)) {
		patches = append(patches, map[string]any{"patch": objectDocument(object, spec{"tag": tags[object]})})
	}
	if len(patches) > 0 {
		k["patches"] = patches
	}
	return encode(k)
}

func (o objects) names() []string {
	var names []string
	for _, object := range slices.Sorted(maps.Keys(o)) {
		names = append(names, fileOf(object))
	}
	return names
}

func (o objects) files(dir string) map[string]string {
	files := map[string]string{}
	for object, s := range o {
		files[dir+"/"+fileOf(object)] = objectDocument(object, s)
	}
	return files
}

func fileOf(object string) string {
	return strings.ToLower(strings.ReplaceAll(object, "/", "-")) + ".yaml"
}

func objectDocument(object string, s spec) string {
	kind, name, _ := strings.Cut(object, "/")
	return document("example.com/v1", kind, map[string]any{"name": name}, s)
}

func document(apiVersion, kind string, metadata map[string]any, spec any) string {
	return encode(map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint("a commit that is no JSON: ", err))
	}
	return string(text)
}
