package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// The secrets of the senders. The second is a signing token of GitLab.
const (
	hookSecret   = "hook-8f0e1d2c3b4a59687766"
	signingToken = "whsec_c2lnbmluZy1rZXktb2YtMzItYnl0ZXMtZXhhY3RseS4="
)

// sample is a webhook as its sender makes it, without the proof.
type sample struct {
	provider, name string
	headers        []string // name, value, name, value, …
	body           string
	result         string // look or ignored
}

func (s sample) path() string { return "/api/v1/webhooks/" + s.provider }

// samples returns the webhooks in testdata/webhooks, sorted by name.
func samples(t testing.TB) []sample {
	t.Helper()
	var all []sample
	for _, provider := range []string{"github", "gitlab", "gitea", "generic"} {
		archive, err := txtar.ParseFile("testdata/webhooks/" + provider + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			name, result, _ := strings.Cut(f.Name, ": ")
			head, body, _ := strings.Cut("\n"+string(f.Data), "\n\n")
			s := sample{provider: provider, name: name, result: result, body: strings.TrimSuffix(body, "\n")}
			for line := range strings.Lines(strings.TrimPrefix(head, "\n")) {
				header, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				s.headers = append(s.headers, header, value)
			}
			all = append(all, s)
		}
	}
	return all
}

// push returns the first sample of a provider.
func push(t testing.TB, provider string) sample {
	t.Helper()
	for _, s := range samples(t) {
		if s.provider == provider {
			return s
		}
	}
	t.Fatalf("there is no sample of %s", provider)
	return sample{}
}

func mac(secret, body string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(body))
	return hex.EncodeToString(h.Sum(nil))
}

// proof returns the headers by which a provider's sender proves that it knows a secret.
func proof(provider, secret, body string) []string {
	switch provider {
	case "github":
		return []string{"X-Hub-Signature-256", "sha256=" + mac(secret, body)}
	case "gitea":
		return []string{"X-Gitea-Signature", mac(secret, body), "X-Hub-Signature-256", "sha256=" + mac(secret, body)}
	case "gitlab":
		return []string{"X-Gitlab-Token", secret}
	}
	return bearer(secret)
}

// signed returns the headers by which GitLab proves that it knows a signing token.
func signed(token, id string, at time.Time, body string) []string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, "whsec_"))
	h := hmac.New(sha256.New, key)
	stamp := fmt.Sprint(at.Unix())
	h.Write([]byte(id + "." + stamp + "." + body))
	return []string{"webhook-id", id, "webhook-timestamp", stamp,
		"webhook-signature", "v1,bm90IHRoaXMgb25l v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))}
}
