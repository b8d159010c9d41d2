package sources

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-gitops/tributary/fleet"
)

// location is a SOURCE, taken apart. Exactly one of directory and repository is set.
type location struct {
	// directory is an absolute path.
	directory string
	// repository is a URL of scheme http, https or file, without userinfo,
	// query and fragment.
	repository *url.URL
	// branch is empty for the one that the remote's HEAD points to.
	branch string
}

// String gives the SOURCE back in a form that parses to the same location.
func (l location) String() string {
	if l.repository == nil {
		return l.directory
	}
	u := *l.repository
	if u.Scheme == "file" {
		u.Scheme = "git+file"
	}
	if l.branch != "" {
		u.RawQuery = url.Values{"ref": {l.branch}}.Encode()
	}
	return u.String()
}

// site is where it is, without what is wanted from there.
func (l location) site() string {
	l.branch = ""
	return l.String()
}

var (
	// schemeLike also catches a URL that lacks its slashes, which is a slip
	// rather than the name of a directory.
	schemeLike = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://|(?i:https?|git\+file|file|git|ssh|oci):)`)
	// scpLike is Git's short form of ssh://, such as git@host:repo.git.
	scpLike = regexp.MustCompile(`^[^/@:]+@[^/:]+:`)
)

// parseLocation reads the SOURCE grammar. Its errors name parts of ref only
// where those cannot hold a secret, because command lines and logs are read by
// others.
func parseLocation(ref string) (location, error) {
	switch {
	case ref == "":
		return location{}, refuse("is empty: name a directory or a Git repository")
	case scpLike.MatchString(ref):
		return location{}, refuse("ssh is not supported yet: use the repository's https URL")
	case schemeLike.MatchString(ref):
		return parseURL(ref)
	}
	dir, err := filepath.Abs(ref)
	if err != nil {
		return location{}, refuse("the working directory is gone: name the directory by its absolute path")
	}
	return location{directory: dir}, nil
}

func parseURL(ref string) (location, error) {
	u, err := url.Parse(ref)
	if err != nil {
		// The parser's reason quotes the part it stumbled over, which may be a password.
		return location{}, refuse("is not a URL that can be read: check its port, and write special characters as %%XX")
	}
	if u.User != nil {
		return location{}, refuse("holds credentials: take them out, since command lines and logs are read by others")
	}
	if u.Fragment != "" {
		return location{}, refuse("has a fragment (#…): name the branch with ?ref=")
	}
	if err := checkScheme(u); err != nil {
		return location{}, err
	}
	branch, err := parseQuery(u.RawQuery)
	if err != nil {
		return location{}, err
	}
	repository := &url.URL{
		Scheme:  strings.TrimPrefix(u.Scheme, "git+"),
		Host:    u.Host,
		Path:    u.Path,
		RawPath: u.RawPath,
	}
	return location{repository: repository, branch: branch}, nil
}

func checkScheme(u *url.URL) error {
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
			return refuse("names no repository: write %s://host/repo.git", u.Scheme)
		}
		return nil
	case "git+file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return refuse("names no absolute path: write git+file:///srv/repo.git")
		}
		return nil
	case "file":
		return refuse("scheme file is not supported: write git+file:///… for a Git repository, or only the path of a directory")
	case "ssh", "oci":
		return refuse("scheme %s is not supported yet: use an https or git+file URL, or a directory", u.Scheme)
	default:
		return refuse("scheme %s is not supported: use an https, http or git+file URL, or a directory", printable(u.Scheme))
	}
}

// parameterName is what a parameter's name looks like; anything else might be a
// token that lost its name.
var parameterName = regexp.MustCompile(`^[A-Za-z_-]{1,32}$`)

func parseQuery(raw string) (branch string, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", refuse("has a query that cannot be read: write special characters as %%XX")
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch {
		case name == "ref" && len(query[name]) == 1:
			branch = query.Get(name)
		case name == "ref":
			return "", refuse("has ref more than once: leave one")
		case name == "path":
			return "", refuse("query parameter path is not supported yet: put the fleet repo at the root")
		case parameterName.MatchString(name):
			return "", refuse("query parameter %s is not known: ref is", name)
		default:
			return "", refuse("has a query parameter that is not known: ref is")
		}
	}
	if query.Has("ref") {
		err = checkBranch(branch)
	}
	return branch, err
}

func checkBranch(branch string) error {
	switch {
	case strings.HasPrefix(branch, "semver:"):
		return refuse("ref: a semver range is not supported yet: name a branch")
	case strings.HasPrefix(branch, "refs/"):
		return refuse("ref %s: write the branch alone, without refs/heads/", printable(branch))
	case plumbing.NewBranchReferenceName(branch).Validate() != nil:
		return refuse("ref %s is not the name of a branch: leave ref out for the default one", printable(branch))
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("SOURCE %s: %w", fmt.Sprintf(format, args...), fleet.ErrInvalid)
}
