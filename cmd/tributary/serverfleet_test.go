package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// servedFleet is the fleet that two servers serve, and how to change it.
type servedFleet struct {
	repo   *exampleRepo
	set    string // the set with the object
	object string // the object that writes change, as KIND/NAME
	patch  string // a patch of the object, with %q for a text that appears in the set
	file   string // the file that commits change
	text   string // the text of the file, with %d
}

// newServedFleet returns a fleet that renders quickly with the race detector, or a realistic
// one of 200 clusters for a soak test.
func newServedFleet(t testing.TB, soak time.Duration) servedFleet {
	t.Helper()
	if soak == 0 {
		names := []string{"ann", "bob", "cid", "dot", "eva", "fay", "gil", "hal"}
		return servedFleet{
			repo: newRepoOf(t, writeFleet(t, names...), names, []string{"apps"}), set: "apps", object: "App/web",
			patch: `{"spec":{"written":%q}}`, file: "base/app.yaml",
			text: "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {tag: v%d}\n",
		}
	}
	f := servedFleet{
		repo: newExampleRepo(t), set: "platform-components", object: "PlatformComponent/keda",
		patch: `{"spec":{"values":{"written":%q}}}`, file: "base/kyverno/namespace.yaml",
		text: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kyverno\n  annotations: {example.com/push: \"%d\"}\n" +
			"  labels: {pod-security.kubernetes.io/enforce: restricted, platform.example.com/team: platform}\n",
	}
	for n := len(f.repo.clusters); n < 200; n++ {
		f.repo.declare(fmt.Sprintf("more-%03d", n), []string{"dev", "staging", "prod"}[n%3])
	}
	f.repo.commit("more clusters")
	return f
}

func (r *exampleRepo) declare(name, environment string) {
	r.t.Helper()
	r.write(filepath.Join("clusters", "more", name+".yaml"), fmt.Sprintf("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata:\n"+
		"  name: %s\n  labels: {environment: %s, region: eu, provider: aws}\n", name, environment))
	r.clusters = append(r.clusters, name)
}

func (r *exampleRepo) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits and pushes all changes, and returns the revision.
func (r *exampleRepo) commit(message string) string {
	r.t.Helper()
	r.git("add", ".")
	r.git("commit", "-q", "-m", message)
	r.git("push", "-q", r.bare, "HEAD:main")
	return "main@sha1:" + r.git("rev-parse", "HEAD")
}
