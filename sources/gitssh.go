package sources

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

// sshDialer reaches a repository over ssh. go-git's own way knows of no context,
// and so would wait for ever for a host that accepts and says nothing.
type sshDialer struct {
	url  *url.URL
	git  GitOptions
	most int64
}

func newSSHDialer(u *url.URL, o Options) *sshDialer {
	return &sshDialer{u, o.Git, boundsOf(o.Limits, true).transfer}
}

func (*sshDialer) close() {}

const (
	// connectTime is for the host to accept.
	connectTimeout = 10 * time.Second
	// handshakeTime is for the host to say who it is and to believe who we are.
	handshakeTimeout = 30 * time.Second
)

// dial has each look connect anew, because hosts end connections that are idle,
// and keys may have been replaced.
func (d *sshDialer) dial(ctx context.Context) (*remote, error) {
	keys, err := readHostKeys(d.git.KnownHostsFile)
	if err != nil {
		return nil, err
	}
	who, err := readIdentity(ctx, d.git)
	if err != nil {
		return nil, err
	}
	defer who.close()
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	client, err := d.handshake(conn, keys, who)
	if err != nil {
		conn.close()
		return nil, err
	}
	return openUploadPack(ctx, client, conn, d.path(), d.most)
}

// sshConn is a connection that ends with a context, wherever it hangs.
type sshConn struct {
	net.Conn
	stop func() bool
}

func (c *sshConn) close() {
	c.stop()
	_ = c.Conn.Close() // It is of no use any more, whatever it says to that.
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

// checkProxy refuses a proxy that cannot be used: the library would go past it
// without a word, which whoever set it may not want.
func (d *sshDialer) checkProxy() error {
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	_, err := url.Parse(all)
	set := httpproxy.FromEnvironment()
	set.HTTPSProxy = all
	through, _ := set.ProxyFunc()(&url.URL{Scheme: "https", Host: d.address()}) // Nil where NO_PROXY names the host.
	if err == nil && through != nil {
		_, err = proxy.FromURL(through, proxy.Direct)
	}
	if err != nil {
		return errors.New("ALL_PROXY names no proxy that ssh can use: write socks5://host:port, or name the Git host in NO_PROXY")
	}
	return nil
}

func (d *sshDialer) handshake(conn *sshConn, keys *hostKeys, who *identity) (*ssh.Client, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	address := d.address()
	client, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User:              d.user(),
		Auth:              []ssh.AuthMethod{who.method},
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(address),
	})
	if err != nil {
		return nil, explainHandshake(err, d.user(), who)
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

// path is the one on the host; one of a user's home begins with a tilde there.
func (d *sshDialer) path() string {
	if home, ok := strings.CutPrefix(d.url.Path, "/~"); ok {
		return "~" + home
	}
	return d.url.Path
}
