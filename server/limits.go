package server

import (
	"cmp"
	"time"
)

// Limits bound what one client can cost the others. A zero field has a default
// that suits polls over slow links.
type Limits struct {
	// ReadHeader is the time a request's headers may take to arrive, Read the
	// time of the whole request. 30 s each: the time in which a herd's TLS connections
	// are made is in it, and who only holds one open gives way to others anyway.
	ReadHeader, Read time.Duration
	// Write is the time from the headers to the end of the answer, and Stall the time
	// in which a client must take 256 KiB of it, or what is left; net/http has it for TLS handshakes, too. 60 s and 30 s.
	Write, Stall time.Duration
	// Idle is the time between two requests of a connection. 2 min.
	Idle time.Duration
	// Shutdown is the time that answers get to finish once the server must stop. 20 s.
	Shutdown time.Duration
	// HeaderBytes bounds a request's headers, BodyBytes its body. 32 KiB and 1 MiB.
	HeaderBytes int
	BodyBytes   int64
	// HookBytes bounds the body of a webhook, of which little is kept. 25 MiB:
	// GitHub and GitLab send no more.
	HookBytes int64
	// SnapshotBytes bounds a packed snapshot that is sent for a preview. 64 MiB.
	SnapshotBytes int64
	// Connections is how many may be open before polls on further ones are shed. 16,384,
	// and at most three quarters of the files that the process may open.
	Connections int
	// Polls and Requests are how many of each are answered at one time, those of slow
	// clients aside; of webhooks a quarter as many as requests. 4,096 and 1,024.
	Polls, Requests int
	// PollRate is how many polls a second one credential may make of one cluster, and
	// RequestRate how many other requests it may make; a minute's and ten seconds'
	// worth may come at once. Negative is no limit. 20 and 200.
	PollRate, RequestRate float64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		ReadHeader:  cmp.Or(l.ReadHeader, 30*time.Second),
		Read:        cmp.Or(l.Read, 30*time.Second),
		Write:       cmp.Or(l.Write, time.Minute),
		Stall:       cmp.Or(l.Stall, 30*time.Second),
		Idle:        cmp.Or(l.Idle, 2*time.Minute),
		Shutdown:    cmp.Or(l.Shutdown, 20*time.Second),
		HeaderBytes: cmp.Or(l.HeaderBytes, 32<<10),
		BodyBytes:   cmp.Or(l.BodyBytes, 1<<20),
		HookBytes:   cmp.Or(l.HookBytes, 25<<20),

		SnapshotBytes: cmp.Or(l.SnapshotBytes, 64<<20),

		Connections: cmp.Or(l.Connections, 16_384),
		Polls:       cmp.Or(l.Polls, 4096),
		Requests:    cmp.Or(l.Requests, 1024),
		PollRate:    cmp.Or(l.PollRate, 20),
		RequestRate: cmp.Or(l.RequestRate, 200),
	}
}
