package sources_test

import (
	"archive/tar"
	"bytes"
	"slices"
	"strconv"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

// TestOCIBoundsUnpackedSizeOfAllLayers uses layers of which each is within the
// limit.
func TestOCIBoundsUnpackedSizeOfAllLayers(t *testing.T) {
	t.Parallel()
	limits := sources.Limits{TreeSize: 1 << 20} // This allows 72 MiB of unpacked data.
	const size = 40 << 20
	var header bytes.Buffer
	must(t, tar.NewWriter(&header).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: ".git/x", Mode: 0o644, Size: size}))
	bomb := slices.Concat(gzipped(t, header.Bytes()), zeros(t, size+1<<20)) // More zeros end the archive.
	server := newRegistryServer(t)
	for tag, layers := range map[string]int{"one": 1, "two": 2} {
		blobs := []blob{{"text/plain", []byte("one"), map[string]string{"org.opencontainers.image.title": "fleet.yaml"}}}
		for i := range layers {
			blobs = append(blobs, blob{"application/vnd.oci.image.layer.v1.tar+gzip", bomb, map[string]string{
				"org.opencontainers.image.title": "part" + strconv.Itoa(i), "io.deis.oras.content.unpack": "true",
			}})
		}
		digest := server.pushImage("fleet", tag, fluxConfig, blobs...)
		o := server.options()
		o.Limits = limits
		if s := openAs(t, server.url("fleet:"+tag), o); layers == 1 {
			wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "one"})
		} else {
			wantRefused(t, s, tag+"@"+digest, "much larger than 1 MiB in total")
		}
	}
}
