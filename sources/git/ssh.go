package git

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// sshDialer connects to a repository over ssh. go-git's own implementation
// ignores contexts, so it would wait forever for a host that accepts and sends
// nothing.
type sshDialer struct {
	url *url.URL
	git Options
	// proxy takes precedence over the environment's.
	proxy transport.Proxy
}

func (sshDialer) close() {}

const (
	// connectTimeout is the time limit for the host to accept the connection.
	connectTimeout = 10 * time.Second
	// handshakeTimeout is the time limit for the host to identify itself and to
	// authenticate the client.
	handshakeTimeout = 30 * time.Second
)

// dial opens a new connection for each fetch, because hosts close idle
// connections, and keys may have been replaced.
func (d sshDialer) dial(ctx context.Context) (*remote, error) {
	keys, err := readHostKeys(d.git.KnownHostsFile, d.address())
	if err != nil {
		return nil, err
	}
	id, err := readIdentity(ctx, d.git)
	if err != nil {
		return nil, err
	}
	defer id.close()
	if err := d.checkProxy(); err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := d.proxy.Dial(soon, d.address())
	if err != nil {
		return nil, err
	}
	// The connection is closed when the context ends, wherever it hangs.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() { stop(); _ = conn.Close() } // It is not used any more, so the error does not matter.
	client, err := d.handshake(conn, keys, id)
	if err != nil {
		end()
		return nil, err
	}
	p, err := d.run(ctx, client, end)
	if err != nil {
		end()
		return nil, err
	}
	return p.open(ctx)
}

// run starts git-upload-pack on the host.
func (d sshDialer) run(ctx context.Context, client *ssh.Client, end func()) (*pipe, error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	p := &pipe{hint: "check the URL, and that the key may read the repository", wait: s.Wait, kill: end}
	s.Stderr = &p.stderr
	if p.stdin, err = s.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(ctx, end)
	p.stdout = transport.NewStallReader(ctx, io.NopCloser(stdout), cancel, transport.StallTimeout)
	return p, s.Start("git-upload-pack " + shellQuote(d.path()))
}

// shellQuote quotes a text for the shell that may run the command on the host.
// csh interprets exclamation marks even within quotes.
func shellQuote(text string) string {
	return "'" + strings.NewReplacer(`'`, `'\''`, `!`, `'\!'`).Replace(text) + "'"
}

// checkProxy returns an error for a proxy that cannot be used. The library
// would silently connect directly instead.
func (d sshDialer) checkProxy() error {
	if d.proxy.URL != "" {
		return nil
	}
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	_, err := url.Parse(all)
	set := httpproxy.FromEnvironment()
	set.HTTPSProxy = all
	through, _ := set.ProxyFunc()(&url.URL{Scheme: "https", Host: d.address()}) // It is nil if NO_PROXY names the host.
	if err == nil && through != nil {
		_, err = proxy.FromURL(through, proxy.Direct)
	}
	if err != nil {
		return errors.New("ALL_PROXY names no proxy that ssh can use: write socks5://host:port, or name the Git host in NO_PROXY")
	}
	return nil
}

func (d sshDialer) handshake(conn net.Conn, keys *hostKeys, id *identity) (*ssh.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	client, channels, requests, err := ssh.NewClientConn(conn, d.address(), &ssh.ClientConfig{
		User:              d.user(),
		Auth:              []ssh.AuthMethod{id.method},
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
	})
	if err != nil {
		return nil, explainHandshake(err, d.user(), id)
	}
	return ssh.NewClient(client, channels, requests), conn.SetDeadline(time.Time{})
}

func (d sshDialer) address() string {
	port := d.url.Port()
	if port == "" {
		port = "22"
	}
	return net.JoinHostPort(d.url.Hostname(), port)
}

func (d sshDialer) user() string {
	if d.url.User == nil {
		return "git"
	}
	return d.url.User.Username()
}

// path returns the path on the host. A path in a user's home directory begins
// with a tilde.
func (d sshDialer) path() string {
	if home, ok := strings.CutPrefix(d.url.Path, "/~"); ok {
		return "~" + home
	}
	return d.url.Path
}
