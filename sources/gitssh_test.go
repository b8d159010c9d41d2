package sources_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

func TestGitOverSSH(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	first := repo.commit(map[string]string{"fleet.yaml": "one", "a.yaml": "a"})
	server := repo.serveSSH()
	s := openAs(t, server.url()+"?ref=main", server.options())
	before := wantRevision(t, s, "", "main@sha1:"+first)
	wantContents(t, before.Tree, map[string]string{"fleet.yaml": "one", "a.yaml": "a"})
	server.takeConnections()
	fetchNothing(t, s, before.Revision)
	if n := server.takeConnections(); n != 1 {
		t.Errorf("a look made %d connections, want one", n)
	}
	second := repo.commit(map[string]string{"fleet.yaml": "two"})
	after := wantRevision(t, s, before.Revision, "main@sha1:"+second)
	wantContents(t, after.Tree, map[string]string{"fleet.yaml": "two", "a.yaml": "a"})
	wantShared(t, before.Tree, after.Tree, "a.yaml", true)
	if n := server.takeConnections(); n != 1 {
		t.Errorf("the fetch of a change made %d connections, want one", n)
	}
}

// TestGitOverSSHReadsAsOverHTTP repeats tests of the other transports.
func TestGitOverSSHReadsAsOverHTTP(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	server := repo.serveSSH()
	o := server.options()
	fetchError(t, openAs(t, server.url(), o), "the repository is empty")
	pinned := repo.commit(map[string]string{"fleet/fleet.yaml": "one", "big": noise(300 << 10)})
	repo.inBare("tag", "--annotate", "--message", "m", "v1.2.0")
	repo.commit(map[string]string{"fleet/fleet.yaml": "two"})
	repo.commit(map[string]string{"fleet/fleet.yaml": "three"})
	for query, want := range map[string]string{
		"?path=fleet&ref=" + pinned:        "sha1:" + pinned,
		"?path=fleet&ref=v1.2.0":           "v1.2.0@sha1:" + pinned,
		"?path=fleet&ref=semver:1.x":       "v1.2.0@sha1:" + pinned,
		"?path=fleet&ref=refs/tags/v1.2.0": "v1.2.0@sha1:" + pinned,
	} {
		snapshot := wantRevision(t, openAs(t, server.url()+query, o), "", want)
		wantContents(t, snapshot.Tree, map[string]string{"fleet.yaml": "one"})
	}
	fetchError(t, openAs(t, server.url()+"?ref=gone", o), "ref gone: not found")
}

func TestGitOverSSHTakesAllKindsOfKeys(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH("ed25519", "rsa", "ecdsa")
	passphrase := tokenFile(t, "open sesame")
	for name, c := range map[string]struct {
		args       []string
		passphrase string
	}{
		"ed25519":                  {[]string{"-t", "ed25519"}, ""},
		"rsa":                      {[]string{"-t", "rsa", "-b", "2048"}, ""},
		"rsa in PEM":               {[]string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, ""},
		"rsa in PKCS8":             {[]string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, ""},
		"ecdsa":                    {[]string{"-t", "ecdsa", "-b", "256"}, ""},
		"ecdsa 521 in PEM":         {[]string{"-t", "ecdsa", "-b", "521", "-m", "PEM"}, ""},
		"ed25519 with passphrase":  {[]string{"-t", "ed25519", "-a", "1", "-N", "open sesame"}, passphrase},
		"rsa with passphrase":      {[]string{"-t", "rsa", "-b", "2048", "-a", "1", "-N", "open sesame"}, passphrase},
		"rsa in PEM and with one":  {[]string{"-t", "rsa", "-b", "2048", "-m", "PEM", "-a", "1", "-N", "open sesame"}, passphrase},
		"passphrase for no reason": {[]string{"-t", "ed25519"}, passphrase},
	} {
		t.Run(name, func(t *testing.T) {
			o := sources.Options{Git: sources.GitOptions{
				SSHKeyFile: server.admit("id", c.args...), SSHPassphraseFile: c.passphrase, KnownHostsFile: server.knownHosts("ed25519", "rsa"),
			}}
			fetch(t, openAs(t, server.url(), o), "")
		})
	}
}

func TestGitOverSSHAsksAgent(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	key := o.Git.SSHKeyFile
	o.Git.SSHKeyFile = ""

	t.Setenv("SSH_AUTH_SOCK", "")
	s := openAs(t, server.url(), o)
	if err := fetchError(t, s, "--git-ssh-key-file", "SSH_AUTH_SOCK"); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("error = %v, want a fleet.ErrUnauthenticated", err)
	}
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "gone"))
	fetchError(t, s, "the agent at SSH_AUTH_SOCK", "--git-ssh-key-file")
	server.runAgent()
	fetchError(t, s, "does not accept the keys of the agent at SSH_AUTH_SOCK")
	server.runAgent(key)
	fetch(t, s, "")
}

func TestGitOverSSHRefusesInvalidKey(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	known := server.options().Git.KnownHostsFile
	locked := server.keygen("locked", "-t", "ed25519", "-a", "1", "-N", "hunter2hunter2")
	lockedPEM := server.keygen("locked-pem", "-t", "rsa", "-m", "PEM", "-a", "1", "-N", "hunter2hunter2")
	for name, c := range map[string]struct {
		key, passphrase string
		want            []string
	}{
		"missing":          {filepath.Join(server.dir, "gone"), "", []string{"--git-ssh-key-file", "no such file"}},
		"public":           {filepath.Join(server.dir, "id.pub"), "", []string{"--git-ssh-key-file", "id.pub contains no readable private key"}},
		"empty":            {server.write("nothing", ""), "", []string{"nothing contains no readable private key", "ssh-keygen"}},
		"no passphrase":    {locked, "", []string{"locked needs a passphrase", "--git-ssh-passphrase-file"}},
		"no passphrase II": {lockedPEM, "", []string{"locked-pem needs a passphrase", "--git-ssh-passphrase-file"}},
		"wrong passphrase": {locked, tokenFile(t, "hunter2hunter3"), []string{"--git-ssh-passphrase-file is not the passphrase of", "locked"}},
		"wrong one II":     {lockedPEM, tokenFile(t, "hunter2hunter3"), []string{"--git-ssh-passphrase-file is not the passphrase of", "locked-pem"}},
		"empty passphrase": {locked, tokenFile(t, ""), []string{"--git-ssh-passphrase-file", "is empty"}},
		"gone passphrase":  {locked, filepath.Join(server.dir, "gone"), []string{"--git-ssh-passphrase-file", "no such file"}},
		"not let in":       {server.keygen("stranger", "-t", "ed25519"), "", []string{"does not accept the key in --git-ssh-key-file (SHA256:", "for user " + server.account()}},
	} {
		t.Run(name, func(t *testing.T) {
			o := sources.Options{Git: sources.GitOptions{SSHKeyFile: c.key, SSHPassphraseFile: c.passphrase, KnownHostsFile: known}}
			err := fetchError(t, openAs(t, server.url(), o), c.want...)
			if name == "not let in" && !errors.Is(err, fleet.ErrUnauthenticated) {
				t.Errorf("error = %v, want a fleet.ErrUnauthenticated", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q tells the passphrase", err)
			}
		})
	}
}

func TestGitOverSSHReadsKeysAgain(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	s := openAs(t, server.url(), server.options())
	revision := fetch(t, s, "").Revision

	server.useHostKeys("ed25519")
	fetchError(t, s, "the host key has changed")
	server.knownHosts("ed25519")
	fetchNothing(t, s, revision)

	other := server.admit("other", "-t", "ed25519")
	fetchError(t, s, "does not accept the key")
	copyFile(t, other, filepath.Join(server.dir, "id"))
	fetchNothing(t, s, revision)
}

func TestGitRefusesHostWithUnknownKey(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH("ed25519", "rsa")
	o := server.options()
	fingerprint := strings.Fields(server.ssh("ssh-keygen", "-l", "-f", filepath.Join(server.dir, "host-ed25519.pub")))[1]
	stranger := server.keygen("stranger", "-t", "ed25519")
	strangerKey := server.read("stranger.pub")
	hostKey := server.read("host-ed25519.pub")
	s := openAs(t, server.url(), o)
	for name, c := range map[string]struct {
		known string
		want  []string
	}{
		"none":                      {"", []string{"the host key is not known", "has no key for " + server.hostPattern(), "ssh-ed25519 " + fingerprint, "ssh-keyscan -p " + server.port() + " 127.0.0.1", "--git-known-hosts-file"}},
		"of another port":           {"127.0.0.1 " + hostKey, []string{"is not known"}},
		"of another host":           {"[127.0.0.2]:" + server.port() + " " + hostKey, []string{"is not known"}},
		"negated":                   {"!" + server.hostPattern() + ",[127.0.0.*]:" + server.port() + " " + hostKey, []string{"is not known"}},
		"another":                   {"# first\n" + server.hostPattern() + " " + strangerKey, []string{"the host key has changed", fingerprint, "in line 2", "someone may be intercepting the connection", "--git-known-hosts-file"}},
		"another kind":              {server.hostPattern() + " " + strings.Replace(server.read("host-rsa.pub"), "AAAA", "AAAA", 1) + "\n@revoked * " + server.read("host-rsa.pub"), []string{"the host key is revoked", "line 2"}},
		"revoked":                   {server.hostPattern() + " " + hostKey + "\n@revoked * " + hostKey, []string{"the host key is revoked", "line 2"}},
		"broken":                    {server.hostPattern() + " ssh-ed25519 AAA!", []string{"--git-known-hosts-file", ":1:"}},
		"authority, no certificate": {"@cert-authority * " + strangerKey, []string{"the host key is not known"}},
	} {
		t.Run(name, func(t *testing.T) {
			server.write("known_hosts", c.known)
			fetchError(t, s, c.want...)
		})
	}
	_ = stranger
	must(t, os.Remove(o.Git.KnownHostsFile))
	fetchError(t, s, "--git-known-hosts-file", "no such file", "ssh-keyscan")
}

func TestGitKnowsHosts(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH("ed25519", "rsa", "ecdsa")
	o := server.options()
	authority := server.keygen("authority", "-t", "ed25519")
	server.ssh("ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1", "-V", "+1d", filepath.Join(server.dir, "host-ed25519.pub"))
	s := openAs(t, server.url(), o)
	hashed := func(line string) string {
		file := server.write("to-hash", line+"\n")
		server.ssh("ssh-keygen", "-q", "-H", "-f", file)
		return server.read("to-hash")
	}
	at := server.hostPattern() + " "
	lines := map[string]string{
		"ed25519":           at + server.read("host-ed25519.pub"),
		"rsa alone":         at + server.read("host-rsa.pub"),
		"ecdsa alone":       at + server.read("host-ecdsa.pub"),
		"hashed":            hashed(at + server.read("host-ed25519.pub")),
		"hashed, and rsa":   hashed(at + server.read("host-rsa.pub")),
		"pattern":           "[127.0.*]:" + server.port() + ",other " + server.read("host-ed25519.pub"),
		"any host":          "* " + server.read("host-ed25519.pub"),
		"any host nearby":   "127.0.0.* " + server.read("host-rsa.pub"),
		"any port":          "[127.0.0.1]:* " + server.read("host-ecdsa.pub"),
		"one of several":    at + server.read("authority.pub") + "\n" + at + server.read("host-ed25519.pub"),
		"old one revoked":   "@revoked * " + server.read("authority.pub") + "\n" + at + server.read("host-ed25519.pub"),
		"other's authority": "@cert-authority other " + server.read("authority.pub") + "\n" + at + server.read("host-rsa.pub"),
	}
	for name, line := range lines {
		t.Run(name, func(t *testing.T) {
			server.write("known_hosts", line+"\n")
			fetch(t, s, "")
		})
	}
	server.write("sshd_config", server.read("sshd_config")+"\nHostCertificate "+filepath.Join(server.dir, "host-ed25519-cert.pub")+"\n")
	lines["authority"] = "@cert-authority [127.0.0.1]:" + server.port() + " " + server.read("authority.pub")
	lines["authority of any host"] = "@cert-authority * " + server.read("authority.pub")
	lines["authority of any port"] = "@cert-authority [127.0.0.1]:* " + server.read("authority.pub")
	for name, line := range lines {
		t.Run("with certificate, "+name, func(t *testing.T) {
			server.write("known_hosts", line+"\n")
			fetch(t, s, "")
		})
	}
	t.Run("certificate of another host", func(t *testing.T) {
		server.ssh("ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "other", filepath.Join(server.dir, "host-ed25519.pub"))
		server.write("known_hosts", lines["authority"]+"\n")
		fetchError(t, s, "the host's certificate is not valid", "@cert-authority")
	})
}

func TestGitKnowsHostsFromHome(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	home := t.TempDir()
	t.Setenv("HOME", home)
	known := o.Git.KnownHostsFile
	o.Git.KnownHostsFile = ""
	s := openAs(t, server.url(), o)
	fetchError(t, s, filepath.Join(home, ".ssh/known_hosts"), "--git-known-hosts-file")
	must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	copyFile(t, known, filepath.Join(home, ".ssh/known_hosts"))
	fetch(t, s, "")
}

func TestGitOverSSHQuotesPath(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	odd := `it's $(touch x) "a" \b!c;d` + "\ne.git"
	must(t, os.Rename(repo.bare(), filepath.Join(repo.root, odd)))
	escaped := strings.NewReplacer("'", "%27", " ", "%20", `"`, "%22", `\`, "%5C", ";", "%3B", "\n", "%0A").Replace(odd)
	fetch(t, openAs(t, strings.Replace(server.url(), "repo.git", escaped, 1), o), "")
}

func TestGitOverSSHReadsHomeDirectories(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	url := strings.TrimSuffix(server.url(), repo.bare())
	for _, path := range []string{"/~/no-such-repo.git", "/~" + server.account() + "/no-such-repo.git"} {
		err := fetchError(t, openAs(t, url+path, o), "not found", "the host says:", "'"+path[1:]+"' does not appear to be a git repository")
		if !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("error = %v, want a fleet.ErrNotFound", err)
		}
	}
	home, err := os.UserHomeDir()
	must(t, err)
	relative, err := filepath.Rel(home, repo.bare())
	must(t, err)
	fetch(t, openAs(t, url+"/~/"+relative, o), "")
}

func TestGitOverSSHReportsTheHostsMessage(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	config := server.read("sshd_config")
	s := openAs(t, server.url(), o)
	for command, want := range map[string]struct {
		text string
		is   error
	}{
		"echo 'ERROR: Repository not found.' >&2; exit 1":                        {"not found; check the URL, and that the key may read the repository; the host says: ERROR: Repository not found.", fleet.ErrNotFound},
		"echo 'Permission to a/b denied to c.' >&2; exit 1":                      {"forbidden; check the URL", fleet.ErrForbidden},
		`printf 'odd \033[31m https://user:hunter2@host/?hunter2\n' >&2; exit 1`: {"the host says: odd [31m https://host/", nil},
		"yes 'all work and no play' | head -c 10000000 >&2; exit 1":              {"the host says: all work", nil},
		"exit 1":                        {"without a message", nil},
		"echo 'Welcome to the machine'": {"not a Git server", nil},
		"printf '0030ERR access denied or repository not exported'": {"access denied", nil},
	} {
		t.Run(command, func(t *testing.T) {
			server.write("sshd_config", config+"\nForceCommand "+command+"\n")
			err := fetchError(t, s, want.text)
			if want.is != nil && !errors.Is(err, want.is) {
				t.Errorf("error = %v, want %v", err, want.is)
			}
			if strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 1000 {
				t.Errorf("error %q tells too much", err)
			}
		})
	}
	server.write("sshd_config", config)
	fetch(t, s, "")
}

func TestGitOverSSHBoundsRefs(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	// The length includes a newline. Long names keep the number of refs low.
	line := fmt.Sprintf("%04x0123456789012345678901234567890123456789 refs/heads/%s", 4+40+1+11+500+1, strings.Repeat("x", 500))
	server.write("sshd_config", server.read("sshd_config")+"\nForceCommand printf '00420123456789012345678901234567890123456789 refs/heads/a\\0shallow\\n'; yes '"+line+"'\n")
	fetchError(t, openAs(t, server.url(), o), "lists more than 64 MiB of branches and tags")
}

// TestGitOverSSHEndsWithContext lets the host stall in each phase.
func TestGitOverSSHEndsWithContext(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": noise(1 << 20)})
	server := repo.serveSSH()
	s := openAs(t, server.url(), server.options())
	for name, after := range map[string]int{"silence": 0, "handshake": 500, "login": 2200, "pack": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stall := func(conn net.Conn) {
				cancel()
				_, _ = io.Copy(io.Discard, conn) // Until the other side closes the connection.
			}
			server.intercept(func(conn net.Conn) {
				if after == 0 {
					stall(conn)
					_ = conn.Close()
					return
				}
				server.through(conn, after, stall)
			})
			if _, err := s.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
				t.Errorf("Fetch = %v, want context.Canceled", err)
			}
		})
	}
	server.intercept(nil)
	fetch(t, s, "")
}

// TestGitOverSSHStopsInTheMiddleOfAPack lets the host stall after more than a
// fleet repo may contain, so waiting for the rest would take forever.
func TestGitOverSSHStopsInTheMiddleOfAPack(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	files := map[string]string{}
	text := noise(1 << 20)
	for i := range 24 {
		files[fmt.Sprint(i)] = text[i*1000:] + noise(1000)
	}
	repo.inBare("config", "core.bigFileThreshold", "1k") // So that none becomes a delta.
	repo.inBare("config", "core.compression", "0")
	repo.commit(files)
	server := repo.serveSSH()
	o := server.options()
	o.Limits = sources.Limits{TreeSize: 1000}
	server.intercept(func(conn net.Conn) {
		server.through(conn, 21<<20, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	})
	fetchError(t, openAs(t, server.url(), o), "much larger than 1000 bytes")
}

func TestGitOverSSHRecovers(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "zero", "noise": noise(300 << 10)})
	server := repo.serveSSH()
	s := openAs(t, server.url(), server.options())
	for _, content := range []string{"one", "two"} {
		repo.commit(map[string]string{"fleet.yaml": content, "noise": noise(300 << 10)})
		for _, after := range []int{0, 10, 500, 2200, 100 << 10} {
			server.intercept(func(conn net.Conn) { server.through(conn, after, func(net.Conn) {}) })
			fetchError(t, s, "ssh://")
		}
		server.intercept(nil)
		if got := read(t, fetch(t, s, "").Tree, "fleet.yaml"); got != content {
			t.Errorf("fleet.yaml = %q after the trouble, want %q", got, content)
		}
	}
	down := repo.serveSSH()
	o := down.options()
	must(t, down.listener.Close())
	fetchError(t, openAs(t, down.url(), o), "connection refused")
}

func TestGitOverSSHWithACertificate(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	authority := server.keygen("authority", "-t", "ed25519")
	key := server.keygen("id", "-t", "ed25519")
	server.write("authorized_keys", "cert-authority "+server.read("authority.pub")+"\n")
	o := sources.Options{Git: sources.GitOptions{SSHKeyFile: key, KnownHostsFile: server.knownHosts("ed25519")}}
	s := openAs(t, "git+"+server.url(), o)
	fetchError(t, s, "the host does not accept the key in --git-ssh-key-file (SHA256:")

	server.ssh("ssh-keygen", "-q", "-s", authority, "-I", "tributary", "-n", server.account(), "-V", "20200101:20210101", key+".pub")
	fetchError(t, s, `with its certificate ("tributary" for `+server.account()+" until 2021-01-01T")
	server.ssh("ssh-keygen", "-q", "-s", authority, "-I", "tributary", "-n", server.account(), "-V", "+1h", key+".pub")
	wantContents(t, fetch(t, s, "").Tree, map[string]string{"fleet.yaml": "one"})

	server.write("id-cert.pub", server.read("authority.pub"))
	fetchError(t, openAs(t, server.url(), o), "id-cert.pub contains no user certificate")
	other := server.keygen("other", "-t", "ed25519")
	server.ssh("ssh-keygen", "-q", "-s", authority, "-I", "other", "-n", server.account(), other+".pub")
	server.write("id-cert.pub", server.read("other-cert.pub"))
	fetchError(t, openAs(t, server.url(), o), "id-cert.pub is not the certificate of the key")
}

func TestGitOverSSHNamesAnEncryptedPKCS8Key(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	server := repo.serveSSH()
	o := sources.Options{Git: sources.GitOptions{
		SSHKeyFile:        server.keygen("id", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "open sesame"),
		SSHPassphraseFile: tokenFile(t, "open sesame"), KnownHostsFile: server.knownHosts("ed25519"),
	}}
	fetchError(t, openAs(t, server.url(), o), "is an encrypted PKCS#8 key, which is not supported; convert it to OpenSSH's format with ssh-keygen -p -f")
	// What the message says helps.
	server.ssh("ssh-keygen", "-q", "-p", "-f", o.Git.SSHKeyFile, "-P", "open sesame", "-N", "open sesame")
	server.write("authorized_keys", server.read("id.pub")+"\n")
	repo.commit(map[string]string{"fleet.yaml": "one"})
	fetch(t, openAs(t, server.url(), o), "")
}
