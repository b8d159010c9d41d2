package sources

import (
	"net"
	"path"
	"strings"

	"oras.land/oras-go/v2/registry"
)

// match returns the key of auths that matches a repository best. As in Docker
// and kubelet, a key is a registry, optionally with a path, with a scheme and
// API version that are ignored, and with * in parts of the host name.
func (c *dockerConfig) match(at registry.Reference) (string, bool) {
	best, found, longest := "", false, -1
	for key := range c.Auths {
		length := matchKey(key, at)
		// For two equally good matches, always choose the same one.
		if length > longest || length >= 0 && length == longest && key < best {
			best, found, longest = key, true, length
		}
	}
	return best, found
}

// matchKey returns how well a key matches, -1 for not at all. An exact host is
// better than a pattern, and a path is better than none.
func matchKey(key string, at registry.Reference) int {
	host, prefix := splitKey(key)
	if prefix != "" && prefix != at.Repository && !strings.HasPrefix(at.Repository, prefix+"/") {
		return -1
	}
	switch {
	case sameRegistry(host, at.Registry):
		return 2*len(prefix) + 1
	case matchHost(host, at.Registry):
		return 2 * len(prefix)
	}
	return -1
}

func splitKey(key string) (host, prefix string) {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		rest = key
	}
	host, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if prefix == "v1" || prefix == "v2" {
		prefix = ""
	}
	return host, prefix
}

// sameRegistry reports whether two hosts are the same registry. Docker Hub has
// several names.
func sameRegistry(a, b string) bool { return dockerHub(a) == dockerHub(b) }

func dockerHub(host string) string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

// matchHost reports whether a pattern matches a host. A * matches within one
// part of the name, and the ports must be equal.
func matchHost(pattern, host string) bool {
	if !strings.Contains(pattern, "*") {
		return false
	}
	patternName, patternPort := splitPort(pattern)
	name, port := splitPort(host)
	patterns, names := strings.Split(patternName, "."), strings.Split(name, ".")
	if patternPort != port || len(patterns) != len(names) {
		return false
	}
	for i := range names {
		if ok, err := path.Match(patterns[i], names[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func splitPort(host string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host, ""
	}
	return name, port
}
