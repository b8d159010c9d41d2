package server_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/server"
)

// apiShape is the digest of openapi.yaml without its prose. A change of the API changes
// it: update it then, and say in CHANGELOG.md what users notice.
const apiShape = "sha256:ebff0c554d2b50eb368f80ce754bf06d165fff91a0f36d51de0f5fe655d71f31"

func TestDocumentKeepsItsPathsAndSchemas(t *testing.T) {
	t.Parallel()
	var document map[string]any
	must(t, yaml.Unmarshal(server.OpenAPI, &document))
	text, err := json.Marshal(withoutProse(document)) // sorts keys
	must(t, err)
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); got != apiShape {
		t.Errorf("the paths or schemas of openapi.yaml have changed: their digest is %s, want %s", got, apiShape)
	}
}

// withoutProse removes the texts for people. A property may be called description too,
// but then its value is not a text.
func withoutProse(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if _, isText := value.(string); isText && (key == "description" || key == "summary") {
				delete(node, key)
				continue
			}
			node[key] = withoutProse(value)
		}
	case []any:
		for i := range node {
			node[i] = withoutProse(node[i])
		}
	}
	return node
}
