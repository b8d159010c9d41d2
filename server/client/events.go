package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

const (
	// maxQuiet is how long a stream of events may be silent. The server sends something at
	// least every 15 seconds.
	maxQuiet = time.Minute
	// maxEvent bounds one event, in bytes.
	maxEvent = 64 << 20
)

// Events calls do for each change after a generation, as the changes happen; 0 for those from
// now on. It returns when ctx ends, the connection breaks, or do fails. To go on after a
// broken connection, call it again with the generation of the last change.
func (c *Client) Events(ctx context.Context, after int64, do func(api.Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := get("events")
	r, err := c.request(ctx, q)
	if err != nil {
		return err
	}
	if after > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatInt(after, 10))
	}
	r.Header.Set("Accept", "text/event-stream")
	endless := http.Client{Transport: c.http.Transport, CheckRedirect: refuseRedirect}
	answer, err := endless.Do(r)
	if err != nil {
		return c.noAnswer(q, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		return c.refusal(answer, body)
	}
	quiet := time.AfterFunc(maxQuiet, cancel)
	defer quiet.Stop()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		quiet.Reset(maxQuiet)
		data, isData := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !isData {
			continue
		}
		var change api.Change
		if err := json.Unmarshal(data, &change); err != nil {
			return c.unreadable("an event", err)
		}
		if err := do(change); err != nil {
			return err
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return c.noAnswer(q, err)
}
