package transport

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// Retries say how often a request is repeated that may succeed a moment later,
// and how long to wait before that at most.
type Retries struct {
	Most    int
	Longest time.Duration
	// Final are statuses that do not change a moment later.
	Final []int
}

// FetchRetries are few, because a source is looked at again soon.
var FetchRetries = Retries{Most: 2, Longest: 5 * time.Second}

// Transport returns next with repeated requests. One whose body cannot be read
// again is sent once. One is not repeated either if the server asks to wait for
// longer, or to slow down without saying for how long.
func (r Retries) Transport(next http.RoundTripper) http.RoundTripper {
	policy := &retry.GenericPolicy{
		MaxRetry: r.Most, MaxWait: r.Longest,
		Retryable: func(response *http.Response, err error) (bool, error) {
			if response != nil {
				wait := after(response)
				if wait > r.Longest || wait == 0 && response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusNotImplemented || slices.Contains(r.Final, response.StatusCode) {
					return false, nil
				}
			}
			if errors.Is(err, io.EOF) {
				return true, nil // The connection was closed before an answer.
			}
			return retry.DefaultPredicate(response, err)
		},
		Backoff: func(attempt int, response *http.Response) time.Duration {
			return max(after(response), retry.DefaultBackoff(attempt, nil))
		},
	}
	return &retry.Transport{Base: next, Policy: func() retry.Policy { return policy }}
}

func after(response *http.Response) time.Duration {
	if response == nil {
		return 0
	}
	return RetryAfter(response.Header.Get("Retry-After"), time.Now())
}
