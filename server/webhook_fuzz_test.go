package server_test

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

// FuzzWebhook checks that every webhook gets a documented answer, and that none is accepted
// from a sender that does not know the secret. A webhook that the test itself signs is
// always accepted, whatever its body.
func FuzzWebhook(f *testing.F) {
	providers := []string{"github", "gitlab", "gitea", "generic"}
	proofs := []string{"X-Hub-Signature-256", "X-Gitlab-Token", "X-Gitea-Signature", "X-Signature", "Authorization", "webhook-signature"}
	for _, s := range samples(f) {
		n := uint8(slices.Index(providers, s.provider))
		event := ""
		for i := 0; i < len(s.headers); i += 2 {
			if strings.HasSuffix(s.headers[i], "-Event") || s.headers[i] == "Ce-Type" {
				event = s.headers[i+1]
			}
		}
		for _, proven := range []bool{true, false} {
			f.Add(n, event, n, "sha256="+mac("another secret", s.body), proven, s.body)
		}
	}
	f.Add(uint8(3), "", uint8(4), "Basic OmhvdA==", false, strings.Repeat(`{"events":[`, 2000))
	f.Add(uint8(3), "", uint8(4), "Bearer "+hookSecret, false, strings.Repeat("[", 9000))
	f.Add(uint8(3), "", uint8(3), "sha512=", true, `{"events":{"action":"push"},"type":1}`)
	f.Add(uint8(1), "System Hook", uint8(5), "v1,=,v1 v1,AAAA", false, `{"event_name":["push"]}`)

	file := filepath.Join(f.TempDir(), "webhook-secret")
	if err := os.WriteFile(file, []byte(hookSecret+"\n"+signingToken), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := server.New(server.Config{
		WebhookSecretFile: file, Limits: server.Limits{HookBytes: 32 << 10},
		Fleet: controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}}),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, provider uint8, event string, by uint8, shown string, proven bool, body string) {
		to := providers[int(provider)%len(providers)]
		r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/webhooks/"+to, strings.NewReader(body))
		for _, name := range []string{"X-GitHub-Event", "X-Gitea-Event", "X-Gitlab-Event", "Ce-Type"} {
			r.Header.Set(name, event)
		}
		headers := []string{proofs[int(by)%len(proofs)], shown, "webhook-id", "1", "webhook-timestamp", "1"}
		if proven {
			headers = proof(to, hookSecret, body)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		proven = proven || knows(shown, body)
		switch accepted := w.Code == http.StatusAccepted; {
		case !slices.Contains([]int{202, 401, 413}, w.Code):
			t.Errorf("= %d %s, want 202, 401 or 413", w.Code, w.Body)
		case accepted && !proven:
			t.Errorf("%q proves nothing, and is accepted", headers)
		case accepted && !slices.Contains([]string{look, ignored, repeated}, w.Body.String()):
			t.Errorf("= %s", w.Body)
		case len(body) > 32<<10 && accepted:
			t.Errorf("a body of %d bytes is accepted", len(body))
		}
		if forced := len(headers) < 6; forced && w.Code == http.StatusUnauthorized {
			t.Errorf("%q is refused: %s", headers, w.Body)
		}
	})
}

// knows reports whether only a sender that knows the secret can have made the proof.
func knows(shown, body string) bool {
	wide := hmac.New(sha512.New, []byte(hookSecret))
	wide.Write([]byte(body))
	unpacked, _ := base64.StdEncoding.DecodeString(shown[strings.LastIndex(shown, " ")+1:])
	for _, secret := range []string{hookSecret, signingToken, mac(hookSecret, body), mac(signingToken, body), fmt.Sprintf("%x", wide.Sum(nil))} {
		if strings.Contains(strings.ToLower(shown), strings.ToLower(secret)) || strings.Contains(string(unpacked), secret) {
			return true
		}
	}
	return false
}
