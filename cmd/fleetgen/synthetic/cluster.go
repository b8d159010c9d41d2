package synthetic

import (
	"fmt"
	"math/rand/v2"
)

// cluster is what is known of a cluster before its file is read.
type cluster struct {
	place
	number int
}

func (f *Fleet) cluster(i int) cluster { return cluster{f.place(i % f.Stacks), i} }

func (c cluster) name() string { return fmt.Sprintf("%s-%s-%05d", c.region, c.environment, c.number) }

func (c cluster) path() string { return "clusters/" + c.region + "/" + c.name() + ".yaml" }

// chance is the cluster's own luck, so that its file is the same in a larger fleet.
func (f *Fleet) chance(i int) *rand.Rand { return rand.New(rand.NewPCG(f.Seed, uint64(i))) }

// clusterFile is a cluster's file at a version, which counts how often it was changed.
func (f *Fleet) clusterFile(i, version int) []byte {
	c, chance, moves := f.cluster(i), f.chance(i), 0
	if f.Patches == 0 {
		moves = version // to another provider, for want of a patch to change
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

// inline is a component that this cluster has and no other.
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
