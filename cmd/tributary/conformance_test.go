//go:build conformance

// The conformance tests pass the answers of `tributary serve` to the real flux-operator CLI
// with the ResourceSets of examples/fleet, for every cluster and set there.
// FLUX_OPERATOR_CLI is the absolute path of the CLI; without it the tests fail.
package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// object is a JSON object: an input or a Kubernetes object.
type object = map[string]any

// wanted returns, for each input set, the objects that one input must become. It repeats the
// ResourceSets in Go, so that a mistake in a template fails.
var wanted = map[string]func(in object) []object{
	"platform-components": wantedComponent,
	"namespaces":          wantedNamespace,
	"rolebindings":        wantedBinding,
	"manifests":           func(in object) []object { return []object{in["manifest"].(object)} },
}

// facts are values that a reader of examples/fleet expects in built objects. Nil means that
// the value must be absent.
var facts = []struct {
	cluster, object, pointer string
	want                     any
}{
	// A cluster without changes of its own has those of its overlay and region.
	{"eu-dev-01", "OCIRepository/flux-system/keda", "/spec/ref/tag", "2.21.0"},
	{"eu-dev-01", "HelmRelease/flux-system/kube-prometheus-stack", "/spec/values/alertmanager/enabled", false},
	{"eu-dev-01", "HelmRelease/flux-system/external-dns", "/spec/values/domainFilters/0", "eu.example.com"},
	{"eu-dev-01", "ClusterRoleBinding/developers-edit", "/roleRef/name", "edit"},
	{"eu-dev-01", "ClusterRoleBinding/oncall-edit", "", nil},
	{"eu-prod-02", "HelmRelease/flux-system/keda", "/spec/values/operator/replicaCount", 2.0},
	{"eu-prod-02", "OCIRepository/flux-system/cert-manager", "/spec/ref/tag", "v1.20.2"},
	{"eu-prod-02", "StorageClass/fast", "/parameters/kmsKeyId", "alias/acme-eu-volumes"},
	{"eu-prod-02", "Namespace/data-protection", "/metadata/labels/platform.example.com~1team", "privacy"},
	{"eu-prod-02", "ResourceQuota/catalog/team", "/spec/hard/requests.cpu", "16"},

	// Both styles of patches, one in JSON, and what they must not change.
	{"eu-prod-01", "HelmRelease/flux-system/keda", "/spec/values/operator/replicaCount", 3.0},
	{"eu-prod-01", "HelmRelease/flux-system/keda", "/spec/values/metricsServer/replicaCount", 2.0},
	{"eu-prod-01", "OCIRepository/flux-system/cert-manager", "/spec/ref/tag", "v1.19.2"},
	{"eu-prod-01", "OCIRepository/flux-system/cert-manager", "/spec/url", "oci://quay.io/jetstack/charts/cert-manager"},
	{"eu-prod-01", "ClusterRoleBinding/oncall-edit", "/subjects/0/name", "acme:oncall"},
	{"eu-prod-01", "HelmRelease/flux-system/traefik", "/spec/dependsOn/1/name", "kube-prometheus-stack"},
	{"us-dev-01", "HelmRelease/flux-system/podinfo", "/spec/values/ui/color", "#8b2252"},
	{"us-dev-01", "HelmRelease/flux-system/podinfo", "/spec/values/ingress/hosts/0/host", "podinfo.us.example.com"},
	{"eu-staging-01", "OCIRepository/flux-system/kube-prometheus-stack", "/spec/ref/tag", "91.4.1"},
	{"us-staging-01", "OCIRepository/flux-system/kube-prometheus-stack", "/spec/ref/tag", "88.6.0"},
	{"us-staging-01", "HelmRelease/flux-system/podinfo", "/spec/values/replicaCount", 6.0},
	{"us-staging-01", "HelmRelease/flux-system/podinfo", "/spec/values/hpa/maxReplicas", 12.0},

	// A target with several objects, and a namespaced object by name.
	{"us-prod-02", "HelmRelease/flux-system/podinfo", "/spec/values/topologySpreadConstraints/0/maxSkew", 1.0},
	{"us-prod-02", "HelmRelease/flux-system/traefik", "/spec/values/topologySpreadConstraints/0/maxSkew", 1.0},
	{"us-prod-02", "ResourceQuota/checkout/team", "/spec/hard/requests.cpu", "24"},
	{"us-prod-02", "ResourceQuota/checkout/team", "/spec/hard/requests.memory", "32Gi"},
	{"us-prod-02", "ResourceQuota/catalog/team", "/spec/hard/requests.cpu", "16"},

	// Another overlay and component, and objects of the cluster.
	{"us-prod-01", "HelmRelease/flux-system/traefik", "/spec/values/deployment", object{"kind": "Deployment"}},
	{"us-prod-01", "HelmRelease/flux-system/traefik", "/spec/values/podDisruptionBudget/minAvailable", 2.0},
	{"us-prod-01", "StorageClass/fast", "/parameters/kmsKeyId", "alias/acme-us-volumes"},
	{"us-gpu-01", "HelmRepository/flux-system/gpu-operator", "/spec/url", "https://helm.ngc.nvidia.com/nvidia"},
	{"us-gpu-01", "Namespace/gpu-operator", "/metadata/labels/pod-security.kubernetes.io~1enforce", "privileged"},
	{"us-gpu-01", "PriorityClass/batch-low", "/value", -1000.0},
	{"us-prod-01", "PriorityClass/batch-low", "/value", -100.0},
	{"us-prod-01", "HelmRelease/flux-system/gpu-operator", "", nil},
	{"ap-prod-01", "HelmRelease/flux-system/descheduler", "/spec/chart/spec/version", "0.34.0"},
	{"ap-prod-01", "HelmRelease/flux-system/descheduler", "/spec/dependsOn", nil},
	{"ap-prod-01", "NetworkPolicy/payments-sg/default", "/spec/egress/0/ports/0/port", 443.0},
	{"ap-prod-01", "HelmRelease/flux-system/external-dns", "/spec/values/env/0/value", "ap-southeast-1"},
	{"ap-prod-01", "Namespace/data-protection", "", nil},

	// Objects that a cluster deletes are absent.
	{"sandbox-01", "HelmRelease/flux-system/loki", "", nil},
	{"sandbox-01", "OCIRepository/flux-system/loki", "", nil},
	{"sandbox-01", "ClusterRoleBinding/platform-admins", "", nil},

	// Strings that look like other types, and keys with dots.
	{"eu-prod-01", "Namespace/checkout", "/metadata/annotations/platform.example.com~1cost-center", "4711"},
	{"eu-prod-01", "StorageClass/fast", "/parameters/encrypted", "true"},
	{"eu-prod-01", "HelmRelease/flux-system/loki", "/spec/values/loki/schemaConfig/configs/0/from", "2025-01-01"},
	{"eu-prod-01", "HelmRelease/flux-system/kube-prometheus-stack", "/spec/values/grafana/grafana.ini/auth.anonymous/org_role", "Viewer"},
	{"eu-prod-01", "ConfigMap/monitoring/dashboard-platform", "/metadata/labels/grafana_dashboard", "1"},

	// The name of the cluster reaches the charts.
	{"us-gpu-01", "ConfigMap/flux-system/tributary-cluster", "/data/name", "us-gpu-01"},
	{"us-gpu-01", "ConfigMap/flux-system/tributary-cluster", "/data/dns", "us-gpu-01.k8s.example.com"},
	{"us-gpu-01", "HelmRelease/flux-system/external-dns", "/spec/valuesFrom/0/targetPath", "txtOwnerId"},
}

// counts are the numbers of inputs for each cluster and set of examples/fleet. A missing
// input would be a deletion.
var counts = map[string]map[string]int{
	"eu-dev-01":     {"platform-components": 10, "namespaces": 11, "rolebindings": 5, "manifests": 10},
	"sandbox-01":    {"platform-components": 9, "namespaces": 10, "rolebindings": 0, "manifests": 10},
	"us-dev-01":     {"platform-components": 10, "namespaces": 10, "rolebindings": 4, "manifests": 10},
	"eu-staging-01": {"platform-components": 10, "namespaces": 11, "rolebindings": 4, "manifests": 10},
	"us-staging-01": {"platform-components": 10, "namespaces": 10, "rolebindings": 3, "manifests": 10},
	"ap-prod-01":    {"platform-components": 11, "namespaces": 11, "rolebindings": 4, "manifests": 11},
	"eu-prod-01":    {"platform-components": 10, "namespaces": 11, "rolebindings": 5, "manifests": 10},
	"eu-prod-02":    {"platform-components": 10, "namespaces": 11, "rolebindings": 5, "manifests": 10},
	"us-gpu-01":     {"platform-components": 11, "namespaces": 11, "rolebindings": 5, "manifests": 10},
	"us-prod-01":    {"platform-components": 10, "namespaces": 10, "rolebindings": 4, "manifests": 10},
	"us-prod-02":    {"platform-components": 10, "namespaces": 10, "rolebindings": 4, "manifests": 10},
}

func TestConformanceOfWhatTheOperatorBuilds(t *testing.T) {
	cli, base := operatorCLI(t), startTributary(t)
	var list struct{ Items []struct{ Name string } }
	decodeJSON(t, getBody(t, base+"/api/v1/clusters"), &list)
	var served []string
	for _, cluster := range list.Items {
		served = append(served, cluster.Name)
	}
	slices.Sort(served)
	if all := slices.Sorted(maps.Keys(counts)); !slices.Equal(served, all) {
		t.Errorf("clusters = %v, want %v", served, all)
	}
	for _, cluster := range served {
		t.Run(cluster, func(t *testing.T) {
			built := map[string]object{}
			for set := range wanted {
				maps.Copy(built, conforms(t, cli, base, cluster, set))
			}
			checkFacts(t, cluster, built)
			checkReferences(t, built)
		})
	}
}

// conforms polls one set, builds it with the operator's CLI and checks the objects of each
// input. It returns the objects, by key.
func conforms(t *testing.T, cli, base, cluster, set string) map[string]object {
	t.Helper()
	inputs := pollInputs(t, base+"/api/v1/flux/clusters/"+cluster+"/"+set)
	if len(inputs) != counts[cluster][set] {
		t.Errorf("%s: %d inputs, want %d", set, len(inputs), counts[cluster][set])
	}
	if len(inputs) == 0 {
		return nil // the operator builds nothing and deletes what existed
	}
	want := map[string]object{}
	for _, in := range inputs {
		if name := valueAt(in, "/cluster/name"); name != cluster {
			t.Errorf("%s: cluster.name of %v = %v, want %q", set, in["id"], name, cluster)
		}
		for _, o := range wanted[set](in) {
			want[objectKey(o)] = ownedBy(o, set)
		}
	}
	built := buildResourceSet(t, cli, set, inputs)
	for k, o := range built {
		if want[k] == nil {
			t.Errorf("%s: built %s, which no input has", set, k)
		} else if !reflect.DeepEqual(o, want[k]) {
			t.Errorf("%s: built %s = %s, want %s", set, k, compactJSON(t, o), compactJSON(t, want[k]))
		}
	}
	for k := range want {
		if built[k] == nil {
			t.Errorf("%s: %s was not built", set, k)
		}
	}
	return built
}

func checkFacts(t *testing.T, cluster string, built map[string]object) {
	t.Helper()
	for _, f := range facts {
		if f.cluster != cluster {
			continue
		}
		var got any
		if o := built[f.object]; o != nil {
			got = valueAt(o, f.pointer)
		}
		if !reflect.DeepEqual(got, f.want) {
			t.Errorf("%s%s = %v, want %v", f.object, f.pointer, got, f.want)
		}
	}
}

// checkReferences checks that the namespace of a HelmRelease and the releases that it
// depends on exist. Otherwise Flux would wait forever.
func checkReferences(t *testing.T, built map[string]object) {
	t.Helper()
	for k, o := range built {
		if o["kind"] != "HelmRelease" {
			continue
		}
		ns := valueAt(o, "/spec/targetNamespace").(string)
		if ns != "kube-system" && built["Namespace/"+ns] == nil {
			t.Errorf("%s: is in namespace %q, which the cluster lacks", k, ns)
		}
		deps, _ := valueAt(o, "/spec/dependsOn").([]any)
		for _, d := range deps {
			if name := d.(object)["name"].(string); built["HelmRelease/flux-system/"+name] == nil {
				t.Errorf("%s: depends on %q, which the cluster lacks", k, name)
			}
		}
	}
}

// TestConformanceOfProviders checks the URLs, names and limits of the providers against the
// server and the ResourceSets.
func TestConformanceOfProviders(t *testing.T) {
	base := startTributary(t)
	for set := range wanted {
		provider, rset := readManifest(t, "flux", "providers", set), readManifest(t, "fleet", "resourcesets", set)
		if got := valueAt(rset, "/spec/inputsFrom/0/name"); got != valueAt(provider, "/metadata/name") {
			t.Errorf("%s: ResourceSet has inputs from %v, which is not the provider", set, got)
		}
		if got := valueAt(provider, "/spec/type"); got != "ExternalService" {
			t.Errorf("%s: provider's type = %v, want ExternalService", set, got)
		}
		u, err := url.Parse(valueAt(provider, "/spec/url").(string))
		if err != nil || u.Scheme != "https" || !strings.HasSuffix(u.Path, "/"+set) {
			t.Fatalf("%s: provider's url = %v, %v, want https://…/%s", set, u, err, set)
		}
		inputs := pollInputs(t, base+u.Path)
		if limit := valueAt(provider, "/spec/filter/limit").(float64); float64(len(inputs)) > limit {
			t.Errorf("%s: %d inputs are over the provider's limit, %v", set, len(inputs), limit)
		}
	}
}

func wantedComponent(in object) []object {
	id, source := in["id"], in["source"].(object)
	release := object{
		"interval": "1h", "timeout": "10m", "releaseName": id,
		"targetNamespace": in["namespace"], "storageNamespace": in["namespace"],
		"values": in["values"],
	}
	for _, action := range []string{"install", "upgrade"} {
		release[action] = object{
			"crds":     "CreateReplace",
			"strategy": object{"name": "RetryOnFailure", "retryInterval": "2m"},
		}
	}
	var chart object
	if source["oci_url"] != nil {
		chart = fluxObject("source.toolkit.fluxcd.io/v1", "OCIRepository", id, object{
			"interval": "1h", "url": source["oci_url"], "ref": object{"tag": source["oci_tag"]},
			"layerSelector": object{
				"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "operation": "copy",
			},
		})
		release["chartRef"] = object{"kind": "OCIRepository", "name": id}
	} else {
		chart = fluxObject("source.toolkit.fluxcd.io/v1", "HelmRepository", id, object{
			"interval": "1h", "url": source["helm_url"],
		})
		release["chart"] = object{"spec": object{
			"chart": source["chart"], "version": source["version"],
			"sourceRef": object{"kind": "HelmRepository", "name": id},
		}}
	}
	var deps, from []any
	for _, name := range in["depends_on"].([]any) {
		deps = append(deps, object{"name": name})
	}
	if deps != nil {
		release["dependsOn"] = deps
	}
	paths := in["cluster_values"].(object)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		from = append(from, object{
			"kind": "ConfigMap", "name": "tributary-cluster", "valuesKey": paths[path], "targetPath": path,
		})
	}
	if from != nil {
		release["valuesFrom"] = from
	}
	cluster := in["cluster"].(object)
	return []object{chart, fluxObject("helm.toolkit.fluxcd.io/v2", "HelmRelease", id, release), {
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": object{
			"name": "tributary-cluster", "namespace": "flux-system",
			"labels": object{"reconcile.fluxcd.io/watch": "Enabled"},
		},
		"data": object{"name": cluster["name"], "dns": cluster["dns"], "environment": cluster["environment"]},
	}}
}

func wantedNamespace(in object) []object {
	annotations := object{"fluxcd.controlplane.io/prune": "disabled"}
	maps.Copy(annotations, in["annotations"].(object))
	return []object{{"apiVersion": "v1", "kind": "Namespace", "metadata": object{
		"name": in["id"], "labels": in["labels"], "annotations": annotations,
	}}}
}

func wantedBinding(in object) []object {
	return []object{{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": object{
			"name": in["id"], "annotations": object{"fluxcd.controlplane.io/force": "enabled"},
		},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": in["role"]},
		"subjects": in["subjects"],
	}}
}

func fluxObject(apiVersion, kind string, name any, spec object) object {
	return object{
		"apiVersion": apiVersion, "kind": kind, "spec": spec,
		"metadata": object{"name": name, "namespace": "flux-system"},
	}
}

// ownedBy adds the labels that the operator puts on its objects.
func ownedBy(o object, set string) object {
	meta := o["metadata"].(object)
	labels, _ := meta["labels"].(object)
	if labels == nil {
		labels = object{}
	}
	labels["resourceset.fluxcd.controlplane.io/name"] = set
	labels["resourceset.fluxcd.controlplane.io/namespace"] = "flux-system"
	meta["labels"] = labels
	return o
}

// objectKey returns kind/name, or kind/namespace/name.
func objectKey(o object) string {
	parts := []string{o["kind"].(string)}
	if ns, ok := valueAt(o, "/metadata/namespace").(string); ok {
		parts = append(parts, ns)
	}
	return strings.Join(append(parts, valueAt(o, "/metadata/name").(string)), "/")
}

// valueAt returns the value at a JSON pointer (RFC 6901), or nil.
func valueAt(o any, pointer string) any {
	if pointer == "" {
		return o
	}
	for _, part := range strings.Split(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := o.(type) {
		case object:
			o = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				return nil
			}
			o = v[i]
		default:
			return nil
		}
	}
	return o
}

// operatorCLI returns the path of the flux-operator CLI.
func operatorCLI(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FLUX_OPERATOR_CLI")
	if path == "" {
		t.Fatal("FLUX_OPERATOR_CLI is not set: `make conformance` builds the CLI and sets it")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("FLUX_OPERATOR_CLI: %v", err)
	}
	return path
}

// buildResourceSet runs the operator's CLI on a ResourceSet and returns the objects, by key.
func buildResourceSet(t *testing.T, cli, set string, inputs []object) map[string]object {
	t.Helper()
	// The CLI takes the list of inputs, without the object around it.
	file := filepath.Join(t.TempDir(), "inputs.json")
	if err := os.WriteFile(file, []byte(compactJSON(t, inputs)), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(cli, "build", "resourceset",
		"-f", examplePath("fleet", "resourcesets", set+".yaml"), "--inputs-from", file)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", set, err, &stderr)
	}
	built := map[string]object{}
	// Only the start of a document is in the first column.
	for _, doc := range strings.Split("\n"+stdout.String(), "\n---\n")[1:] {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatalf("%s: %v in %s", set, err, doc)
		}
		if built[objectKey(o)] != nil {
			t.Errorf("%s: %s was built twice", set, objectKey(o))
		}
		built[objectKey(o)] = o
	}
	return built
}

// readManifest reads the manifest of a set from a directory of the examples.
func readManifest(t *testing.T, part, folder, set string) object {
	t.Helper()
	data, err := os.ReadFile(examplePath(part, folder, set+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := yaml.UnmarshalStrict(data, &o); err != nil {
		t.Fatalf("%s/%s.yaml: %v", folder, set, err)
	}
	return o
}

// pollInputs polls as the operator does, and checks the answer as strictly.
func pollInputs(t *testing.T, url string) []object {
	t.Helper()
	body := getBody(t, url)
	if len(body) > 921600 {
		t.Errorf("%s: %d bytes, the operator reads no more than 921600", url, len(body))
	}
	var answer struct{ Inputs []object }
	decodeJSON(t, body, &answer)
	if answer.Inputs == nil {
		t.Fatalf("%s: no inputs in %s", url, body)
	}
	last := ""
	for _, in := range answer.Inputs {
		id, _ := in["id"].(string)
		if id <= last {
			t.Errorf("%s: id %q after %q, want strings in order, none twice", url, in["id"], last)
		}
		last = id
	}
	return answer.Inputs
}

func getBody(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "flux-operator/v0.58.1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, %v: %s", url, res.Status, err, body)
	}
	return body
}

// startTributary builds tributary and serves examples/fleet until the test ends. It returns
// the URL of the server when it is ready.
func startTributary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin, addrFile := filepath.Join(dir, "tributary"), filepath.Join(dir, "addr")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", examplePath("fleet"), "--listen", "127.0.0.1:0", "--addr-file", addrFile)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("tributary serve did not stop when interrupted")
		}
		_ = log.Close()
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("tributary serve ended: %v\n%s", cmd.ProcessState, readIfThere(t, log.Name()))
		default:
		}
		if base := "http://" + strings.TrimSpace(readIfThere(t, addrFile)); answersReady(base) {
			return base
		}
	}
	t.Fatalf("tributary serve is not ready after a minute\n%s", readIfThere(t, log.Name()))
	return ""
}

func answersReady(base string) bool {
	res, err := http.Get(base + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// readIfThere returns the text of a file, or "" if it does not exist.
func readIfThere(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// examplePath returns the absolute path of a file in examples. The server has another
// working directory.
func examplePath(elem ...string) string {
	path, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "examples"}, elem...)...))
	if err != nil {
		panic(err)
	}
	return path
}

func decodeJSON(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

func compactJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
