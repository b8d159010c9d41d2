package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

const (
	look     = `{"look":true}`
	ignored  = `{"look":false,"reason":"such an event does not change the source"}`
	repeated = `{"look":false,"reason":"this delivery came before"}`
)

func withSecrets(t *testing.T, all ...string) func(*server.Config) {
	t.Helper()
	file := writeFile(t, "webhook-secret", strings.Join(all, "\n")+"\n")
	return func(c *server.Config) { c.WebhookSecretFile = file }
}

func (h *harness) post(path, body string, headers ...string) reply {
	h.t.Helper()
	return h.send(http.MethodPost, path, strings.NewReader(body), headers...)
}

// wantAccepted checks that the reply is a 202 with a certain body.
func (r reply) wantAccepted(t *testing.T, what, want string) {
	t.Helper()
	if r.status != http.StatusAccepted || string(r.body) != want {
		t.Errorf("%s = %d %s, want 202 %s", what, r.status, r.body, want)
	}
}

func TestWebhooksReadTheSourceOrAreIgnored(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t), withSecrets(t, hookSecret))
	results := map[string]int{}
	for _, s := range samples(t) {
		want := map[string]string{"look": look, "ignored": ignored}[s.result]
		h.post(s.path(), s.body, append(s.headers, proof(s.provider, hookSecret, s.body)...)...).wantAccepted(t, s.provider+" "+s.name, want)
		results[fmt.Sprintf(`tributary_webhooks_total{provider="%s",result="%s"}`, s.provider, s.result)]++
	}
	for line, want := range results {
		if got := h.metric(line); got != fmt.Sprint(want) {
			t.Errorf("%s = %s, want %d", line, got, want)
		}
	}
	if got := h.metric(`tributary_authentication_failures_total{kind="token"}`); got != "0" {
		t.Errorf("a secret of the webhooks counts as a token: %s failures", got)
	}
}

func TestWebhookMakesANewRevisionLive(t *testing.T) {
	t.Parallel()
	h := start(t, withSecrets(t, hookSecret))
	h.release("main@sha1:1", acme("main@sha1:1"))
	h.source.set("main@sha1:2", acme("main@sha1:2"), nil)
	s := push(t, "github")
	h.post(s.path(), s.body, append(s.headers, proof("github", hookSecret, s.body)...)...).wantAccepted(t, "push", look)
	eventually(t, func() bool { return h.get(kedaPath).header.Get("Tributary-Revision") == "main@sha1:2" })
}

func TestWebhooksAreAcceptedWithEveryProof(t *testing.T) {
	t.Parallel()
	h := start(t, withSecrets(t, signingToken, hookSecret))
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("zot:"+hookSecret))
	wide := hmac.New(sha512.New, []byte(hookSecret))
	wide.Write([]byte("{}"))
	hex := func(body string) string { return mac(hookSecret, body) }
	for what, c := range map[string]struct {
		provider, body string
		headers        []string
	}{
		"Gitea":                         {"gitea", "1", []string{"X-Gitea-Signature", hex("1"), "X-Gitea-Event", "push"}},
		"Forgejo":                       {"gitea", "2", []string{"X-Forgejo-Signature", hex("2"), "X-Forgejo-Event", "push"}},
		"Gogs":                          {"gitea", "3", []string{"X-Gogs-Signature", hex("3"), "X-Gogs-Event", "push"}},
		"as GitHub, to Gitea":           {"gitea", "4", []string{"X-Hub-Signature-256", "sha256=" + hex("4"), "X-GitHub-Event", "push"}},
		"a signing token":               {"gitlab", "5", append(signed(signingToken, "1", time.Now(), "5"), "X-Gitlab-Event", "Push Hook")},
		"a signing token and a token":   {"gitlab", "6", append(signed(signingToken, "2", time.Now(), "6"), "X-Gitlab-Token", "other", "X-Gitlab-Event", "Push Hook")},
		"a token":                       {"gitlab", "7", []string{"X-Gitlab-Token", hookSecret, "X-Gitlab-Event", "Push Hook"}},
		"a signing token sent as token": {"gitlab", "8", []string{"X-Gitlab-Token", signingToken, "X-Gitlab-Event", "Push Hook"}},
		"sha256":                        {"generic", "9", []string{"X-Signature", "sha256=" + hex("9")}},
		"sha512":                        {"generic", "{}", []string{"X-Signature", fmt.Sprintf("sha512=%x", wide.Sum(nil))}},
		"bearer":                        {"generic", "", bearer(hookSecret)},
		"basic":                         {"generic", "", []string{"Authorization", basic}},
		"bare, as Harbor":               {"generic", "", []string{"Authorization", hookSecret}},
	} {
		h.post("/api/v1/webhooks/"+c.provider, c.body, c.headers...).wantAccepted(t, what, look)
	}
}

func TestWebhooksWithoutProofAreRefused(t *testing.T) {
	t.Parallel()
	const other = "other-secret-0123456789"
	now := time.Now()
	weak := hmac.New(sha1.New, []byte(hookSecret))
	weak.Write([]byte("{}"))
	sha1 := fmt.Sprintf("sha1=%x", weak.Sum(nil))
	for _, adjust := range []func(*server.Config){withTokens(t), func(*server.Config) {}, func(c *server.Config) { c.AllowAnonymous = true }} {
		h := start(t, adjust, withSecrets(t, hookSecret, signingToken))
		refused := 0
		for provider, all := range map[string][][]string{
			"github": {
				{}, {"X-Hub-Signature-256", ""}, {"X-Hub-Signature-256", "sha256="}, {"X-Hub-Signature-256", "sha256=zz"},
				proof("github", other, "{}"), proof("github", hookSecret, "{} "), proof("github", "", "{}"),
				{"X-Hub-Signature-256", "sha256=" + mac(hookSecret, "{}")[:62]}, {"X-Hub-Signature-256", "sha512=" + mac(hookSecret, "{}")},
				{"X-Hub-Signature", sha1}, bearer(hookSecret), {"X-Gitlab-Token", hookSecret}, {"X-Gitea-Signature", mac(hookSecret, "{}")},
			},
			"gitea": {
				{}, {"X-Gitea-Signature", ""}, proof("gitea", other, "{}"), proof("gitea", hookSecret, "{} "),
				{"X-Gitea-Signature", mac(other, "{}"), "X-Gogs-Signature", mac(hookSecret, "{}")}, {"X-Hub-Signature", sha1}, bearer(hookSecret),
			},
			"gitlab": {
				{}, {"X-Gitlab-Token", ""}, {"X-Gitlab-Token", other}, {"X-Gitlab-Token", hookSecret + "x"}, {"X-Gitlab-Token", hookSecret[:20]},
				signed(signingToken, "1", now, "{} "), signed("whsec_b3RoZXItc2lnbmluZy1rZXk=", "1", now, "{}"), signed("", "1", now, "{}"),
				signed(signingToken, "1", now.Add(-6*time.Minute), "{}"), signed(signingToken, "1", now.Add(6*time.Minute), "{}"),
				append(signed(signingToken, "1", now, "{}")[2:], "webhook-id", "2"),
				{"webhook-signature", "v1,"}, {"webhook-signature", "v2," + mac(hookSecret, "{}"), "webhook-timestamp", fmt.Sprint(now.Unix())},
				append(signed("whsec_b3RoZXItc2lnbmluZy1rZXk=", "1", now, "{}"), "X-Gitlab-Token", hookSecret), bearer(hookSecret),
			},
			"generic": {
				{}, bearer(other), bearer(""), {"Authorization", other}, {"Authorization", "Token " + hookSecret}, {"Authorization", "Basic " + hookSecret},
				{"Authorization", hash(hookSecret)}, {"X-Signature", mac(hookSecret, "{}")}, {"X-Signature", sha1}, {"X-Signature", "sha256=" + mac(other, "{}")},
				{"X-Signature", "sha512=" + mac(hookSecret, "{}")}, append([]string{"X-Signature", "sha256=" + mac(other, "{}")}, bearer(hookSecret)...),
				bearer(viewerToken), bearer(adminToken),
			},
		} {
			for _, headers := range all {
				headers = append(headers, "X-GitHub-Event", "push", "X-Gitea-Event", "push", "X-Gitlab-Event", "Push Hook")
				reply := h.post("/api/v1/webhooks/"+provider, "{}", headers...)
				reply.problem(t, http.StatusUnauthorized, "unauthenticated")
				if t.Failed() {
					t.Fatalf("%s with %q", provider, headers)
				}
				if strings.Contains(string(reply.body), hookSecret) || strings.Contains(string(reply.body), mac(hookSecret, "{}")) {
					t.Errorf("the answer reveals the right proof: %s", reply.body)
				}
				refused++
			}
		}
		counted := 0
		for _, provider := range []string{"github", "gitlab", "gitea", "generic"} {
			var n int
			_, _ = fmt.Sscan(h.metric(`tributary_webhooks_total{provider="`+provider+`",result="refused"}`), &n)
			counted += n
			if got := h.metric(`tributary_webhooks_total{provider="` + provider + `",result="look"}`); got != "" {
				t.Errorf("%s had a look after %s of them", provider, got)
			}
		}
		if counted != refused {
			t.Errorf("%d refusals were counted, want %d", counted, refused)
		}
	}
}

func TestWithoutASecretOnlyThisMachineMaySendWebhooks(t *testing.T) {
	t.Parallel()
	open, tokens, anonymous := start(t), start(t, withTokens(t)), start(t, func(c *server.Config) { c.AllowAnonymous = true })
	for _, provider := range []string{"github", "gitlab", "gitea", "generic"} {
		s := push(t, provider)
		open.post(s.path(), s.body, s.headers...).wantAccepted(t, provider, look)
		open.post(s.path(), s.body, append(s.headers, "Host", "evil.example.com")...).problem(t, http.StatusMisdirectedRequest, "misdirected")
		for _, h := range []*harness{tokens, anonymous} {
			for _, headers := range [][]string{{}, bearer(adminToken), proof(provider, "", s.body)} {
				detail := h.post(s.path(), s.body, append(s.headers, headers...)...).problem(t, http.StatusForbidden, "forbidden")
				if !strings.Contains(detail, "--webhook-secret-file") {
					t.Errorf("detail %q does not say what to do", detail)
				}
			}
		}
	}
}

// A web page must not reach a server on the machine of the person who views it.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	for _, h := range []*harness{start(t), start(t, withSecrets(t, hookSecret))} {
		for _, c := range []struct {
			headers []string
			ok      bool
		}{
			{[]string{"Sec-Fetch-Site", "cross-site"}, false},
			{[]string{"Sec-Fetch-Site", "same-site"}, false},
			{[]string{"Origin", "https://evil.example.com"}, false},
			{[]string{"Origin", "null"}, false},
			{[]string{"Sec-Fetch-Site", "same-origin", "Origin", h.url}, true},
			{[]string{"Origin", h.url}, true},
			{nil, true},
		} {
			reply := h.post("/api/v1/webhooks/generic", "{}", append(c.headers, bearer(hookSecret)...)...)
			if c.ok {
				reply.wantAccepted(t, fmt.Sprint(c.headers), look)
			} else {
				reply.problem(t, http.StatusForbidden, "forbidden")
			}
		}
		if got := h.get("/api/v1/releases", "Sec-Fetch-Site", "cross-site").status; got != http.StatusOK {
			t.Errorf("a GET = %d, want 200: browsers keep its answer to themselves", got)
		}
	}
}

func TestSecretsAreReloaded(t *testing.T) {
	t.Parallel()
	const second, third = "second-0123456789abcdef", "third-0123456789abcdef"
	file := filepath.Join(t.TempDir(), "webhook-secret")
	replace := func(content string) { replaced["renamed over"](t, file, content) }
	replace(hookSecret)
	h := start(t, func(c *server.Config) { c.WebhookSecretFile, c.Reload = file, time.Millisecond })
	status := func(secret string) int { return h.post("/api/v1/webhooks/generic", "{}", bearer(secret)...).status }
	if got := status(hookSecret); got != http.StatusAccepted {
		t.Fatalf("= %d, want 202", got)
	}
	replace(hookSecret + "\n\n  " + second + "\r\n")
	eventually(t, func() bool { return status(second) == http.StatusAccepted })
	if got := status(hookSecret); got != http.StatusAccepted {
		t.Errorf("the old one = %d, want 202 while it is in the file", got)
	}
	replace(second)
	eventually(t, func() bool { return status(hookSecret) == http.StatusUnauthorized })
	replace(third + "\nshort")
	eventually(t, func() bool { return strings.Contains(h.logs.String(), "is shorter than") })
	if status(second) != http.StatusAccepted || status(third) != http.StatusUnauthorized {
		t.Error("a bad file must keep the secrets that were read before")
	}
	if got := h.metric(`tributary_reload_failing{file="webhook_secret"}`); got != "1" {
		t.Errorf("tributary_reload_failing = %q, want 1", got)
	}
}

func TestSecretFileReportsEveryMistake(t *testing.T) {
	t.Parallel()
	for content, want := range map[string][]string{
		"":         {": contains no secret: write one"},
		" \n\n":    {": contains no secret: write one"},
		"changeme": {":1: is shorter than 16 characters", "openssl rand"},
		hookSecret + "\n\nfifteen-chars-x\nshort": {":3: is shorter", ":4: is shorter"},
		"whsec_not base64 at all":                 {":1: begins like a signing token"},
		"whsec_c2hvcnQta2V5LQ==":                  {":1: begins like a signing token"},
		strings.Repeat(hookSecret+"\n", 9):        {": contains 9 secrets: remove"},
	} {
		file := writeFile(t, "webhook-secret", content)
		_, err := server.New(server.Config{WebhookSecretFile: file, Fleet: controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}})})
		if err == nil {
			t.Errorf("%q is accepted", content)
			continue
		}
		for _, w := range append(want, file) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %s in it", content, err, w)
			}
		}
		for line := range strings.Lines(content) {
			if line = strings.TrimSpace(line); line != "" && line != "short" && strings.Contains(err.Error(), line) {
				t.Errorf("%q: %v quotes a secret", content, err)
			}
		}
	}
	if _, err := server.New(server.Config{WebhookSecretFile: "/does/not/exist"}); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestWebhookSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t), withSecrets(t, hookSecret, signingToken))
	for _, s := range samples(t) {
		for _, headers := range [][]string{proof(s.provider, hookSecret, s.body), proof(s.provider, "wrong-6b1f5d-0123456789", s.body), bearer(hookSecret)} {
			h.post(s.path()+"?secret="+hookSecret, s.body, append(s.headers, headers...)...)
			h.post("/nothing", s.body, append(s.headers, headers...)...)
		}
	}
	must(t, h.stop())
	for _, text := range []string{hookSecret, signingToken, "wrong-6b1f5d", "acme/fleet", mac(hookSecret, samples(t)[0].body)} {
		if strings.Contains(h.logs.String(), text) {
			t.Errorf("%q is in the log", text)
		}
	}
	if len(h.logs.lines(t, "request")) == 0 {
		t.Error("nothing was logged: the test checks nothing")
	}
}

func TestBodiesOfWebhooksAreBounded(t *testing.T) {
	t.Parallel()
	limit := func(c *server.Config) { c.Limits.HookBytes = 100_000 }
	h, open := start(t, withSecrets(t, hookSecret), limit), start(t, limit)
	for _, size := range []int{100_000, 100_001, 5_000_000} {
		for n, provider := range []string{"github", "gitlab", "gitea", "generic"} {
			body := strings.Repeat(fmt.Sprint(n), size)
			headers := append(push(t, provider).headers, proof(provider, hookSecret, body)...)
			for _, at := range []*harness{h, open} {
				reply := at.post("/api/v1/webhooks/"+provider, body, headers...)
				if size == 100_000 {
					reply.wantAccepted(t, provider, look)
					continue
				}
				if detail := reply.problem(t, http.StatusRequestEntityTooLarge, "too-long"); !strings.Contains(detail, "100000 bytes") {
					t.Errorf("detail %q does not say how many", detail)
				}
			}
		}
	}
}

// The fields that decide are at the beginning of a body. If they are not, the source is read.
func TestBodyTooLongToParseReadsTheSource(t *testing.T) {
	t.Parallel()
	h := start(t, withSecrets(t, hookSecret))
	for padding, want := range map[int]string{10 << 10: ignored, 20 << 10: look} {
		body := `{"type":"PULL_ARTIFACT","event_data":{"padding":"` + strings.Repeat("x", padding) + `"}}`
		h.post("/api/v1/webhooks/generic", body, bearer(hookSecret)...).wantAccepted(t, fmt.Sprint(padding, " bytes"), want)
	}
}

// GitHub sends up to 25 MB, and a sender without a secret can send as much.
func TestLongWebhooksAreNotKeptInMemory(t *testing.T) {
	s := newServer(t, server.Config{WebhookSecretFile: writeFile(t, "webhook-secret", hookSecret)})
	for provider, header := range map[string][2]string{
		"github": {"X-Hub-Signature-256", "sha256=" + mac("other", "")}, "gitlab": {"X-Gitlab-Token", hookSecret},
		"gitea": {"X-Gitea-Signature", mac("other", "")}, "generic": {"Authorization", hookSecret},
	} {
		const size = 20 << 20
		r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/webhooks/"+provider, io.LimitReader(zeros{}, size))
		r.Header.Set(header[0], header[1])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.ServeHTTP(httptest.NewRecorder(), r)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > size/20 {
			t.Errorf("%s: %d bytes were allocated for a body of %d", provider, got, size)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestIncompleteBodyIsABadRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Config{WebhookSecretFile: writeFile(t, "webhook-secret", hookSecret)})
	for _, headers := range [][]string{proof("github", hookSecret, "{}"), proof("gitlab", hookSecret, "{}")} {
		for _, provider := range []string{"github", "gitlab"} {
			r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/webhooks/"+provider, io.MultiReader(strings.NewReader("{"), broken{}))
			r.Header.Set(headers[0], headers[1])
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest && w.Code != http.StatusUnauthorized {
				t.Errorf("%s = %d, want 400, or 401 where it was not read", provider, w.Code)
			}
			if proven := headers[0] == "X-Gitlab-Token" == (provider == "gitlab"); proven && w.Code != http.StatusBadRequest {
				t.Errorf("%s = %d, want 400", provider, w.Code)
			}
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// receiver is a server with a running fleet in a synctest bubble, where time passes only
// when nothing else is left to do. So a test can check that something does not happen.
type receiver struct {
	t      *testing.T
	server *server.Server
	source *source // every Fetch hangs until its gate is closed
}

func receive(t *testing.T, test func(t *testing.T, r *receiver)) {
	t.Helper()
	file := writeFile(t, "webhook-secret", hookSecret+"\n"+signingToken)
	document() // is made once, outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		from := &source{gate: make(chan struct{})}
		live := controller.New(controller.Config{Source: from, Renderer: &renderer{}, Interval: 1000 * time.Hour, Timeout: 1000 * time.Hour})
		s, err := server.New(server.Config{Fleet: live, WebhookSecretFile: file})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- live.Run(ctx) }()
		synctest.Wait()
		test(t, &receiver{t, s, from})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// push sends a push event of GitHub with a body.
func (r *receiver) push(body, want string) {
	r.t.Helper()
	r.send("github", body, want, append(proof("github", hookSecret, body), "X-GitHub-Event", "push")...)
}

func (r *receiver) send(provider, body, want string, headers ...string) {
	r.t.Helper()
	request := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/webhooks/"+provider, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, request)
	if w.Code != http.StatusAccepted || w.Body.String() != want {
		r.t.Errorf("%s = %d %s, want 202 %s", provider, w.Code, w.Body, want)
	}
}

// wantReads checks how often the source was read, once everything is idle.
func (r *receiver) wantReads(want int, why string) {
	r.t.Helper()
	time.Sleep(time.Hour)
	synctest.Wait()
	if got := r.source.fetches(); got != want {
		r.t.Errorf("%d looks, want %d: %s", got, want, why)
	}
}

func TestBurstOfWebhooksReadsTheSourceTwice(t *testing.T) {
	t.Parallel()
	receive(t, func(t *testing.T, r *receiver) {
		close(r.source.gate)
		r.wantReads(1, "the one at the start")
		for n := range 20 {
			r.push(fmt.Sprint("push ", n), look)
			time.Sleep(4 * time.Millisecond)
		}
		r.wantReads(3, "of twenty pushes within 80 ms the first is one look, and all others another")
		r.push("another", look)
		r.wantReads(4, "a push an hour later is one more")
	})
}

func TestWebhookDuringAReadLeadsToAnother(t *testing.T) {
	t.Parallel()
	receive(t, func(t *testing.T, r *receiver) {
		r.wantReads(1, "the one at the start, which hangs")
		for n := range 20 {
			r.push(fmt.Sprint("push ", n), look)
			time.Sleep(time.Second)
		}
		r.wantReads(1, "it still hangs")
		close(r.source.gate)
		r.wantReads(2, "what was pushed while it hung is looked at")
	})
}

func TestIgnoredWebhooksReadNothing(t *testing.T) {
	t.Parallel()
	receive(t, func(t *testing.T, r *receiver) {
		close(r.source.gate)
		r.wantReads(1, "the one at the start")
		for _, s := range samples(t) {
			if s.result == "ignored" {
				r.send(s.provider, s.body, ignored, append(s.headers, proof(s.provider, hookSecret, s.body)...)...)
			}
		}
		r.wantReads(1, "ignored events")
	})
}

func TestReplayedWebhooksHaveNoEffect(t *testing.T) {
	t.Parallel()
	receive(t, func(t *testing.T, r *receiver) {
		close(r.source.gate)
		r.push("one", look)
		r.wantReads(2, "the start and the push")
		r.push("one", repeated)
		r.send("gitea", "one", repeated, append(proof("gitea", hookSecret, "one"), "X-Gitea-Event", "push")...)
		r.wantReads(2, "replays")

		gitlab := append(signed(signingToken, "1", time.Now(), "one"), "X-Gitlab-Event", "Push Hook")
		r.send("gitlab", "one", look, gitlab...)
		r.send("gitlab", "one", repeated, gitlab...)
		r.wantReads(3, "one of GitLab's")

		// The name of the event is not signed.
		issue := append(proof("github", hookSecret, "issue"), "X-GitHub-Event")
		r.send("github", "issue", ignored, append(issue, "issues")...)
		r.send("github", "issue", repeated, append(issue, "push")...)
		r.wantReads(3, "one that was ignored under its own name")

		// A script signs the same body each time.
		for range 2 {
			r.send("generic", "{}", look, "X-Signature", "sha256="+mac(hookSecret, "{}"))
			r.send("generic", "{}", look, bearer(hookSecret)...)
		}

		// A webhook that was overheard elsewhere is not accepted as a script's either.
		r.send("generic", "one", repeated, "X-Signature", "sha256="+mac(hookSecret, "one"))

		for n := range 1024 {
			r.push(fmt.Sprint("push ", n), look)
		}
		r.push("push 0", repeated)
		r.push("one", look) // Memory is bounded.
	})
}
