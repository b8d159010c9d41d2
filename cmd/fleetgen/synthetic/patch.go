package synthetic

import (
	"fmt"
	"math/rand/v2"
)

// patch is the nth patch of a cluster: JSON patches and merge patches in turns. Replica
// counts are few, so that clusters share them; builds are many, and mostly a cluster's own.
// The first patch is what changes from version to version.
func patch(n int, component string, version int, chance *rand.Rand) []byte {
	switch n % 4 {
	case 0:
		return jsonPatch(component, "replicaCount", fmt.Sprint(2+chance.IntN(6)+10*version))
	case 1:
		return mergePatch(component, fmt.Sprintf("image:\n            tag: v%d.%d.%d-build.%d",
			1+chance.IntN(3), chance.IntN(20), chance.IntN(10), chance.IntN(1000)))
	case 2:
		return jsonPatch(component, "resources/limits/memory", fmt.Sprintf("%dMi", 256*(1+chance.IntN(8))))
	default:
		return mergePatch(component, fmt.Sprintf("nodeSelector:\n            pool: pool-%02d", chance.IntN(20)))
	}
}

func jsonPatch(component, value, becomes string) []byte {
	return fmt.Appendf(nil, `  - target: {kind: PlatformComponent, name: %s}
    patch: |-
      - {op: replace, path: /spec/values/%s, value: %s}
`, component, value, becomes)
}

func mergePatch(component, values string) []byte {
	return fmt.Appendf(nil, `  - patch: |-
      apiVersion: platform.example.com/v1
      kind: PlatformComponent
      metadata:
        name: %s
      spec:
        values:
          %s
`, component, values)
}
