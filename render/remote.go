package render

import (
	"net/url"
	"regexp"
	"strings"
)

var scpUser = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// isRemote tells whether kustomize could take a path for something to download
// or clone. It errs on that side: kustomize tries a URL before a directory of
// that name.
func isRemote(p string) bool {
	lower := strings.TrimPrefix(strings.ToLower(p), "git::")
	return strings.Contains(lower, "://") || scpUser.MatchString(lower) ||
		strings.HasPrefix(lower, "github.com/") || strings.HasPrefix(lower, "github.com:")
}

// redact takes credentials and query out of a URL, because messages are logged.
func redact(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme == "" {
		before, _, _ := strings.Cut(p, "?")
		return before
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
