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

func TestOpenReadsSource(t *testing.T) {
	here, err := filepath.Abs(".")
	must(t, err)
	for ref, want := range map[string]string{
		".":                                here,
		"examples/fleet/":                  filepath.Join(here, "examples/fleet"),
		"/srv/fleet?ref=main":              "/srv/fleet?ref=main",
		"https://host/repo.git":            "https://host/repo.git",
		"https://host/group/repo?ref=main": "https://host/group/repo?ref=main",
		"https://host/repo?ref=feature/x":  "https://host/repo?ref=feature%2Fx",
		"HTTP://host:8080/a%20b.git":       "http://host:8080/a%20b.git",
		"http://[::1]:8080/repo":           "http://[::1]:8080/repo",
		"git+file:///srv/repo.git":         "git+file:///srv/repo.git",
		"git+file:///srv/a%20b?ref=main":   "git+file:///srv/a%20b?ref=main",
	} {
		if got := open(t, ref).String(); got != want {
			t.Errorf("Open(%q).String() = %q, want %q", ref, got, want)
		}
	}
}

func TestOpenRefusesSource(t *testing.T) {
	for ref, want := range map[string]string{
		"":                                          "is empty",
		"ssh://git@host/repo.git":                   "credentials",
		"ssh://host/repo.git":                       "ssh is not supported yet",
		"git@host:repo.git":                         "ssh is not supported yet",
		"oci://registry/repo:tag":                   "oci is not supported yet",
		"file:///srv/repo.git":                      "git+file:///",
		"git://host/repo.git":                       "scheme git is not supported",
		"ftp://host/repo.git":                       "scheme ftp is not supported",
		"https:host/repo.git":                       "https://host/repo.git",
		"https://host":                              "names no repository",
		"https://host/":                             "names no repository",
		"https:///repo.git":                         "names no repository",
		"git+file://srv/repo.git":                   "git+file:///srv/repo.git",
		"git+file:srv/repo.git":                     "git+file:///srv/repo.git",
		"https://host/repo?path=fleet":              "path is not supported yet",
		"https://host/repo?depth=1":                 "query parameter depth is not known",
		"https://host/repo?ref=a&ref=b":             "ref more than once",
		"https://host/repo?ref=":                    "not the name of a branch",
		"https://host/repo?ref=a..b":                "not the name of a branch",
		"https://host/repo?ref=a%0Ab":               `"a\nb" is not the name of a branch`,
		"https://host/repo?ref=refs/heads/a":        "without refs/heads/",
		"https://host/repo?ref=semver:>=1":          "semver range is not supported yet",
		"https://host/repo?ref=%zz":                 "query that cannot be read",
		"https://host/repo#main":                    "?ref=",
		"https://hunter2@host/repo":                 "credentials",
		"https://user:hunter2@host/repo":            "credentials",
		"https://user:hunter2@host:port/repo":       "not a URL that can be read",
		"https://user:hun ter2@host/hunter2":        "not a URL that can be read",
		"https://user:hunter2/x@host/repo":          "not a URL that can be read",
		"https://host/repo?hunter2hunter2":          "query parameter that is not known",
		"https://host/repo?access_token=hunter2":    "query parameter access_token is not known",
		"https://host/repo?ref=main;token=hunter2":  "query that cannot be read",
		"git+file://user:hunter2@/srv/repo.git":     "credentials",
		"https://host/repo?ref=main#token=hunter2x": "fragment",
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

// FuzzOpen holds that what Open takes it gives back in a form that means the
// same, and that no credential gets past it, be it as a source or in an error.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		".", "https://host/repo.git?ref=main", "git+file:///srv/repo.git", "https://user:secret@host/repo",
		"ssh://host/x", "git@host:x", "https://host/repo?ref=a&path=b", "http://[::1]:80/%2e%2e/x#y", "HTTPS://h/?=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		s, err := sources.Open(ref, sources.Options{})
		if err == nil {
			defer s.Close()
			again, err := sources.Open(s.String(), sources.Options{})
			if err != nil {
				t.Fatalf("Open(%q) is %q, which Open refuses: %v", ref, s, err)
			}
			defer again.Close()
			if again.String() != s.String() {
				t.Fatalf("Open(%q) is %q, which Open makes %q", ref, s, again)
			}
			if filepath.IsAbs(s.String()) {
				return // A directory may be called anything.
			}
			if u, err := url.Parse(s.String()); err != nil || u.User != nil || u.Fragment != "" {
				t.Fatalf("Open(%q) is %q, which is more than a plain URL", ref, s)
			}
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
