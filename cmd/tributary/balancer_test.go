package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// balancer hands connections to servers in turn, as a plain TCP balancer does: it
// knows nothing of HTTP and asks no probe, so that whoever listens is sent clients. It
// goes on to another server only where one does not take the connection.
type balancer struct {
	addr    string
	servers []string
	turn    atomic.Int64
	nobody  atomic.Int64 // clients that no server took

	mu     sync.Mutex
	behind map[string]int // by the address that a client comes from: whom it was handed to
}

func newBalancer(t testing.TB, servers ...string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	b := &balancer{addr: listener.Addr().String(), servers: servers, behind: map[string]int{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.carry(client.(*net.TCPConn))
		}
	}()
	return b
}

func (b *balancer) carry(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	first := int(b.turn.Add(1))
	for n := range b.servers {
		at := (first + n) % len(b.servers)
		conn, err := net.Dial("tcp", b.servers[at])
		if err != nil {
			continue
		}
		server := conn.(*net.TCPConn)
		defer func() { _ = server.Close() }()
		b.mu.Lock()
		b.behind[client.RemoteAddr().String()] = at
		b.mu.Unlock()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.CloseWrite()
		}()
		_, _ = io.Copy(client, server)
		return
	}
	b.nobody.Add(1)
}

// whom tells which server a client's connection was handed to.
func (b *balancer) whom(client net.Addr) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.behind[client.String()]
}
