package git

import (
	"net/url"
	"strings"
	"testing"
)

func TestSSHRefusesUnusableProxy(t *testing.T) {
	d := sshDialer{url: &url.URL{Scheme: "ssh", Host: "git.example.com", Path: "/repo.git"}}
	for _, c := range []struct{ proxy, except, want string }{
		{"", "", ""},
		{"socks5://proxy.example.com:1080", "", ""},
		{"socks5h://proxy.example.com:1080", "", ""},
		{"http://proxy.example.com:3128", "", "ALL_PROXY names no proxy"},
		{"http://proxy.example.com:3128", ".example.com", ""},
		{"proxy.example.com:3128", "", "ALL_PROXY names no proxy"},
		{"socks5://[broken", "", "ALL_PROXY names no proxy"},
	} {
		t.Setenv("ALL_PROXY", c.proxy)
		t.Setenv("NO_PROXY", c.except)
		err := d.checkProxy()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("ALL_PROXY=%q NO_PROXY=%q: %v, want %q", c.proxy, c.except, err, c.want)
		}
	}
}
