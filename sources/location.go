package sources

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/git"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
	"github.com/tributary-gitops/tributary/sources/oci"
)

// location is a parsed SOURCE. Exactly one of directory, repository and
// artifact is set.
type location struct {
	// directory is an absolute path.
	directory string
	// repository is a URL with scheme http, https, ssh or file, without
	// password, query and fragment.
	repository *url.URL
	// ref is the ref to read from the repository.
	ref git.Ref
	// artifact is the artifact to read from a registry.
	artifact *oci.Reference
	// path is the fleet repo's directory in the repository or artifact, in the
	// form of fs.ValidPath; empty for the root.
	path string
}

// String returns the SOURCE in a form that parses to the same location.
func (l location) String() string {
	switch {
	case l.repository != nil:
		return l.base() + query("ref", l.ref.String(), "commit", l.ref.Within(), "path", l.path)
	case l.artifact != nil:
		return "oci://" + l.artifact.String() + query("semver", l.artifact.Semver, "semverFilter", l.artifact.SemverFilter,
			"layer", l.artifact.Layer, "operation", operation(l.artifact.Copy), "path", l.path)
	}
	return l.directory
}

// base returns the location without ref, version and path.
func (l location) base() string {
	switch {
	case l.repository != nil:
		return git.BaseURL(l.repository)
	case l.artifact != nil:
		return "oci://" + l.artifact.Name()
	}
	return l.directory
}

// Fleet returns the name of the fleet that a SOURCE has, whatever its branch, tag or version: two SOURCEs
// with different names have different fleets, or the fleet has moved.
func Fleet(ref string) (string, error) {
	l, err := parseLocation(ref)
	return strings.TrimSuffix(strings.TrimRight(l.base(), "/"), ".git") + query("path", l.path), err
}

var (
	// schemeLike also matches a URL without its slashes, which is a mistake and
	// not the name of a directory.
	schemeLike = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://|(?i:https?|git\+file|file|git|ssh|oci):)`)
	// scpLike matches Git's short form of ssh://, such as git@host:repo.git.
	scpLike = regexp.MustCompile(`^[^/@:]+@[^/:]+:`)
	// hostLike matches a URL without a scheme, such as github.com/acme/fleet.
	hostLike = regexp.MustCompile(`^[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?/`)
	// loginLike matches a URL without a scheme that contains a password.
	loginLike = regexp.MustCompile(`^[^/]*:[^/]*@`)
)

// parseLocation parses a SOURCE. Its errors quote only parts that cannot
// contain a secret, because other people can read command lines and logs.
func parseLocation(ref string) (location, error) {
	switch {
	case ref == "":
		return location{}, invalidSource("is empty: name a directory, a Git repository or an OCI artifact")
	case scpLike.MatchString(ref):
		return location{}, invalidSource("is in Git's short form: write ssh://git@host/repo.git for git@host:repo.git")
	case schemeLike.MatchString(ref):
		return parseURL(ref)
	case loginLike.MatchString(ref):
		return location{}, invalidSource("is a URL without its scheme: write https:// before it and leave out the credentials, or ./ before the name of a directory")
	}
	dir, err := filepath.Abs(ref)
	if err != nil {
		return location{}, invalidSource("the working directory is gone: name the directory by its absolute path")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && hostLike.MatchString(ref) {
		return location{}, invalidSource("is a URL without its scheme, and no directory: write https:// before it for a Git repository, oci:// for an artifact, or ./ before the name of a directory")
	}
	return location{directory: dir}, nil
}

func parseURL(ref string) (location, error) {
	u, err := url.Parse(ref)
	if err != nil {
		// The parser's error quotes the invalid part, which may be a password.
		return location{}, invalidSource("is not a URL that can be read: check its port, and write special characters as %%XX")
	}
	switch u.Scheme {
	case "git+ssh", "ssh+git", "git+http", "git+https": // as pip, npm and others write it
		u.Scheme = strings.TrimSuffix(strings.TrimPrefix(u.Scheme, "git+"), "+git")
	}
	if err := checkCredentials(u); err != nil {
		return location{}, err
	}
	if u.Fragment != "" {
		return location{}, invalidSource("has a fragment (#…): use ?ref= or ?path= instead")
	}
	if u.Scheme == "oci" {
		return parseArtifactURL(u)
	}
	return parseRepositoryURL(u)
}

// checkCredentials returns an error if the URL contains credentials. The user
// name of an SSH URL, usually git, is not a secret and is allowed.
func checkCredentials(u *url.URL) error {
	if u.User == nil {
		return nil
	}
	if _, password := u.User.Password(); u.Scheme == "ssh" && !password && IsSSHUser(u.User.Username()) {
		return nil
	}
	return invalidSource("contains credentials: remove them, because other people can read command lines and logs, and put them into a file")
}

// IsSSHUser reports whether a name is that of an account, which may be an email
// address, and so not a token.
func IsSSHUser(name string) bool { return sshUser.MatchString(name) }

var sshUser = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.+-]{0,31}(?:@[A-Za-z0-9.-]{1,64})?$`)

func parseRepositoryURL(u *url.URL) (location, error) {
	if err := checkScheme(u); err != nil {
		return location{}, err
	}
	values, err := parseQuery(u.RawQuery, "ref", "path", "commit")
	if err != nil {
		return location{}, err
	}
	var ref git.Ref
	if text, ok := values["ref"]; ok {
		if ref, err = git.ParseRef(text); err != nil {
			return location{}, invalidSource("%s", err)
		}
	}
	if commit, ok := values["commit"]; ok {
		if ref, err = ref.At(commit); err != nil {
			return location{}, invalidSource("%s", err)
		}
	}
	l := location{ref: ref, repository: &url.URL{
		Scheme: strings.TrimPrefix(u.Scheme, "git+"), User: u.User, Host: u.Host, Path: u.Path, RawPath: u.RawPath,
	}}
	l.path, err = parsePath(values)
	return l, err
}

func parseArtifactURL(u *url.URL) (location, error) {
	if u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return location{}, invalidSource("names no artifact: write oci://registry/repository:tag")
	}
	values, err := parseQuery(u.RawQuery, "semver", "semverFilter", "path", "layer", "operation")
	if err != nil {
		return location{}, err
	}
	a, err := oci.ParseReference(u.Host + u.Path)
	if err != nil {
		return location{}, invalidSource("%s", err)
	}
	if err := setParameters(&a, values); err != nil {
		return location{}, err
	}
	path, err := parsePath(values)
	return location{artifact: &a, path: path}, err
}

var mediaType = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

// setParameters sets the URL's parameters, and the default tag if nothing is
// named.
func setParameters(a *oci.Reference, values map[string]string) error {
	if versions, ok := values["semver"]; ok {
		if a.Tag != "" || a.Digest != "" {
			return invalidSource("has both a tag or digest and semver: remove one of them")
		}
		a.Semver = versions
		if err := version.CheckRange(versions); err != nil {
			return invalidSource("semver: %s", err)
		}
	}
	if filter, ok := values["semverFilter"]; ok {
		if err := checkFilter(filter, a.Semver); err != nil {
			return err
		}
		a.SemverFilter = filter
	}
	if layer, ok := values["layer"]; ok {
		if !mediaType.MatchString(layer) {
			return invalidSource("layer %s is not a media type: write application/vnd.cncf.flux.content.v1.tar+gzip", message.Printable(layer))
		}
		a.Layer = layer
	}
	switch named, ok := values["operation"]; {
	case ok && named != copyLayer && named != "extract":
		return invalidSource("operation %s is not known: write extract (the default) or copy", message.Printable(named))
	case named == copyLayer:
		a.Copy = true
	}
	if a.Digest == "" && a.Semver == "" {
		a.Tag = cmp.Or(a.Tag, "latest")
	}
	return nil
}

// copyLayer is the operation that changes nothing, as Flux's
// OCIRepository.spec.layerSelector.operation names it.
const copyLayer = "copy"

func operation(copied bool) string {
	if copied {
		return copyLayer
	}
	return ""
}

func checkFilter(filter, versions string) error {
	if versions == "" {
		return invalidSource("has semverFilter without semver: add semver with a range of versions, or remove semverFilter")
	}
	if _, err := regexp.Compile(filter); err != nil || filter == "" || len(filter) > 256 {
		return invalidSource("semverFilter %s is not a regular expression of at most 256 bytes: write one in Go's syntax, such as .*-rc.*", message.Printable(filter))
	}
	return nil
}

func checkScheme(u *url.URL) error {
	switch u.Scheme {
	case "http", "https", "ssh":
		if u.Hostname() == "" || strings.Trim(u.Path, "/") == "" || strings.Contains(u.Path, "\x00") {
			return invalidSource("names no repository: write %s://host/repo.git", u.Scheme)
		}
		return checkPort(u)
	case "git+file":
		if u.Host != "" || !filepath.IsAbs(u.Path) || strings.Contains(u.Path, "\x00") {
			return invalidSource("names no absolute path: write git+file:///srv/repo.git")
		}
		return nil
	case "file":
		return invalidSource("scheme file is not supported: write git+file:///… for a Git repository, or only the path of a directory")
	default:
		return invalidSource("scheme %s is not supported: use an https, http, ssh, git+file or oci URL, or a directory", message.Printable(u.Scheme))
	}
}

func checkPort(u *url.URL) error {
	if u.Port() == "" {
		return nil
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return invalidSource("has an invalid port: write %s://host:port/repo.git, with a number up to 65535", u.Scheme)
	}
	return nil
}

// parsePath parses ?path=, which may begin or end with slashes.
func parsePath(values map[string]string) (string, error) {
	written, ok := values["path"]
	if !ok {
		return "", nil
	}
	path := strings.TrimPrefix(strings.Trim(written, "/"), "./")
	switch {
	case path == "." || written == "/":
		return "", nil
	case !fs.ValidPath(path), strings.Contains(path, "\x00"):
		return "", invalidSource("path %s is not a path within the tree: write it from the root, without ..", message.Printable(written))
	}
	return path, nil
}

// parameterName matches the name of a parameter. Anything else might be a token
// without its name and is not repeated in an error.
var parameterName = regexp.MustCompile(`^[A-Za-z_-]{1,32}$`)

// parseQuery parses the known parameters. A plus sign is literal, because
// branches, versions and media types contain it; a space is written as %20.
func parseQuery(raw string, known ...string) (map[string]string, error) {
	values := map[string]string{}
	if strings.Contains(raw, ";") {
		return nil, invalidSource("has a query that cannot be read: write special characters as %%XX")
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, escaped, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(escaped)
		_, again := values[name]
		switch {
		case err != nil:
			return nil, invalidSource("has a query that cannot be read: write special characters as %%XX")
		case again:
			return nil, invalidSource("has %s more than once: keep one", name)
		case slices.Contains(known, name):
			values[name] = value
		case parameterName.MatchString(name):
			return nil, invalidSource("query parameter %s is not known here: use %s", name, strings.Join(known, ", "))
		default:
			return nil, invalidSource("has a query parameter that is not known here: use %s", strings.Join(known, ", "))
		}
	}
	return values, nil
}

// query is the inverse of parseQuery. pairs alternates names and values; empty
// values are left out.
func query(pairs ...string) string {
	var text strings.Builder
	separator := "?"
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			text.WriteString(separator + pair[0] + "=" + escapeValue(pair[1]))
			separator = "&"
		}
	}
	return text.String()
}

// escapeValue escapes the characters that parseQuery or the reader of a log
// would misinterpret.
func escapeValue(value string) string {
	var text strings.Builder
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRuneInString(value[i:])
		if strings.ContainsRune("%&#; \"", r) || !unicode.IsPrint(r) || r == utf8.RuneError {
			for _, c := range []byte(value[i : i+size]) {
				fmt.Fprintf(&text, "%%%02X", c)
			}
		} else {
			text.WriteString(value[i : i+size])
		}
		i += size
	}
	return text.String()
}

func invalidSource(format string, args ...any) error {
	return fmt.Errorf("SOURCE %s: %w", fmt.Sprintf(format, args...), fleet.ErrInvalid)
}
