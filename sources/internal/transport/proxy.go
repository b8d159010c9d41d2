package transport

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/proxy"
)

// Proxy is the proxy of one source. The zero value means the proxies that the
// environment names.
type Proxy struct {
	// URL is the proxy's, with scheme http, https or socks5 and without
	// credentials.
	URL string
	// AuthFile contains user:password for the proxy; empty for a proxy that
	// requires no credentials.
	AuthFile string
}

// Check returns an error if the proxy is not valid. It reads no file.
func (p Proxy) Check() error {
	if p.URL == "" {
		if p.AuthFile != "" {
			return errors.New("--source-proxy-auth-file has no effect without a proxy: name one with --source-proxy")
		}
		return nil
	}
	u, err := url.Parse(p.URL)
	switch {
	case err == nil && u.User != nil:
		return errors.New("--source-proxy contains credentials: write user:password into a file and name it with --source-proxy-auth-file")
	case err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("--source-proxy is not the URL of a proxy: write http://host:port, https://host:port or socks5://host:port")
	}
	return nil
}

// read returns the URL with credentials; nil for the zero value.
func (p Proxy) read() (*url.URL, error) {
	if p.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(p.URL)
	if err != nil || p.AuthFile == "" {
		return u, err
	}
	content, err := os.ReadFile(p.AuthFile)
	if err != nil {
		return nil, fmt.Errorf("--source-proxy-auth-file: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(content), "\r\n"), ":")
	if !ok || user == "" {
		return nil, fmt.Errorf("%s: does not contain user:password in one line", p.AuthFile)
	}
	u.User = url.UserPassword(user, password)
	return u, nil
}

// forRequest returns a function for http.Transport.
func forRequest(through *url.URL) func(*http.Request) (*url.URL, error) {
	if through == nil {
		return http.ProxyFromEnvironment
	}
	return func(r *http.Request) (*url.URL, error) {
		// A metadata service is on this machine's link.
		if net.ParseIP(r.URL.Hostname()).IsLinkLocalUnicast() {
			return nil, nil
		}
		return through, nil
	}
}

// Dial connects to host:port through the proxy, for protocols other than HTTP.
// The zero value uses the SOCKS5 proxy in ALL_PROXY.
func (p Proxy) Dial(ctx context.Context, address string) (net.Conn, error) {
	through, err := p.read()
	switch {
	case err != nil:
		return nil, err
	case through == nil:
		return proxy.Dial(ctx, "tcp", address)
	case through.Scheme == "http":
		return connect(ctx, through, address)
	case through.Scheme == "https":
		return nil, errors.New("--source-proxy names an https proxy, which can be used only for https and http: write http://host:port or socks5://host:port")
	}
	dialer, err := proxy.FromURL(through, proxy.Direct)
	if err != nil {
		return nil, err
	}
	return dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
}

// connect asks an HTTP proxy for a connection.
func connect(ctx context.Context, through *url.URL, address string) (net.Conn, error) {
	host := through.Host
	if through.Port() == "" {
		host = net.JoinHostPort(through.Hostname(), "80")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", host, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u := through.User; u != nil {
		password, _ := u.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	buffered := bufio.NewReader(conn)
	response, err := roundTrip(conn, buffered, request) //nolint:bodyclose // what follows is the tunnel
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	if err != nil {
		_ = conn.Close() // It is not used any more.
		return nil, fmt.Errorf("proxy %s: %w", host, err)
	}
	return bufferedConn{conn, buffered}, nil
}

func roundTrip(conn net.Conn, answer *bufio.Reader, request *http.Request) (*http.Response, error) {
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(answer, request)
}

// bufferedConn first returns what has arrived together with the proxy's answer.
type bufferedConn struct {
	net.Conn
	buffered *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.buffered.Read(p) }
