package sources_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// forwardProxy forwards all requests to one server.
type forwardProxy struct {
	*httptest.Server
	mu  sync.Mutex
	all []string
}

func newForwardProxy(t *testing.T, to string) *forwardProxy {
	p := &forwardProxy{}
	target, err := url.Parse(to)
	must(t, err)
	plain := httputil.NewSingleHostReverseProxy(target)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.record(r.Method + " " + r.Host)
		if r.Method == http.MethodConnect {
			tunnel(w, target.Host)
			return
		}
		plain.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *forwardProxy) record(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, what)
}

func (p *forwardProxy) requests() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.all, ", ")
}

func tunnel(w http.ResponseWriter, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connected\r\n\r\n")
	pipe(conn, server)
}

// pipe copies in both directions until one side ends.
func pipe(a, b net.Conn) {
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
}

// TestGitGoesThroughProxyOfTheEnvironment uses host names that only the proxy
// can resolve.
func TestGitGoesThroughProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	want := "main@sha1:" + repo.commit(map[string]string{"fleet.yaml": "one"})
	backend := repo.serve()

	p := newForwardProxy(t, backend.URL)
	child := fetchInChild(t, childFetch{Source: "http://git.invalid/repo.git"}, "HTTP_PROXY="+p.URL)
	if child.Revision != want || p.requests() != "GET git.invalid, POST git.invalid" {
		t.Errorf("over http: %+v with %q asked of the proxy, want revision %s", child, p.requests(), want)
	}

	// The certificate of httptest's servers is for example.com.
	secure := httptest.NewTLSServer(backend.Config.Handler)
	defer secure.Close()
	p = newForwardProxy(t, secure.URL)
	child = fetchInChild(t, childFetch{Source: "https://example.com/repo.git"}, "HTTPS_PROXY="+p.URL)
	if child.Revision != want || p.requests() != "CONNECT example.com:443" {
		t.Errorf("over https: %+v with %q asked of the proxy, want revision %s", child, p.requests(), want)
	}

	down := httptest.NewServer(nil)
	down.Close()
	proxy := strings.Replace(down.URL, "http://", "http://user:hunter2@", 1)
	child = fetchInChild(t, childFetch{Source: "https://example.com/repo.git"}, "HTTPS_PROXY="+proxy)
	if !strings.Contains(child.Err, "proxy") || strings.Contains(child.Err, "hunter2") {
		t.Errorf("with a proxy that is down: %q, want an error that says so, and no password", child.Err)
	}
}

func TestGitOverSSHGoesThroughProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	want := "main@sha1:" + repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	server.write("known_hosts", "git.invalid "+server.read("host-ed25519.pub")+"\n")
	socks, asked := serveSOCKS(t, server.listener.Addr().String())
	source := strings.Replace(server.url(), server.listener.Addr().String(), "git.invalid", 1)
	child := fetchInChild(t, childFetch{source, o}, "ALL_PROXY=socks5://"+socks)
	if child.Revision != want || asked() != "git.invalid" {
		t.Errorf("%+v with %q asked of the proxy, want revision %s", child, asked(), want)
	}
}

// serveSOCKS runs a SOCKS proxy that forwards all names to one server (RFC
// 1928).
func serveSOCKS(t *testing.T, to string) (address string, asked func() string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	names := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go socks(conn, to, names)
		}
	}()
	return listener.Addr().String(), func() string {
		select {
		case name := <-names:
			return name
		default:
			return ""
		}
	}
}

func socks(conn net.Conn, to string, names chan<- string) {
	defer conn.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return
	}
	_, _ = conn.Write([]byte{5, 0}) // Without credentials.
	request := make([]byte, 5)      // Version, connect, 0, domain name, its length.
	if _, err := io.ReadFull(conn, request); err != nil {
		return
	}
	name := make([]byte, int(request[4])+2) // And the port.
	if _, err := io.ReadFull(conn, name); err != nil {
		return
	}
	names <- string(name[:len(name)-2])
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	pipe(conn, server)
}
