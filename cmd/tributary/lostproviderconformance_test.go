//go:build conformance

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tributary-gitops/tributary/deploy/kubetest"
)

// lostSteps is how many random things happen to the providers.
const lostSteps = 200

// TestConformanceOfLostProviders does to the providers of a cluster what happens to them in
// years, in random order, while the real Flux Operator runs: they are deleted, created
// again, renamed, lose the label of a selector, and come back from a backup without their
// status, with the server up or away. The ResourceSets wait as the documentation says, and
// no object is deleted. In the end a commit empties the sets on purpose, and all objects
// are. TRIBUTARY_LOST_SEED repeats a run.
func TestConformanceOfLostProviders(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv("TRIBUTARY_LOST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TRIBUTARY_LOST_SEED=%d", seed)
	l := newLostCluster(t, rand.New(rand.NewPCG(seed, 0)))
	actions := map[string]func() bool{
		"lose a provider": l.loseProvider, "create a provider": l.createProvider, "rename a provider": l.rename,
		"change the label": l.changeLabel, "stop or start the server": l.toggleServer,
		"restart the operator": l.restartOperator, "restore from a backup": l.restore,
	}
	names := slices.Sorted(maps.Keys(actions))
	done := map[string]int{}
	for step := 0; step < lostSteps; {
		name := names[l.random.IntN(len(names))]
		if !actions[name]() {
			continue // not in this state
		}
		step++
		done[name]++
		l.settle()
		if !l.nothingDeleted() {
			t.Fatalf("objects were deleted in step %d: %s", step, name)
		}
	}
	t.Logf("steps: %v", done)

	// The cluster is well again, with the same objects.
	l.recover()
	if !l.nothingDeleted() {
		t.Fatal("objects were deleted when the cluster recovered")
	}

	// A set that is emptied on purpose still deletes what it made.
	l.write("base/kustomization.yaml", "resources: []\n")
	l.approve()
	for _, provider := range l.providers {
		l.poke(provider)
	}
	for name := range l.objects {
		l.await("ConfigMap "+name+" is deleted", func() bool {
			_, err := l.client.Get(t.Context(), configMap(name))
			return apierrors.IsNotFound(err)
		})
	}
}

// TestConformanceOfUnprotectedResourceSet checks what the dependency is for: without it, a
// provider that is created again deletes everything that it fed.
func TestConformanceOfUnprotectedResourceSet(t *testing.T) {
	t.Parallel()
	l := newLostCluster(t, rand.New(rand.NewPCG(1, 1)))
	unstructured.RemoveNestedField(l.sets["apps"].Object, "spec", "dependsOn")
	l.must(l.client.Delete(t.Context(), l.sets["apps"]))
	l.awaitGone(l.sets["apps"])
	l.apply(l.sets["apps"])
	l.settle()
	l.await("the objects are made again", func() bool {
		_, err := l.client.Get(t.Context(), configMap("app-a"))
		return err == nil
	})
	l.toggleServer()
	l.must(l.client.Delete(t.Context(), l.providers["apps"]))
	l.awaitGone(l.providers["apps"])
	l.apply(l.providers["apps"])
	l.await("ConfigMap app-a is deleted", func() bool {
		l.poke(l.sets["apps"])
		_, err := l.client.Get(t.Context(), configMap("app-a"))
		return apierrors.IsNotFound(err)
	})
}

// lostCluster is a cluster of two sets. The ResourceSet apps names its provider, and the
// ResourceSet tools selects its provider by a label.
type lostCluster struct {
	t       *testing.T
	random  *rand.Rand
	dir     string // of the fleet repo
	server  *process
	away    bool
	kube    *kubetest.Server
	stop    func() // stops the operator
	client  *kubetest.Client
	objects map[string]types.UID // of ConfigMaps, by name

	providers, sets map[string]*unstructured.Unstructured
	absent          map[string]bool // providers that are lost
	pokes, renames  int
}

func newLostCluster(t *testing.T, random *rand.Rand) *lostCluster {
	l := &lostCluster{t: t, random: random, dir: t.TempDir(), objects: map[string]types.UID{}, absent: map[string]bool{},
		providers: map[string]*unstructured.Unstructured{}, sets: map[string]*unstructured.Unstructured{}}
	l.write("fleet.yaml", `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: lost}
spec:
  inputs:
  - {name: apps, kind: App, allowEmpty: true}
  - {name: tools, kind: Tool, allowEmpty: true}
  placement:
  - {selector: {}, overlay: base}
`)
	l.write("clusters/one.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n")
	l.write("base/kustomization.yaml", "resources: [apps.yaml, tools.yaml]\n")
	for set, kind := range map[string]string{"apps": "App", "tools": "Tool"} {
		var text strings.Builder
		for _, id := range []string{"a", "b", "c"} {
			name := strings.ToLower(kind) + "-" + id
			l.objects[name] = ""
			fmt.Fprintf(&text, "---\napiVersion: example.com/v1\nkind: %s\nmetadata: {name: %s}\nspec: {}\n", kind, name)
		}
		l.write("base/"+set+".yaml", text.String())
		l.providers[set] = manifest(t, fmt.Sprintf(`
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSetInputProvider
metadata: {name: %s, namespace: flux-system, labels: {feeds: %[1]s}}
spec: {type: ExternalService, insecure: true, filter: {limit: 10000}}`, set))
	}
	// The fleet repo has them, so the server checks that they wait.
	l.write("resourcesets/apps.yaml", resourceSetText("apps", "", "name: apps", "has(status.lastExportedRevision)"))
	l.write("resourcesets/tools.yaml", resourceSetText("tools", "annotations: {tributary/unprotected-reason: spec.dependsOn names each provider with the label}",
		"selector: {matchLabels: {feeds: tools}}", "has(status.lastExportedRevision) && metadata.labels['feeds'] == 'tools'"))
	l.server = newProcess(t, l.dir, "--store", "sqlite:"+filepath.Join(t.TempDir(), "tributary.db"))
	l.kube = kubetest.Start(t)
	l.client = kubetest.NewClient(l.kube.Config())
	l.client.InstallCRDs(t)
	l.client.Namespace(t, "flux-system", nil)
	l.stop = l.kube.StartFluxOperator(t)
	for set, provider := range l.providers {
		provider.Object["spec"].(map[string]any)["url"] = l.server.url + "/api/v1/flux/clusters/one/" + set
		l.sets[set] = manifest(t, readText(t, filepath.Join(l.dir, "resourcesets", set+".yaml")))
		l.apply(provider)
		l.apply(l.sets[set])
	}
	for name := range l.objects {
		l.await("ConfigMap "+name, func() bool {
			o, err := l.client.Get(t.Context(), configMap(name))
			if err == nil {
				l.objects[name] = o.GetUID()
			}
			return err == nil
		})
	}
	return l
}

// resourceSetText returns a ResourceSet that waits for the provider of its own name.
func resourceSetText(name, metadata, source, ready string) string {
	return fmt.Sprintf(`apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata:
  name: %[1]s
  namespace: flux-system
  %[2]s
spec:
  inputsFrom:
  - kind: ResourceSetInputProvider
    %[3]s
  dependsOn:
  - apiVersion: fluxcd.controlplane.io/v1
    kind: ResourceSetInputProvider
    name: %[1]s
    namespace: flux-system
    ready: true
    readyExpr: %[4]s
  resources:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: << inputs.id >>, namespace: default}
`, name, metadata, source, ready)
}

func configMap(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	o.SetName(name)
	o.SetNamespace("default")
	return o
}

// loseProvider deletes a provider.
func (l *lostCluster) loseProvider() bool {
	set := l.choose()
	if l.absent[set] {
		return false
	}
	l.must(l.client.Delete(l.t.Context(), l.providers[set]))
	l.awaitGone(l.providers[set])
	l.absent[set] = true
	return true
}

// createProvider creates a provider that was lost.
func (l *lostCluster) createProvider() bool {
	set := l.choose()
	if !l.absent[set] {
		return false
	}
	l.apply(l.providers[set])
	l.absent[set] = false
	return true
}

// rename gives a provider another name, as the documentation says: the ResourceSet waits
// for the new name before anything else happens.
func (l *lostCluster) rename() bool {
	set := l.choose()
	old := l.providers[set].DeepCopy()
	l.renames++
	name := fmt.Sprintf("%s-%d", set, l.renames)
	l.providers[set].SetName(name)
	spec := l.sets[set].Object["spec"].(map[string]any)
	spec["dependsOn"].([]any)[0].(map[string]any)["name"] = name
	if source := spec["inputsFrom"].([]any)[0].(map[string]any); source["name"] != nil {
		source["name"] = name
	}
	l.reconcile(l.sets[set])
	l.apply(l.providers[set])
	if !l.absent[set] {
		l.must(l.client.Delete(l.t.Context(), old))
		l.awaitGone(old)
	}
	l.absent[set] = false
	return true
}

// changeLabel takes the label of the selector away, or gives it back.
func (l *lostCluster) changeLabel() bool {
	if l.absent["tools"] {
		return false
	}
	label := map[string]string{"feeds": "tools"}
	if l.providers["tools"].GetLabels()["feeds"] == "tools" {
		label = map[string]string{"feeds": "nothing"}
	}
	l.providers["tools"].SetLabels(label)
	l.apply(l.providers["tools"])
	return true
}

func (l *lostCluster) toggleServer() bool {
	if l.away {
		l.server.start()
	} else {
		l.server.kill()
	}
	l.away = !l.away
	return true
}

func (l *lostCluster) restartOperator() bool {
	l.stop()
	l.stop = l.kube.StartFluxOperator(l.t)
	return true
}

// restore replaces a provider and its ResourceSet by copies without a status, or both
// providers alone.
func (l *lostCluster) restore() bool {
	l.stop()
	set, both := l.choose(), l.random.IntN(2) == 0
	for name, provider := range l.providers {
		if name != set && both {
			continue
		}
		if !l.absent[name] {
			l.must(l.client.Lose(l.t.Context(), provider))
			l.awaitGone(provider)
		}
		l.absent[name] = false
		if both {
			l.must(l.client.Lose(l.t.Context(), l.sets[name]))
			l.awaitGone(l.sets[name])
			l.apply(l.sets[name])
		}
		l.apply(provider)
	}
	l.stop = l.kube.StartFluxOperator(l.t)
	return true
}

// settle returns when the providers that can poll have, and then the operator has reconciled
// both ResourceSets.
func (l *lostCluster) settle() {
	l.t.Helper()
	for set, provider := range l.providers {
		if l.away || l.absent[set] {
			continue
		}
		l.poke(provider)
		l.await(provider.GetName()+" has polled", func() bool { return l.status(provider, "lastExportedRevision") != "" })
	}
	for _, set := range l.sets {
		l.reconcile(set)
	}
}

// reconcile returns when the operator has reconciled a ResourceSet.
func (l *lostCluster) reconcile(set *unstructured.Unstructured) {
	l.t.Helper()
	request := l.poke(set)
	l.await(set.GetName()+" is reconciled", func() bool { return l.status(set, "lastHandledReconcileAt") == request })
}

// status returns a field of an object's status, "" if there is none.
func (l *lostCluster) status(like *unstructured.Unstructured, field string) string {
	o, err := l.client.Get(l.t.Context(), like)
	if err != nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(o.Object, "status", field)
	return text
}

// recover brings everything back, and returns when both ResourceSets are ready.
func (l *lostCluster) recover() {
	if l.away {
		l.toggleServer()
	}
	l.providers["tools"].SetLabels(map[string]string{"feeds": "tools"})
	for set, provider := range l.providers {
		l.apply(provider)
		l.absent[set] = false
	}
	l.settle()
	for _, set := range l.sets {
		l.await(set.GetName()+" is ready", func() bool {
			o, err := l.client.Get(l.t.Context(), set)
			return err == nil && strings.HasPrefix(readyMessage(o), "Reconciliation finished")
		})
	}
}

func (l *lostCluster) nothingDeleted() bool {
	l.t.Helper()
	all := true
	for name, uid := range l.objects {
		if o, err := l.client.Get(l.t.Context(), configMap(name)); err != nil || o.GetUID() != uid {
			l.t.Errorf("ConfigMap %s: %v, want the one from before", name, err)
			all = false
		}
	}
	return all
}

// approve lets the server's held release go live.
func (l *lostCluster) approve() {
	l.t.Helper()
	var releases struct {
		Items []struct {
			ID, State string
			Impact    struct{ Digest string }
		}
	}
	l.await("a release without inputs", func() bool {
		_, _, text := l.server.try(http.MethodGet, "/api/v1/releases", "")
		l.must(json.Unmarshal(text, &releases))
		return releases.Items[0].State == "held"
	})
	held := releases.Items[0]
	status, _, text := l.server.try(http.MethodPost, "/api/v1/releases/"+held.ID+"/approve", fmt.Sprintf(`{"digest": %q}`, held.Impact.Digest), "Content-Type", "application/json")
	if status != http.StatusOK {
		l.t.Fatalf("approve: %d %s", status, text)
	}
}

// poke has the operator reconcile an object, and returns what it then notes in its status.
func (l *lostCluster) poke(o *unstructured.Unstructured) string {
	l.pokes++
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["reconcile.fluxcd.io/requestedAt"] = strconv.Itoa(l.pokes)
	o.SetAnnotations(annotations)
	l.apply(o)
	return strconv.Itoa(l.pokes)
}

func (l *lostCluster) choose() string { return []string{"apps", "tools"}[l.random.IntN(2)] }

func (l *lostCluster) apply(o *unstructured.Unstructured) {
	l.t.Helper()
	l.must(l.client.Apply(l.t.Context(), o))
}

func (l *lostCluster) awaitGone(o *unstructured.Unstructured) {
	l.t.Helper()
	l.await(o.GetName()+" is gone", func() bool {
		_, err := l.client.Get(l.t.Context(), o)
		return apierrors.IsNotFound(err)
	})
}

func (l *lostCluster) await(what string, is func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("does not happen: %s", what)
		}
	}
}

func (l *lostCluster) write(name, text string) {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	l.must(os.MkdirAll(filepath.Dir(file), 0o700))
	l.must(os.WriteFile(file, []byte(text), 0o600))
}

func (l *lostCluster) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}
