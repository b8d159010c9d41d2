package sources

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestStalledUploadIsAnError uses a registry that does not
// answer either. The time limit does not affect the result.
func TestStalledUploadIsAnError(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-over }))
	defer server.Close()
	defer close(over)
	client := &http.Client{Transport: uploadTransport{http.DefaultTransport, &meter{total: 1 << 30}, 10 * time.Millisecond}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, io.LimitReader(zeros{}, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, errSendStalled) {
		t.Errorf("Do = %v, want %v", err, errSendStalled)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestUploadTimeLimitDoesNotApplyToAnswers(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Write(sent)
		w.(http.Flusher).Flush()
		<-begun
		w.Write(sent)
	}))
	defer server.Close()
	client := &http.Client{Transport: uploadTransport{http.DefaultTransport, &meter{}, time.Minute}}
	response, err := client.Post(server.URL, "text/plain", strings.NewReader("sent"))
	if err != nil {
		close(begun)
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, err = io.ReadFull(response.Body, make([]byte, 4))
	close(begun)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(response.Body); err != nil || string(got) != "sent" {
		t.Errorf("the rest is %q and %v, want all of it", got, err)
	}
}

func TestMeterCountsRepeatedRequestsOnce(t *testing.T) {
	t.Parallel()
	var got []int64
	m := &meter{total: 100, report: func(done, _ int64) { got = append(got, done) }}
	m.start()
	m.add(10)
	m.start()
	m.add(20)
	m.finishBlob(20)
	m.start()
	m.add(5)
	if want := []int64{0, 10, 0, 20, 20, 20, 25}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

func TestPushHonorsRetryAfter(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]time.Duration{30 * time.Second: 30 * time.Second, time.Hour: -1} {
		told := &fleet.RetryError{Err: errors.New("429"), After: after}
		if got, err := (pushPolicy{}).Retry(0, nil, told); err != nil || got != want {
			t.Errorf("Retry of one that says %v = %v, %v, want %v", after, got, err, want)
		}
	}
	told := &fleet.RetryError{Err: errors.New("429")}
	if got, _ := (pushPolicy{}).Retry(0, nil, told); got <= 0 {
		t.Errorf("Retry of one that does not say = %v, want a while", got)
	}
	if got, _ := (pushPolicy{}).Retry(pushAttempts, nil, told); got != -1 {
		t.Errorf("Retry after %d attempts = %v, want -1", pushAttempts, got)
	}
}
