package transport

import (
	"net/http"
	"time"

	"oras.land/oras-go/v2/registry/remote/retry"
)

// Retries say how often a request is repeated that may succeed a moment later,
// and how long to wait before that at most.
type Retries struct {
	Most    int
	Longest time.Duration
}

// FetchRetries are few, because a source is looked at again soon.
var FetchRetries = Retries{2, 5 * time.Second}

// Transport returns next with repeated requests. One whose body cannot be read
// again is sent once. One is not repeated either if the server asks to wait for
// longer, or to slow down without saying for how long.
func (r Retries) Transport(next http.RoundTripper) http.RoundTripper {
	policy := &retry.GenericPolicy{
		MaxRetry: r.Most, MaxWait: r.Longest,
		Retryable: func(response *http.Response, err error) (bool, error) {
			if response != nil {
				wait := after(response)
				if wait > r.Longest || wait == 0 && response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusNotImplemented {
					return false, nil
				}
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
