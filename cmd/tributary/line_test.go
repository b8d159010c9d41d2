package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// line is an HTTP client with one connection. Unlike the client of net/http, it does not
// silently repeat a request if the connection breaks.
type line struct {
	addr string
	keep bool // whether to keep the connection between requests
	conn net.Conn
	r    *bufio.Reader
}

// answer is the answer of a server, with the local address of the connection.
type answer struct {
	status     int
	generation int64
	header     http.Header
	body       []byte
	from       net.Addr
}

// ask sends a request. An error means that the connection failed.
func (l *line) ask(method, path, body string, headers ...string) (a answer, err error) {
	defer func() {
		if err != nil || !l.keep {
			l.close()
		}
	}()
	if l.conn == nil {
		if l.conn, err = net.Dial("tcp", l.addr); err != nil {
			return a, err
		}
		l.r = bufio.NewReader(l.conn)
	}
	_ = l.conn.SetDeadline(time.Now().Add(patience)) // for a connection that hangs
	r, err := http.NewRequest(method, "http://"+l.addr+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if err := r.Write(l.conn); err != nil {
		return a, err
	}
	answered, err := http.ReadResponse(l.r, r)
	if err != nil {
		return a, err
	}
	a = answer{status: answered.StatusCode, header: answered.Header, from: l.conn.LocalAddr()}
	a.body, err = io.ReadAll(answered.Body)
	if answered.Close {
		l.close()
	}
	a.generation, _ = strconv.ParseInt(a.header.Get("Tributary-Generation"), 10, 64)
	return a, err
}

func (l *line) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// isBroken reports whether an error is that of a broken connection, after which clients
// repeat the request.
func isBroken(err error) bool {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}
