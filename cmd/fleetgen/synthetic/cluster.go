package synthetic

import (
	"fmt"
	"math/rand/v2"
)

// cluster identifies a cluster.
type cluster struct {
	place
	number int
}

func (f *Fleet) cluster(i int) cluster { return cluster{f.place(i % f.Stacks), i} }

func (c cluster) name() string { return fmt.Sprintf("%s-%s-%05d", c.region, c.environment, c.number) }

func (c cluster) path() string { return "clusters/" + c.region + "/" + c.name() + ".yaml" }

// chance returns random numbers of the cluster's own, so that its file is the same in a
// larger fleet.
func (f *Fleet) chance(i int) *rand.Rand { return rand.New(rand.NewPCG(f.Seed, uint64(i))) }

// clusterFile returns a cluster's file at a version, which counts its changes.
func (f *Fleet) clusterFile(i, version int) []byte {
	c, chance, moves := f.cluster(i), f.chance(i), 0
	if f.Patches == 0 {
		moves = version // without a patch to change, the provider changes
	}
	text := fmt.Appendf(nil, `apiVersion: tributary/v1alpha1
kind: Cluster
metadata:
  name: %[1]s
  labels: {environment: %[2]s, region: %[3]s, provider: %[4]s}
spec:
  dns: %[1]s.k8s.example.com
`, c.name(), c.environment, c.region, providers[(chance.IntN(len(providers))+moves)%len(providers)])
	if chance.Float64() < f.Inline {
		text = append(text, inline(chance, c)...)
	}
	if f.Patches > 0 {
		text = append(text, "  patches:\n"...)
	}
	for n, component := range chance.Perm(f.Components)[:f.Patches] {
		text = append(text, patch(n, nth(components, component), version, chance)...)
	}
	return text
}

// inline returns a component that only this cluster has.
func inline(chance *rand.Rand, c cluster) []byte {
	return fmt.Appendf(nil, `  resources:
  - apiVersion: platform.example.com/v1
    kind: PlatformComponent
    metadata:
      name: tenant-%05[1]d
    spec:
      namespace: tenant-%05[1]d
      source:
        oci_url: oci://ghcr.io/acme/charts/tenant
        oci_tag: 0.%[2]d.0
      values:
        replicaCount: %[3]d
        ingress: {host: tenant.%[4]s.k8s.example.com}
`, c.number, chance.IntN(40), 1+chance.IntN(4), c.name())
}

// patch returns the nth patch of a cluster. JSON patches and merge patches alternate.
// There are few replica counts, so clusters share patches, and many builds, so other
// patches are a cluster's own. The first patch changes from version to version.
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
