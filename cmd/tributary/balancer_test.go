package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// balancer is a TCP load balancer. It forwards connections to the servers in turn, without
// probes, and tries the next server if one does not accept the connection.
type balancer struct {
	addr    string
	servers []string
	turn    atomic.Int64
	dropped atomic.Int64 // connections that no server accepted

	mu     sync.Mutex
	behind map[string]int // index of the server, by the address of the client
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
	b.dropped.Add(1)
}

// serverOf returns the index of the server that handles the connection of a client.
func (b *balancer) serverOf(client net.Addr) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.behind[client.String()]
}
