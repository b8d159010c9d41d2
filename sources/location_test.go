package sources_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

const someHash = "0123456789abcdef0123456789abcdef01234567"

func TestOpenReadsSource(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(".")
	must(t, err)
	digest := "sha256:" + strings.Repeat("ab", 32)
	for ref, want := range map[string]string{
		".":                   here,
		"examples/fleet/":     filepath.Join(here, "examples/fleet"),
		"/srv/fleet?ref=main": "/srv/fleet?ref=main",
		"./a:b@c":             filepath.Join(here, "a:b@c"),

		"https://host/repo.git":                      "https://host/repo.git",
		"https://host/repo.git?":                     "https://host/repo.git",
		"https://host/group/repo?ref=main":           "https://host/group/repo?ref=main",
		"https://host/repo?ref=feature%2Fx":          "https://host/repo?ref=feature/x",
		"https://host/repo?ref=a%2Bb+c":              "https://host/repo?ref=a+b+c",
		"https://host/repo?ref=100%25":               "https://host/repo?ref=100%25",
		"https://host/repo?ref=refs/pull/1/head":     "https://host/repo?ref=refs/pull/1/head",
		"https://host/repo?ref=semver:>=1.0%20<2.0":  "https://host/repo?ref=semver:>=1.0%20<2.0",
		"https://host/repo?ref=semver:~1.2":          "https://host/repo?ref=semver:~1.2",
		"https://host/repo?ref=" + someHash:          "https://host/repo?ref=" + someHash,
		"https://host/r?ref=" + upper(someHash):      "https://host/r?ref=" + someHash,
		"https://host/repo?path=fleet&ref=main":      "https://host/repo?ref=main&path=fleet",
		"https://host/repo?path=/fleet/eu/":          "https://host/repo?path=fleet/eu",
		"https://host/repo?path=./fleet":             "https://host/repo?path=fleet",
		"https://host/repo?path=.":                   "https://host/repo",
		"https://host/repo?path=/":                   "https://host/repo",
		"https://host/repo?path=a%20b%26c%23%3B%0Ad": "https://host/repo?path=a%20b%26c%23%3B%0Ad",
		"https://host/repo?path=größe":               "https://host/repo?path=größe",
		"HTTP://host:8080/a%20b.git":                 "http://host:8080/a%20b.git",
		"http://[::1]:8080/repo":                     "http://[::1]:8080/repo",

		"ssh://git@host/repo.git":              "ssh://git@host/repo.git",
		"ssh://host:2222/~user/repo":           "ssh://host:2222/~user/repo",
		"SSH://host/repo?ref=main&path=a":      "ssh://host/repo?ref=main&path=a",
		"ssh://jo.doe%40example.com@host/repo": "ssh://jo.doe%40example.com@host/repo",

		"git+file:///srv/repo.git":       "git+file:///srv/repo.git",
		"git+file:///srv/a%20b?ref=main": "git+file:///srv/a%20b?ref=main",

		"oci://host/repo":                            "oci://host/repo:latest",
		"oci://host:5000/a/b:v1":                     "oci://host:5000/a/b:v1",
		"oci://host/repo@" + digest:                  "oci://host/repo@" + digest,
		"oci://host/repo:v1@" + digest:               "oci://host/repo:v1@" + digest,
		"oci://host/repo?semver=>=1.0%20<2":          "oci://host/repo?semver=>=1.0%20<2",
		"oci://host/repo:v1?path=fleet":              "oci://host/repo:v1?path=fleet",
		"oci://host/r?layer=application/x.tar+gzip":  "oci://host/r:latest?layer=application/x.tar+gzip",
		"oci://host/r?layer=application/x&semver=1.": "",

		"oci://host/r?semver=1.x&semverFilter=^v.*-rc[0-9]+$": "oci://host/r?semver=1.x&semverFilter=^v.*-rc[0-9]+$",
		"oci://host/r?operation=copy&layer=application/x":     "oci://host/r:latest?layer=application/x&operation=copy",
		"oci://host/r:v1?operation=extract":                   "oci://host/r:v1",
	} {
		s, err := sources.Open(ref, sources.Options{})
		if want == "" {
			if err == nil {
				t.Errorf("Open(%q) = %q, want an error", ref, s)
			}
			continue
		}
		if err != nil {
			t.Errorf("Open(%q): %v", ref, err)
			continue
		}
		if got := s.String(); got != want {
			t.Errorf("Open(%q).String() = %q, want %q", ref, got, want)
		}
		must(t, s.Close())
	}
}

var upper = strings.ToUpper

func TestOpenRefusesSource(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"":                                 "is empty",
		"git@host:repo.git":                "ssh://git@host/repo.git",
		"host:hunter2@host/repo":           "without its scheme",
		"github.com/acme/fleet":            "write https:// before it",
		"ghcr.io/acme/fleet:v1":            "oci:// for an artifact",
		"git.example.com:8443/acme/fleet":  "write https:// before it",
		"git:hunter2@host:x/repo":          "scheme git is not supported",
		"file:///srv/repo.git":             "git+file:///",
		"git://host/repo.git":              "scheme git is not supported",
		"ftp://host/repo.git":              "scheme ftp is not supported",
		"https:host/repo.git":              "https://host/repo.git",
		"https://host":                     "names no repository",
		"https://host/":                    "names no repository",
		"https:///repo.git":                "names no repository",
		"https://host/a%00b":               "names no repository",
		"https://host:0/repo":              "port",
		"https://host:65536/repo":          "port",
		"ssh://git@host":                   "names no repository: write ssh://host/repo.git",
		"ssh:git@host/repo":                "names no repository",
		"ssh://git@host:99999/repo":        "port",
		"git+file://srv/repo.git":          "git+file:///srv/repo.git",
		"git+file:srv/repo.git":            "git+file:///srv/repo.git",
		"git+file:///srv/a%00b":            "git+file:///srv/repo.git",
		"https://host/repo?depth=1":        "query parameter depth is not known here: use ref, path, commit",
		"https://host/repo?semver=1.x":     "query parameter semver is not known here",
		"https://host/repo?ref=a&ref=b":    "ref more than once",
		"https://host/repo?path=a&path=b":  "path more than once",
		"https://host/repo?ref=":           "not the name of a branch",
		"https://host/repo?ref=a..b":       "not the name of a branch",
		"https://host/repo?ref=a%0Ab":      `"a\nb" is not the name of a branch`,
		"https://host/repo?ref=refs/x":     "not the name of a branch",
		"https://host/repo?ref=refs/a..b/": "not the name of a branch",
		"https://host/repo?ref=semver:":    "is not a range of versions",
		"https://host/repo?ref=semver:%20": "is not a range of versions",
		"https://host/repo?ref=semver:new": "is not a range of versions",
		"https://host/repo?ref=semver:" + strings.Repeat("1", 300): "longer than 256",
		"https://host/repo?ref=%zz":                                "query that cannot be read",
		"https://host/repo?path=":                                  "not a path within the tree",
		"https://host/repo?path=../x":                              "not a path within the tree",
		"https://host/repo?path=a/../../x":                         "not a path within the tree",
		"https://host/repo?path=a//b":                              "not a path within the tree",
		"https://host/repo?path=a%00b":                             "not a path within the tree",
		"https://host/repo?path=caf%E9":                            "not a path within the tree",
		"https://host/repo#main":                                   "?ref=",

		"oci://host":                     "names no artifact",
		"oci:host/repo":                  "names no artifact",
		"oci://host/Repo:tag":            "repository Repo is not valid",
		"oci://host/repo:a..b:c":         "tag a..b:c is not valid",
		"oci://host/repo@sha256:123":     "digest sha256:123 is not valid",
		"oci://host/repo@md5:1":          "digest md5:1 is not valid",
		"oci://host/repo?ref=main":       "query parameter ref is not known here: use semver, semverFilter, path, layer, operation",
		"oci://host/repo:v1?semver=1.x":  "both a tag or digest and semver",
		"oci://host/repo?semver=":        "not a range of versions",
		"oci://host/repo?layer=tar":      "layer tar is not a media type",
		"oci://host/repo?operation=move": "operation move is not known: write extract (the default) or copy",

		"oci://host/repo?semverFilter=rc":                                   "semverFilter without semver",
		"oci://host/repo?semver=*&semverFilter=":                            "not a regular expression",
		"oci://host/repo?semver=*&semverFilter=(":                           "semverFilter ( is not a regular expression",
		"oci://host/repo?semver=*&semverFilter=" + strings.Repeat("a", 257): "not a regular expression of at most 256 bytes",
		"oci://host/repo?path=../x":                                         "not a path within the tree",
		"oci://user:hunter2@host/repo":                                      "credentials",
		"oci://hunter2@host/repo":                                           "credentials",
		"oci://host/repo:v1?token=hunter2":                                  "query parameter token is not known",
		"oci://host/repo:v1#hunter2":                                        "fragment",
		"oci://user:hunter2@host:x/repo:tag":                                "not a URL that can be read",

		"https://hunter2@host/repo":                 "credentials",
		"https://user:hunter2@host/repo":            "credentials",
		"https://:hunter2@host/repo":                "credentials",
		"https://user:hunter2@host:port/repo":       "not a URL that can be read",
		"https://user:hun ter2@host/hunter2":        "not a URL that can be read",
		"https://user:hunter2/x@host/repo":          "not a URL that can be read",
		"https://host/repo?hunter2hunter2":          "query parameter that is not known",
		"https://host/repo?access_token=hunter2":    "query parameter access_token is not known",
		"https://host/repo?ref=main;token=hunter2":  "query that cannot be read",
		"git+file://user:hunter2@/srv/repo.git":     "credentials",
		"https://host/repo?ref=main#token=hunter2x": "fragment",
		"ssh://git:hunter2@host/repo":               "credentials",
		"ssh://-hunter2@host/repo":                  "credentials",
		"ssh://%68unter2%20x@host/repo":             "credentials",
		"https:user:hunter2@host/repo":              "names no repository",
	} {
		_, err := sources.Open(ref, sources.Options{})
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("Open(%q) = %v, want a fleet.ErrInvalid", ref, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %q, want it to say %q", ref, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q) = %q, which tells the secret", ref, err)
		}
	}
}

// FuzzOpen checks that the String of an opened source parses to the same
// source, and that no credential appears in a source or an error.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		".", "https://host/repo.git?ref=main", "git+file:///srv/repo.git", "https://user:secret@host/repo",
		"ssh://host/x", "git@host:x", "https://host/repo?ref=a&path=b", "http://[::1]:80/%2e%2e/x#y", "HTTPS://h/?=",
		"ssh://git@host:22/~a/b?path=c%20d", "ssh://git:secretsecret@host/x", "oci://h:5000/a/b:c?layer=a/b+c&path=d",
		"oci://h/a?semver=>=1.0%20<2", "https://h/r?ref=semver:%3E1", "https://h/r?path=%C2%85%FF", "a:secretsecret@b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		s, err := sources.Open(ref, sources.Options{})
		if err == nil {
			defer s.Close()
			wantSame(t, ref, s)
			return
		}
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Fatalf("Open(%q) = %v, want a fleet.ErrInvalid", ref, err)
		}
		if u, parsed := url.Parse(ref); parsed == nil && u.User != nil {
			if secret, _ := u.User.Password(); len(secret) > 8 && strings.Contains(err.Error(), secret) {
				t.Fatalf("Open(%q) = %q, which tells the secret", ref, err)
			}
		}
	})
}

func wantSame(t *testing.T, ref string, s sources.Source) {
	t.Helper()
	again, err := sources.Open(s.String(), sources.Options{})
	if err != nil {
		t.Fatalf("Open(%q) is %q, which Open refuses: %v", ref, s, err)
	}
	defer again.Close()
	if again.String() != s.String() {
		t.Fatalf("Open(%q) is %q, which Open makes %q", ref, s, again)
	}
	if filepath.IsAbs(s.String()) {
		return // A directory may have any name.
	}
	u, err := url.Parse(s.String())
	if err != nil || u.Fragment != "" {
		t.Fatalf("Open(%q) is %q, which is more than a plain URL", ref, s)
	}
	if _, password := u.User.Password(); password || u.User != nil && u.Scheme != "ssh" {
		t.Fatalf("Open(%q) is %q, which has credentials", ref, s)
	}
}
