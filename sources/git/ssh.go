package git

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// sshDialer connects to a repository over ssh. go-git's own implementation
// ignores contexts, so it would wait forever for a host that accepts and sends
// nothing.
type sshDialer struct {
	url  *url.URL
	git  Options
	most int64
}

func newSSHDialer(c Config) *sshDialer {
	return &sshDialer{c.URL, c.Options, boundsOf(c.Limits, true).transfer}
}

func (*sshDialer) close() {}

const (
	// connectTimeout is the time limit for the host to accept the connection.
	connectTimeout = 10 * time.Second
	// handshakeTimeout is the time limit for the host to identify itself and to
	// authenticate the client.
	handshakeTimeout = 30 * time.Second
)

// dial opens a new connection for each fetch, because hosts close idle
// connections, and keys may have been replaced.
func (d *sshDialer) dial(ctx context.Context) (*remote, error) {
	keys, err := readHostKeys(d.git.KnownHostsFile)
	if err != nil {
		return nil, err
	}
	id, err := readIdentity(ctx, d.git)
	if err != nil {
		return nil, err
	}
	defer id.close()
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	client, err := d.handshake(conn, keys, id)
	if err != nil {
		conn.close()
		return nil, err
	}
	return openUploadPack(ctx, client, conn, d.path(), d.most)
}

// sshConn is a connection that is closed when its context ends, wherever it
// hangs.
type sshConn struct {
	net.Conn
	stop func() bool
}

func (c *sshConn) close() {
	c.stop()
	_ = c.Conn.Close() // The connection is no longer used, so the error does not matter.
}

func (d *sshDialer) connect(ctx context.Context) (*sshConn, error) {
	if err := d.checkProxy(); err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := proxy.Dial(soon, "tcp", d.address())
	if err != nil {
		return nil, err
	}
	return &sshConn{conn, context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
}

// checkProxy returns an error for a proxy that cannot be used. The library
// would silently connect directly instead.
func (d *sshDialer) checkProxy() error {
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

func (d *sshDialer) handshake(conn *sshConn, keys *hostKeys, id *identity) (*ssh.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	address := d.address()
	client, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User:              d.user(),
		Auth:              []ssh.AuthMethod{id.method},
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(address),
	})
	if err != nil {
		return nil, explainHandshake(err, d.user(), id)
	}
	return ssh.NewClient(client, channels, requests), conn.SetDeadline(time.Time{})
}

func (d *sshDialer) address() string {
	port := d.url.Port()
	if port == "" {
		port = "22"
	}
	return net.JoinHostPort(d.url.Hostname(), port)
}

func (d *sshDialer) user() string {
	if d.url.User == nil {
		return "git"
	}
	return d.url.User.Username()
}

// path returns the path on the host. A path in a user's home directory begins
// with a tilde.
func (d *sshDialer) path() string {
	if home, ok := strings.CutPrefix(d.url.Path, "/~"); ok {
		return "~" + home
	}
	return d.url.Path
}
