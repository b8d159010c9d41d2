package sources_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

var someFiles = map[string]string{"fleet.yaml": "one", "base/a/a.yaml": "a", "base/b.yaml": "b", "empty.yaml": ""}

func TestOCIReadsWhatFluxPushes(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushFlux("fleet:v1.2.0", someFiles)
	s := server.open("fleet:v1.2.0")
	if got, want := s.String(), server.url("fleet:v1.2.0"); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	snapshot := fetch(t, s, "")
	if want := "v1.2.0@" + digest; snapshot.Revision != want {
		t.Errorf("revision = %q, want %q", snapshot.Revision, want)
	}
	wantContents(t, snapshot.Tree, someFiles)
	fetchNothing(t, s, snapshot.Revision)
	fetchNothing(t, server.open("fleet:v1.2.0"), snapshot.Revision)
}

func TestOCIReadsTheLatestTagWhereNoneIsNamed(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushFlux("fleet:latest", someFiles)
	if got, want := fetch(t, server.open("fleet"), "").Revision, "latest@"+digest; got != want {
		t.Errorf("revision = %q, want %q", got, want)
	}
}

// TestOCIReadsWhatOrasPushes compares the tree with what oras pulls.
func TestOCIReadsWhatOrasPushes(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	dir := writeTree(t, map[string]string{
		"fleet/fleet.yaml": "one", "fleet/base/a.yaml": "a", "fleet/base/link": "-> a.yaml", "fleet/run.sh": "x",
		"other/deep/b.yaml": "b", "c.yaml": "c", "fleet/ümlaut é.yaml": "u", "other/" + strings.Repeat("long", 50) + ".yaml": "l",
	})
	must(t, os.Chmod(filepath.Join(dir, "fleet/run.sh"), 0o755))
	for name, push := range map[string][]string{
		"directory":             {"fleet"},
		"directory with slash":  {"./fleet/"},
		"all":                   {"."},
		"directory below":       {"fleet/base"},
		"two directories":       {"fleet", "other"},
		"directories and files": {"fleet/base", "other", "c.yaml", "fleet/fleet.yaml"},
		"a file":                {"c.yaml"},
		"files with types":      {"c.yaml:application/yaml", "fleet/run.sh:text/x-shellscript"},
	} {
		t.Run(name, func(t *testing.T) {
			tag := strings.ReplaceAll(name, " ", "-")
			digest := digestOf(t, server.oras(dir, append([]string{"push", server.host + "/fleet:" + tag}, push...)...))
			snapshot := fetch(t, server.open("fleet:"+tag), "")
			if want := tag + "@" + digest; snapshot.Revision != want {
				t.Errorf("revision = %q, want %q", snapshot.Revision, want)
			}
			pulled := t.TempDir()
			server.oras(pulled, "pull", server.host+"/fleet:"+tag)
			wantContents(t, snapshot.Tree, contents(t, os.DirFS(pulled)))
			if len(contents(t, snapshot.Tree)) == 0 {
				t.Error("the tree is empty")
			}
		})
	}
	tree := fetch(t, server.open("fleet:directory"), "").Tree
	if got := read(t, tree, "fleet/base/link"); got != "a" {
		t.Errorf("fleet/base/link leads to %q, want a", got)
	}
	if info, err := tree.(interface {
		Stat(string) (os.FileInfo, error)
	}).Stat("fleet/run.sh"); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("fleet/run.sh = %v, %v, want it to be executable", info, err)
	}
}

func TestOCILeavesGitOut(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushImage("fleet", "v1", fluxConfig, blob{fluxContent, gzipped(t, tarred(t,
		entryFile("fleet.yaml", "one"), entryDir(".git"), entryFile(".git/HEAD", "ref"), entryLink("vendor/.git", "x"), entryFile("vendor/.gitkeep", "y"),
	)), nil})
	wantContents(t, fetch(t, server.open("fleet:v1"), "").Tree, map[string]string{"fleet.yaml": "one", "vendor/.gitkeep": "y"})
}

// TestOCIReadsLayers uses every kind of layer that is supported.
func TestOCIReadsLayers(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	archive := tarred(t, entryDir("./"), entryDir("./base/"), entryFile("./base/a.yaml", "a"), entryFile("fleet.yaml", "one"))
	zipped := string(gzipped(t, archive))
	encoder, err := zstd.NewWriter(nil)
	must(t, err)
	zstandard := string(encoder.EncodeAll(archive, nil))
	files := map[string]string{"base/a.yaml": "a", "fleet.yaml": "one"}
	plain := func(mediaType, content string) []blob { return []blob{{mediaType, []byte(content), nil}} }
	unpacked := func(b blob) blob { b.annotations[unpackKey] = "true"; return b }
	for name, c := range map[string]struct {
		layers []blob
		want   map[string]string
	}{
		"oci tar":                {plain("application/vnd.oci.image.layer.v1.tar", string(archive)), files},
		"oci tar+gzip":           {plain(ociLayer, zipped), files},
		"oci tar+zstd":           {plain("application/vnd.oci.image.layer.v1.tar+zstd", zstandard), files},
		"docker rootfs":          {plain(dockerLayer, zipped), files},
		"type that lies":         {plain(ociLayer, string(archive)), files},
		"unknown type, gzip":     {plain("application/octet-stream", zipped), files},
		"unknown type, tar":      {plain("application/x-tar", string(archive)), files},
		"flux with title":        {[]blob{titled("content.tar.gz", fluxContent, zipped)}, files},
		"archive with title":     {[]blob{titled("content.tgz", "application/vnd.oci.image.layer.v1.tar", zipped)}, files},
		"file of zeros, gzip":    {[]blob{titled("a.gz", ociLayer, string(gzipped(t, make([]byte, 2000))))}, map[string]string{"a.gz": string(gzipped(t, make([]byte, 2000)))}},
		"file":                   {[]blob{titled("base/a.yaml", "application/yaml", "a")}, map[string]string{"base/a.yaml": "a"}},
		"empty file":             {[]blob{titled("a.yaml", "application/yaml", "")}, map[string]string{"a.yaml": ""}},
		"archive beside file":    {[]blob{titled("a.yaml", "application/yaml", "a"), titled("c.tgz", "application/gzip", zipped)}, map[string]string{"a.yaml": "a", "c.tgz": zipped}},
		"flux beside file":       {[]blob{titled("c.tgz", fluxContent, zipped), titled("b.yaml", "text/plain", "b")}, map[string]string{"base/a.yaml": "a", "fleet.yaml": "one", "b.yaml": "b"}},
		"empty archive":          {plain(ociLayer, string(gzipped(t, tarred(t)))), map[string]string{}},
		"several, first is read": {[]blob{{fluxContent, []byte(zipped), nil}, {ociLayer, fluxArchive(t, someFiles), nil}, titled("x", "text/plain", "x")}, files},
		"several with titles": {[]blob{
			unpacked(titled("base", ociLayer, zipped)), {"text/plain", []byte("no title"), nil}, titled("b.yaml", "text/plain", "b"),
		}, map[string]string{"base/a.yaml": "a", "fleet.yaml": "one", "b.yaml": "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			server.pushImage("fleet", "t", fluxConfig, c.layers...)
			wantContents(t, fetch(t, server.open("fleet:t"), "").Tree, c.want)
		})
	}
}

func TestOCIReadsDockerImages(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushImage("fleet", "v1", dockerConfigType, blob{dockerLayer, fluxArchive(t, someFiles), nil})
	wantContents(t, fetch(t, server.open("fleet:v1"), "").Tree, someFiles)
}

func TestOCIRefusesLayers(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	many := make([]blob, 129)
	for i := range many {
		many[i] = titled("a", "text/plain", "a")
	}
	archive := fluxArchive(t, someFiles)
	for name, c := range map[string]struct {
		layers []blob
		want   []string
	}{
		"none":            {nil, []string{"has no layers"}},
		"many":            {many, []string{"more than 128 layers"}},
		"text":            {[]blob{{"text/plain", []byte("x"), nil}}, []string{"of media type text/plain is not a tar archive and has no title", "layer="}},
		"flux, no tar":    {[]blob{{fluxContent, gzipped(t, []byte("hello")), nil}}, []string{"layer sha256:", "is broken", "push the artifact again"}},
		"flux, no gzip":   {[]blob{{fluxContent, []byte("hello"), nil}}, []string{"is not a tar archive"}},
		"gzip cut short":  {[]blob{{fluxContent, archive[:len(archive)/2], nil}}, []string{"is broken", "EOF"}},
		"tar cut short":   {[]blob{{fluxContent, gzipped(t, tarred(t, entryFile("a", strings.Repeat("a", 9000)))[:5000]), nil}}, []string{"is broken", "EOF"}},
		"title with ..":   {[]blob{titled("../a.yaml", "text/plain", "a")}, []string{"../a.yaml: leads out of the artifact"}},
		"absolute title":  {[]blob{titled("/etc/a.yaml", "text/plain", "a")}, []string{"/etc/a.yaml: is an absolute path"}},
		"title of dots":   {[]blob{titled("././", "text/plain", "a")}, []string{"././ is not a file name"}},
		"one title twice": {[]blob{titled("a", "text/plain", "a"), titled("./a", "text/plain", "b")}, []string{"a: is in the artifact twice"}},
		"file and folder": {[]blob{titled("base", "text/plain", "a"), titled("base/a", "text/plain", "b")}, []string{"base: is in the artifact twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			digest := server.pushImage("fleet", "t", fluxConfig, c.layers...)
			wantRefused(t, server.open("fleet:t"), "t@"+digest, c.want...)
		})
	}
}

func refusedRevision(err error) (revision string, ok bool) {
	var refused *fleet.RefusedError
	if !errors.As(err, &refused) {
		return "", false
	}
	return refused.Revision, true
}

// wantRefused fetches twice and expects a refusal of that revision each time.
func wantRefused(t *testing.T, s fleet.Source, revision string, want ...string) {
	t.Helper()
	for range 2 {
		err := fetchError(t, s, want...)
		if got, ok := refusedRevision(err); !ok || got != revision {
			t.Errorf("error = %v, want a refusal of %s", err, revision)
		}
	}
}

func TestOCILayerSelectsByMediaType(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushImage("fleet", "v1", fluxConfig,
		blob{"text/plain", []byte("x"), nil},
		blob{"application/vnd.acme+gzip", fluxArchive(t, someFiles), nil},
		blob{"application/vnd.acme+gzip", fluxArchive(t, map[string]string{"second": "2"}), nil},
		titled("a.yaml", "application/yaml", "a"), titled("b.yaml", "application/yaml", "b"), titled("c.txt", "text/x", "c"),
	)
	wantContents(t, fetch(t, server.open("fleet:v1?layer=application/vnd.acme%2Bgzip"), "").Tree, someFiles)
	wantContents(t, fetch(t, server.open("fleet:v1?layer=application/yaml"), "").Tree, map[string]string{"a.yaml": "a", "b.yaml": "b"})
	fetchError(t, server.open("fleet:v1?layer=application/none"), "no layer of media type application/none", "text/plain, application/vnd.acme+gzip")
}

func TestOCIReadsBelowPath(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushImage("fleet", "v1", fluxConfig, blob{fluxContent, gzipped(t, tarred(t,
		entryDir("."), entryFile("other/large", noise(5000)), entryDir("apps/fleet"), entryFile("apps/fleet/fleet.yaml", "one"),
		entryFile("./apps/fleet/base/a.yaml", "a"), entryFile("apps/fleetx/b.yaml", "b"), entryFile("file", "f"), entryLink("current", "apps/fleet"),
		entryDir("apps/empty"),
	)), nil})
	o := server.options()
	o.Limits = sources.Limits{FileSize: 1000, Files: 4}
	wantContents(t, fetch(t, openAs(t, server.url("fleet:v1?path=apps/fleet"), o), "").Tree, map[string]string{"fleet.yaml": "one", "base/a.yaml": "a"})
	wantContents(t, fetch(t, server.open("fleet:v1?path=apps/empty"), "").Tree, map[string]string{})
	for path, want := range map[string]string{
		"nowhere":      "path nowhere is not in the artifact",
		"apps/flee":    "path apps/flee is not in the artifact",
		"file":         "path file is a file or a symbolic link",
		"file/below":   "path file is a file or a symbolic link",
		"current":      "path current is a file or a symbolic link, not a directory",
		"current/base": "path current is a file or a symbolic link",
	} {
		wantRefused(t, server.open("fleet:v1?path="+path), "v1@"+digest, want)
	}
}

func TestOCIDigestIsAskedForOnce(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushFlux("fleet:v1", someFiles)
	server.pushFlux("fleet:v1", map[string]string{"other": "x"})
	proxy := server.proxy()
	for _, ref := range []string{"fleet@" + digest, "fleet:v1@" + digest, "fleet:gone@" + digest} {
		s := openAs(t, "oci://"+proxy.host()+"/"+ref, server.options())
		snapshot := fetch(t, s, "")
		if snapshot.Revision != digest {
			t.Errorf("revision = %q, want %q", snapshot.Revision, digest)
		}
		wantContents(t, snapshot.Tree, someFiles)
		proxy.takeRequests()
		fetchNothing(t, s, snapshot.Revision)
		if requests := proxy.takeRequests(); len(requests) > 0 {
			t.Errorf("%s: a look at a digest that is known asks for %q", ref, requests)
		}
	}
	absent := "sha256:" + strings.Repeat("ab", 32)
	fetchError(t, server.open("fleet@"+absent), "digest "+absent, "not found")
}

func TestOCISemverTakesTheHighestTag(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	files := func(name string) map[string]string { return map[string]string{"is": name} }
	for _, tag := range []string{"v1.0.0", "v1.9.0", "v1.10.0", "2.0.0", "3.0.0-rc.1", "latest", "v4", "5.1", "2024-01-01", "v1.10.0-rc.9"} {
		server.pushFlux("fleet:"+tag, files(tag))
	}
	for versions, want := range map[string]string{
		"1.x": "v1.10.0", ">=1.0.0": "2.0.0", ">=1.0.0-0": "3.0.0-rc.1", "~1.9": "v1.9.0", "*": "2.0.0", ">=1.0%20<1.10": "v1.9.0",
	} {
		snapshot := fetch(t, server.open("fleet?semver="+versions), "")
		if tag, _, _ := strings.Cut(snapshot.Revision, "@"); tag != want {
			t.Errorf("semver=%s reads %s, want %s", versions, tag, want)
		}
		wantContents(t, snapshot.Tree, files(want))
	}
	s := server.open("fleet?semver=1.x")
	known := fetch(t, s, "").Revision
	fetchNothing(t, s, known)
	server.pushFlux("fleet:v1.11.0", files("v1.11.0"))
	wantContents(t, fetch(t, s, known).Tree, files("v1.11.0"))
	fetchError(t, server.open("fleet?semver=9.x"), "semver 9.x", "not found", "none of the repository's 11 tags")
	fetchError(t, server.open("none?semver=9.x"), "not found; check the name of the repository")
}

func TestOCISemverFilterLeavesOutTags(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digests := map[string]string{}
	for _, tag := range []string{"1.0.0", "1.1.0-rc.1", "1.1.0-rc.2", "1.1.0-beta.9", "1.1.0"} {
		digests[tag] = server.pushFlux("fleet:"+tag, map[string]string{"is": tag})
	}
	for query, want := range map[string]string{
		"semver=>=1.0.0-0&semverFilter=.*-rc.*":  "1.1.0-rc.2",
		"semver=>=1.0.0-0&semverFilter=-rc.1$":   "1.1.0-rc.1",
		"semver=1.x&semverFilter=^1%5C.0%5C.":    "1.0.0",
		"semver=1.x&semverFilter=^[0-9.]%2B$":    "1.1.0",
		"semver=>=1.0.0-0&semverFilter=rc|beta.": "1.1.0-rc.2",
	} {
		if got := read(t, fetch(t, server.open("fleet?"+query), "").Tree, "is"); got != want {
			t.Errorf("%s reads %s, want %s", query, got, want)
		}
	}
	s := server.open("fleet?semver=1.x&semverFilter=-rc")
	fetchError(t, s, "semver 1.x", "not found", "of the repository's 5 tags, 2 match semverFilter -rc")
	at(t, s, "semver:>=1.0.0-0", "1.1.0-rc.2@"+digests["1.1.0-rc.2"])
}

// TestOCICopyReadsALayerAsItIs uses layers with titles, of which a source without
// operation=copy reads all.
func TestOCICopyReadsALayerAsItIs(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	files := map[string]string{"fleet.yaml": "one", ".sourceignore": "b.yaml", "b.yaml": "b", "c.png": "c"}
	server.pushImage("fleet", "v1", fluxConfig,
		titled("all.tgz", "application/x", string(fluxArchive(t, files))), titled("d.yaml", "application/x", "d"))
	wantContents(t, fetch(t, server.open("fleet:v1?operation=copy"), "").Tree, files)
	wantContents(t, fetch(t, server.open("fleet:v1?operation=copy&layer=application/x"), "").Tree, files)
	server.pushFlux("fleet:v2", files)
	wantContents(t, fetch(t, server.open("fleet:v2?operation=copy"), "").Tree, files)
	left := fetch(t, server.open("fleet:v2?operation=extract"), "").Tree
	wantContents(t, left, map[string]string{"fleet.yaml": "one", ".sourceignore": "b.yaml"})
	digest := server.pushImage("fleet", "v3", fluxConfig, titled("d.yaml", "text/x", "d"))
	wantRefused(t, server.open("fleet:v3?operation=copy"), "v3@"+digest, "is not a tar archive")
}

func TestOCISemverOfHelmCharts(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	const chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	server.pushImage("fleet", "1.0.0_build.2", fluxConfig, blob{chart, fluxArchive(t, someFiles), nil})
	s := server.open("fleet?semver=1.x&layer=" + strings.ReplaceAll(chart, "+", "%2B"))
	if got := fetch(t, s, "").Revision; !strings.HasPrefix(got, "1.0.0_build.2@") {
		t.Errorf("revision = %q, want 1.0.0_build.2", got)
	}
	fetchError(t, server.open("fleet?semver=1.x"), "not found")
}

func TestOCIFollowsATag(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	large := noise(1000)
	first := server.pushFlux("fleet:main", map[string]string{"same/a": large, "b": "1"})
	s := server.open("fleet:main")
	one := fetch(t, s, "")
	second := server.pushFlux("fleet:main", map[string]string{"same/a": large, "b": "2", "c": large})
	two := fetch(t, s, one.Revision)
	if one.Revision != "main@"+first || two.Revision != "main@"+second {
		t.Errorf("revisions = %q, %q, want %s and %s", one.Revision, two.Revision, first, second)
	}
	wantContents(t, two.Tree, map[string]string{"same/a": large, "b": "2", "c": large})
	wantContents(t, one.Tree, map[string]string{"same/a": large, "b": "1"})
	wantShared(t, one.Tree, two.Tree, "same/a", true)
	wantShared(t, one.Tree, two.Tree, "b", false)
	server.oras(t.TempDir(), "tag", server.host+"/fleet@"+first, "main")
	if back := fetch(t, s, two.Revision); back.Revision != one.Revision {
		t.Errorf("revision = %q after the tag went back, want %q", back.Revision, one.Revision)
	}
}

// TestOCIPullsNothingTwice uses another tag of the same artifact, and a caller
// that lost its snapshot.
func TestOCIPullsNothingTwice(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:1.0.0", someFiles)
	proxy := server.proxy()
	s := openAs(t, "oci://"+proxy.host()+"/fleet?semver=1.x", server.options())
	known := fetch(t, s, "")
	server.pushFlux("fleet:1.0.1", someFiles)
	proxy.takeRequests()
	for _, known := range []string{known.Revision, ""} {
		again := fetch(t, s, known)
		wantContents(t, again.Tree, someFiles)
		if !strings.HasPrefix(again.Revision, "1.0.1@") {
			t.Errorf("revision = %q, want 1.0.1", again.Revision)
		}
	}
	for _, request := range proxy.takeRequests() {
		if !strings.HasPrefix(request, "HEAD ") && !strings.HasSuffix(request, "/tags/list") {
			t.Errorf("%s, though the artifact was read before", request)
		}
	}
}

func TestOCILooksInOneRoundTrip(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:main", someFiles)
	proxy := server.proxy()
	s := openAs(t, "oci://"+proxy.host()+"/fleet:main", server.options())
	known := fetch(t, s, "").Revision
	want := []string{"HEAD /v2/fleet/manifests/main", "GET /v2/fleet/manifests/" + known[len("main@"):]}
	if got := proxy.takeRequests(); len(got) != 3 || !slices.Equal(got[:2], want) || !strings.HasPrefix(got[2], "GET /v2/fleet/blobs/") {
		t.Errorf("the first fetch asks for %q, want %q and a blob", got, want)
	}
	fetchNothing(t, s, known)
	if got := proxy.takeRequests(); !slices.Equal(got, want[:1]) {
		t.Errorf("a look asks for %q, want %q", got, want[:1])
	}
}

// TestOCILooksForAVersionInOneRoundTrip answers neither of two requests before
// both have arrived.
func TestOCILooksForAVersionInOneRoundTrip(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1.0.0", someFiles)
	proxy := server.proxy()
	s := openAs(t, "oci://"+proxy.host()+"/fleet?semver=1.x", server.options())
	known := fetch(t, s, "").Revision
	var both sync.WaitGroup
	both.Add(2)
	proxy.intercept(func(http.ResponseWriter, *http.Request) bool {
		both.Done()
		both.Wait()
		return false
	})
	fetchNothing(t, s, known)
	proxy.intercept(nil)
	server.pushFlux("fleet:v1.1.0", map[string]string{"fleet.yaml": "newer"})
	wantContents(t, fetch(t, s, known).Tree, map[string]string{"fleet.yaml": "newer"})
}

func TestOCIRemembersWhatItRefused(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	digest := server.pushImage("fleet", "v1", fluxConfig, blob{fluxContent, gzipped(t, tarred(t, entryFile("../x", "x"))), nil})
	proxy := server.proxy()
	s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
	wantRefused(t, s, "v1@"+digest, "../x")
	proxy.takeRequests()
	wantRefused(t, s, "v1@"+digest, "../x")
	for _, request := range proxy.takeRequests() {
		if !strings.HasPrefix(request, "HEAD ") {
			t.Errorf("%s, though the artifact was refused before", request)
		}
	}
	server.pushFlux("fleet:v1", someFiles)
	wantContents(t, fetch(t, s, "").Tree, someFiles)
}

// TestOCIIndexStandsForOneImage expects the same as in Flux: an index stands
// for its image for linux/amd64, or its first image without a platform.
func TestOCIIndexStandsForOneImage(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	image := func(tag string, files map[string]string, os, architecture string) ocispec.Descriptor {
		server.pushFlux("fleet:"+tag, files)
		d, err := server.repository("fleet").Resolve(t.Context(), tag)
		must(t, err)
		if os != "" {
			d.Platform = &ocispec.Platform{OS: os, Architecture: architecture}
		}
		return d
	}
	arm := image("arm", map[string]string{"arm": "x"}, "linux", "arm64")
	amd := image("amd", someFiles, "linux", "amd64")
	either := image("any", someFiles, "", "")
	for name, c := range map[string]struct {
		mediaType string
		images    []ocispec.Descriptor
		want      string
	}{
		"with platforms":         {ocispec.MediaTypeImageIndex, []ocispec.Descriptor{arm, amd}, ""},
		"docker's, platforms":    {"application/vnd.docker.distribution.manifest.list.v2+json", []ocispec.Descriptor{arm, amd}, ""},
		"without platforms":      {ocispec.MediaTypeImageIndex, []ocispec.Descriptor{arm, either}, ""},
		"for other platforms":    {ocispec.MediaTypeImageIndex, []ocispec.Descriptor{arm}, "is an index of 1 images in place of an image, and none of them is for linux/amd64"},
		"empty":                  {ocispec.MediaTypeImageIndex, []ocispec.Descriptor{}, "is an index of 0 images"},
		"docker's for other one": {"application/vnd.docker.distribution.manifest.list.v2+json", []ocispec.Descriptor{arm}, "is an index of 1 images"},
	} {
		t.Run(name, func(t *testing.T) {
			digest := server.pushManifest("fleet", "index", c.mediaType, map[string]any{"schemaVersion": 2, "mediaType": c.mediaType, "manifests": c.images})
			s := server.open("fleet:index")
			if c.want != "" {
				wantRefused(t, s, "index@"+digest, c.want, "push the image itself")
				return
			}
			snapshot := fetch(t, s, "")
			wantContents(t, snapshot.Tree, someFiles)
			if snapshot.Revision != "index@"+digest {
				t.Errorf("revision = %q, want that of the index, %s", snapshot.Revision, digest)
			}
		})
	}
}

func TestOCISameFilesAreTheSameTree(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	entries := []tarEntry{entryFile("b/x", "x"), entryFile("a", "a"), entryDir("b"), entryFile("b/y", "y"), entryLink("c", "a")}
	server.pushImage("fleet", "v1", fluxConfig, blob{fluxContent, gzipped(t, tarred(t, entries...)), nil})
	slices.Reverse(entries)
	server.pushImage("fleet", "v2", fluxConfig, blob{fluxContent, gzipped(t, tarred(t, entries...)), nil})
	one, two := contents(t, fetch(t, server.open("fleet:v1"), "").Tree), contents(t, fetch(t, server.open("fleet:v2"), "").Tree)
	if !maps.Equal(one, two) || len(one) != 4 {
		t.Errorf("trees = %q, %q, want the same", one, two)
	}
}

func TestOCIFetchesOneAtATime(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	proxy := server.proxy()
	asked, goOn := make(chan struct{}), make(chan struct{})
	proxy.intercept(func(http.ResponseWriter, *http.Request) bool {
		asked <- struct{}{}
		<-goOn
		return false
	})
	s := openAs(t, "oci://"+proxy.host()+"/fleet:v1", server.options())
	done := make(chan error)
	go func() {
		_, err := s.Fetch(deadline(t), "")
		done <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a second Fetch = %v, want it to give up waiting", err)
	}
	proxy.intercept(nil)
	close(goOn)
	must(t, <-done)
}

func TestOCIWatchReturnsImmediately(t *testing.T) {
	t.Parallel()
	s := openAs(t, "oci://127.0.0.1:1/fleet:v1", sources.Options{})
	must(t, s.Watch(t.Context(), func() { t.Error("moved was called") }))
}

// TestOCIReadsARegistryWithoutHEAD uses registries that do not find what is
// asked for with HEAD, or do not support it.
func TestOCIReadsARegistryWithoutHEAD(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1.0.0", someFiles)
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		proxy := server.proxy()
		proxy.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.WriteHeader(status)
			}
			return r.Method == http.MethodHead
		})
		for _, reference := range []string{":v1.0.0", "?semver=1.x"} {
			fetch(t, openAs(t, "oci://"+proxy.host()+"/fleet"+reference, server.options()), "")
		}
		fetchError(t, openAs(t, "oci://"+proxy.host()+"/fleet:v2", server.options()), "tag v2: not found there; it has the tag v1.0.0")
	}
}
