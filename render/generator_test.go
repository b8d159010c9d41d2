package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// generator makes small fleets that combine as much as possible of what kustomize knows:
// custom and built-in kinds, references between them, generated names, prefixes,
// namespaces, and every form of patch, some of which do not apply.
type generator struct {
	*rand.Rand
	served                    bool   // the base has only values that Flux Operator accepts
	prefix, suffix, namespace string // what the overlay adds
}

// name returns what the overlay makes of a name.
func (g *generator) name(of string) string { return g.prefix + of + g.suffix }

func (g *generator) one(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

const generatedFleet = `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: generated}
spec:
  inputs:
  - {name: all, selector: {}, id: [kind, metadata.namespace, metadata.name], fields: {object: .}, allowEmpty: true, allowSecrets: true}
  placement:
  - {selector: {}, overlay: overlay, components: [component]}
`

func (g *generator) fleet() (map[string]string, *fleet.Cluster) {
	files := map[string]string{
		"clusters/c.yaml":                               "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c}\n",
		"fleet.yaml":                                    generatedFleet,
		"base/kustomization.yaml":                       "resources: [objects]\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n",
		"base/objects/kustomization.yaml":               "resources: [deeper, ../more.yaml, deeper/others]\n",
		"base/objects/deeper/kustomization.yaml":        "resources: [../../all.yaml]\n",
		"base/objects/deeper/others/kustomization.yaml": g.one("resources: [quota.yaml]\n", "resources: [quota.yaml]\nlabels: [{pairs: {own: label}}]\n", "namePrefix: n-\nresources: [quota.yaml]\n"),
		"base/objects/deeper/others/quota.yaml":         "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: quota, namespace: team}\nspec: {hard: {pods: \"9\"}}\n",
		"base/more.yaml":                                "apiVersion: v1\nkind: LimitRange\nmetadata: {name: limits, namespace: team}\nspec: {limits: []}\n",
		"base/all.yaml":                                 g.base(),
		"component/kustomization.yaml":                  "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: PlatformComponent}\n  patch: |-\n    - {op: add, path: /spec/component, value: true}\n",
	}
	overlay := "resources: [../base]\n"
	if g.chance(40) {
		g.prefix, overlay = "p-", overlay+"namePrefix: p-\n"
	}
	if g.chance(30) {
		g.namespace, overlay = "apps", overlay+"namespace: apps\n"
	}
	if g.chance(20) {
		g.suffix, overlay = "-s", overlay+"nameSuffix: -s\n"
	}
	files["overlay/kustomization.yaml"] = overlay
	maps.Copy(files, components)
	c := &fleet.Cluster{Name: "c"}
	for range max(0, g.IntN(4)-1) {
		c.Resources = append(c.Resources, fleet.Resource{YAML: g.resource()})
	}
	for range 1 + g.IntN(2) {
		c.Patches = append(c.Patches, g.patch())
	}
	return files, c
}

func (g *generator) base() string {
	var b strings.Builder
	for _, name := range []string{"keda", "traefik", "loki"} {
		fmt.Fprintf(&b, `apiVersion: platform.example.com/v1
kind: PlatformComponent
metadata:
  name: %s
  labels: {tier: %s, "on": "yes"}
%sspec:
  source: {oci_tag: v1.%d.0, weight: %s}
  values:
    replicaCount: %d
    list: [{name: a, n: 1}, {name: b, n: 2}]
    ports: [80, 443]
    %s: %s
    quoted: %s
    nested: {deep: {er: x}, none: %s}
---
`, name, g.one("one", "two"), g.annotations(), g.IntN(9), g.scalar(), g.IntN(9), g.one("k", `"y"`, "n.o"), g.scalar(),
			g.one("text", `"yes"`, `"3"`, "''", "4"), g.one("null", "~", "1"))
	}
	b.WriteString(`apiVersion: v1
kind: Namespace
metadata: {name: team, labels: {a: b}}
spec: {finalizers: [kubernetes]}
status: {conditions: [{type: A, status: "True"}, {type: B, status: "True"}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: robot, namespace: default}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      serviceAccountName: robot
      containers:
      - name: app
        image: app:1
        env: [{name: A, value: "1"}]
        envFrom: [{configMapRef: {name: settings}}]
      - {name: side, image: side:1}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}, matchExpressions: [{key: a, operator: Exists}]}}
`)
	return b.String()
}

func (g *generator) annotations() string {
	return g.one("", "  annotations: {note: x}\n", "  annotations: {}\n", "  annotations: {n: 5}\n")
}

// scalar returns one that YAML libraries read differently, or a number that a float64
// cannot hold.
func (g *generator) scalar() string {
	if g.served {
		return g.one("3", "yes", "2026-01-01", "0x1f", "text", "-0.5")
	}
	return g.one("3", "3.0", "1e3", "yes", `"yes"`, "2026-01-01", "9007199254740993", "9007199254740993", "18446744073709551616",
		"-0.5", "0x1f", "017", "true", "text", `"a\u2028<b>&"`, "''", "1e21")
}

func (g *generator) resource() string {
	return g.one(
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: extra, labels: {a: b}}\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: extra-two}\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: noted, annotations: {n: 5}}\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: bare, annotations: {}}\n",
		"apiVersion: platform.example.com/v1\nkind: PlatformComponent\nmetadata: {name: own}\nspec: {values: {d: 2026-01-01, y: yes}}\n",
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot, namespace: elsewhere}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n",
		"apiVersion: v1\nkind: NamespaceList\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: listed}}]\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: local, annotations: {config.kubernetes.io/local-config: 'true'}}\n",
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: rb, namespace: elsewhere}\nroleRef: {kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: robot}]\n",
	)
}

func (g *generator) patch() fleet.Patch {
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		return fleet.Patch{Patch: g.mergeOf("PlatformComponent", g.name(g.one("keda", "traefik", "loki")))}
	case 4, 5:
		return fleet.Patch{Patch: g.mergeOf("PlatformComponent", g.one("any", "keda")), Target: g.target(), Options: g.options()}
	case 6, 7:
		return fleet.Patch{Patch: g.operations(), Target: g.target()}
	case 8:
		return fleet.Patch{Patch: g.builtin()}
	}
	return fleet.Patch{Patch: g.mergeOf("PlatformComponent", g.name("keda")) + "\n---\n" + g.mergeOf("PlatformComponent", g.name("loki"))}
}

// named returns the metadata that identifies an object of the stack.
func (g *generator) named(of string) string {
	if g.namespace == "" {
		return "name: " + g.name(of)
	}
	return "name: " + g.name(of) + ", namespace: " + g.namespace
}

func (g *generator) options() fleet.PatchOptions {
	return fleet.PatchOptions{AllowNameChange: g.chance(5), AllowKindChange: g.chance(3)}
}

func (g *generator) target() *fleet.Target {
	return []*fleet.Target{
		{Kind: "PlatformComponent"}, {Kind: "PlatformComponent"}, {Kind: "Platform.*", Name: ".*eda.*"}, {Name: "(p-)?loki(-s)?"},
		{LabelSelector: "tier=one"}, {LabelSelector: "tier in (one,two),on=yes"}, {AnnotationSelector: "note=x"},
		{Group: "platform.example.com", Version: "v1"}, {Namespace: "apps", Kind: "PlatformComponent"},
		{Kind: "Nothing"}, {Kind: "PlatformComponent", Name: "(p-)?(own|keda)(-s)?"},
	}[g.IntN(11)]
}

func (g *generator) mergeOf(kind, name string) string {
	spec := g.one(
		"{values: {replicaCount: "+g.scalar()+"}}", "{values: {quoted: "+g.scalar()+"}}",
		"{values: {nested: {deep: {er: "+g.scalar()+", new: {a: "+g.scalar()+"}}}}}",
		"{source: {oci_tag: v9.9.9}, values: {added: {x: [1, {y: "+g.scalar()+"}]}}}",
		"{values: {ports: [8080]}}", "{values: {list: [{name: b, n: 5}]}}", "{values: {empty: {}, none: []}}",
		"{values: {nested: null}}", "{values: {nested: {$patch: replace, z: 1}}}", "{values: {nested: {$patch: delete}}}",
		"{values: {nested: {none: {now: a}}}}", "{values: {nested: {none: [1]}}}", "{values: {add: {m: ~, l: [null]}}}",
	)
	if g.chance(4) {
		spec = g.one("{values: {replicaCount: {mapping: now}}}", "{values: {nested: scalar}}", "{values: {ports: {a: b}}}", "[]")
	}
	metadata := "name: " + name
	if g.namespace != "" && g.chance(95) {
		metadata += ", namespace: " + g.namespace
	}
	metadata += g.one("", "", "", "", "", "", "", "", ", labels: {tier: three}", ", labels: {tier: 3}", ", annotations: {note: y}",
		", labels: {tier: null}", ", annotations: {}", ", finalizers: [a]")
	directive := ""
	if g.chance(4) {
		directive = ", $patch: " + g.one("delete", "replace")
	}
	return fmt.Sprintf("{apiVersion: platform.example.com/v1, kind: %s, metadata: {%s}, spec: %s%s}", kind, metadata, spec, directive)
}

func (g *generator) operations() string {
	n := 1 + g.IntN(2)
	var ops []string
	for range n {
		ops = append(ops, g.one(
			`{"op": "replace", "path": "/spec/values/replicaCount", "value": 7}`,
			`{"op": "add", "path": "/spec/values/x~1y", "value": {"f": 3.0, "big": 9007199254740993, "t": "2026-01-01"}}`,
			`{"op": "add", "path": "/spec/values/ports/-", "value": 8443}`,
			`{"op": "remove", "path": "/spec/values/list/0"}`,
			`{"op": "copy", "from": "/spec/source", "path": "/spec/copied"}`,
			`{"op": "move", "from": "/spec/values/ports", "path": "/spec/ports"}`,
			`{"op": "test", "path": "/spec/component", "value": true}`,
			`{"op": "add", "path": "/spec/values/y", "value": `+"\"yes\""+`}`,
			`{"op": "add", "path": "/metadata/labels/new", "value": "label"}`,
			`{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}`,
			`{"op": "replace", "path": "/metadata/name", "value": "renamed"}`,
			`{"op": "add", "path": "/spec/n", "value": null}`,
		))
	}
	if g.chance(4) {
		ops = append(ops, `{"op": "remove", "path": "/spec/absent"}`)
	}
	if g.chance(50) {
		return "[" + strings.Join(ops, ", ") + "]"
	}
	return "- " + strings.Join(ops, "\n- ")
}

func (g *generator) builtin() string {
	return strings.NewReplacer("WEB", g.named("web"), "BUDGET", g.named("budget"), "ADMINS", "name: "+g.name("admins"), "TEAM", "name: "+g.name("team")).Replace(g.one(
		"{apiVersion: apps/v1, kind: Deployment, metadata: {WEB}, spec: {template: {spec: {containers: [{name: app, image: app:2}]}}}}",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {WEB}, spec: {template: {spec: {containers: [{name: side, $patch: delete}]}}}}",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {WEB}, spec: {replicas: 3, template: {spec: {serviceAccountName: robot}}}}",
		"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {BUDGET}, spec: {maxUnavailable: 2}}",
		"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {BUDGET}, spec: {selector: {matchExpressions: [{key: b, operator: Exists}]}}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {ADMINS}, subjects: [{kind: ServiceAccount, name: robot}]}",
		"{apiVersion: v1, kind: Namespace, metadata: {TEAM, labels: {c: d}}}",
		"{apiVersion: v1, kind: Namespace, metadata: {TEAM}, status: {conditions: [{type: B, status: unknown}]}}",
		"{apiVersion: v1, kind: Namespace, metadata: {TEAM}, status: {conditions: [{type: B, $patch: delete}]}}",
	))
}

// generated is a delta as its author writes it. Its resources are YAML text, which
// kustomize gets unchanged.
type generated struct {
	name       string
	components []string
	resources  []string
	patches    []fleet.Patch
	edits      []fleet.Edit
}

// components are those that generated deltas may name, in addition to the one that all
// clusters have.
var components = map[string]string{
	"extra/kustomization.yaml":   "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [all.yaml]\n",
	"extra/all.yaml":             "apiVersion: platform.example.com/v1\nkind: PlatformComponent\nmetadata: {name: gpu}\nspec: {values: {y: yes}}\n",
	"tune/kustomization.yaml":    "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: PlatformComponent}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/tuned\", \"value\": 1.0}]'\n",
	"clash/kustomization.yaml":   "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [../extra/all.yaml]\n",
	"missing/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- patch: '{apiVersion: v1, kind: Namespace, metadata: {name: absent}, spec: {a: b}}'\n",
}

// delta returns a delta whose parts mostly apply.
func (g *generator) delta(name string) generated {
	d := generated{name: name}
	if g.chance(35) {
		d.components = append(d.components, g.one("extra", "tune", "component"))
	}
	if g.chance(3) {
		d.components = append(d.components, g.one("clash", "missing"))
	}
	if g.chance(25) {
		d.resources = append(d.resources, g.deltaResource())
	}
	for range max(0, g.IntN(3)-1) {
		d.patches = append(d.patches, g.patch())
	}
	for range g.IntN(3) {
		d.edits = append(d.edits, g.edit())
	}
	return d
}

// deltaResource returns a resource that is not a list.
func (g *generator) deltaResource() string {
	for {
		if text := g.resource(); !strings.Contains(text, "List") {
			return text
		}
	}
}

func (g *generator) edit() fleet.Edit {
	e := fleet.Edit{Kind: "PlatformComponent", Name: g.name(g.one("keda", "traefik", "loki"))}
	switch g.IntN(40) {
	case 0:
		e.Kind, e.Name = "Deployment", g.name("web")
	case 1:
		e.Name = g.one("own", "gpu", "absent")
	case 4, 5, 6:
		e.Kind, e.Name = "PodDisruptionBudget", g.name("budget")
	case 2:
		e.Kind, e.Name = "ServiceAccount", g.one("robot", g.name("robot"))
	case 3:
		e.Kind, e.Name = "Namespace", g.one("extra", g.name("team"))
	}
	if e.Kind == "PlatformComponent" && g.chance(30) {
		e.Namespace = g.namespace
	}
	if g.chance(4) {
		e.Namespace = "elsewhere"
	}
	if e.Kind == "PlatformComponent" && g.chance(20) {
		e.Group = "platform.example.com"
	}
	if g.chance(2) {
		e.Group = "apps"
	}
	e.Patch = json.RawMessage(g.one(
		`{"spec":{"values":{"replicaCount":7}}}`,
		`{"spec":{"values":{"nested":null,"ports":[1,{"a":"b"}],"new":{"a":{"b":1}}}}}`,
		`{"spec":{"values":{"nested":{"deep":"scalar now","gone":null}}}}`,
		`{"spec":{"values":{"list":{"a":1}}}}`, `{"spec":{"values":"text"}}`,
		`{"spec":{"template":{"spec":{"containers":[{"image":"app:9","name":"app"}]}}}}`,
		`{"metadata":{"labels":{"edited":"yes","tier":null}}}`, `{"metadata":{"annotations":{"a":"b"}}}`,
		`{"spec":{"values":{"big":9007199254740993}}}`, `{"spec":{"values":{"source":{}}}}`, `{}`,
	))
	if g.chance(5) {
		e.Patch = json.RawMessage("null")
	}
	return e
}

// document returns the delta as YAML.
func (d generated) document() string {
	head := map[string]any{"name": d.name, "clusters": []string{"c"}, "components": d.components, "patches": d.patches, "edits": d.edits}
	data, _ := json.Marshal(head)
	var resources []string
	for _, text := range d.resources {
		text = "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
		resources = append(resources, "\n- "+strings.TrimPrefix(text, "  "))
	}
	var b strings.Builder
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "%s: %s\n", key, fields[key])
	}
	if len(resources) > 0 {
		fmt.Fprintf(&b, "resources: %s\n", strings.Join(resources, ""))
	}
	return b.String()
}

func readAll(t *testing.T, deltas []generated) []*fleet.Delta {
	t.Helper()
	var out []*fleet.Delta
	for _, d := range deltas {
		read, err := Renderer{}.ReadDelta([]byte(d.document()))
		if err != nil {
			t.Fatalf("%v\n%s", err, d.document())
		}
		out = append(out, read)
	}
	return out
}
