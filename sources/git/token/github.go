package token

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// GitHubApp issues tokens of an installation of a GitHub App, at github.com or
// GitHub Enterprise. They may only read the repository.
type GitHubApp struct {
	// ID is the App's ID or client ID.
	ID string
	// Installation is the ID of the installation; empty for the one that the
	// repository is in.
	Installation string
	// KeyFile is the App's private key in PEM format. It is read for each token.
	KeyFile string
	// Repository is the URL of the repository.
	Repository *url.URL
}

func (a *GitHubApp) String() string { return "token of GitHub App " + message.Printable(a.ID) }

// api returns the URL of the REST API of the repository's host.
func (a *GitHubApp) api(elements ...string) string {
	base := &url.URL{Scheme: a.Repository.Scheme, Host: a.Repository.Host, Path: "/api/v3"}
	if strings.EqualFold(a.Repository.Host, "github.com") {
		base = &url.URL{Scheme: "https", Host: "api.github.com"}
	}
	return base.JoinPath(elements...).String()
}

// Issue implements Issuer.
func (a *GitHubApp) Issue(ctx context.Context, client *http.Client) (Token, error) {
	assertion, err := a.assertion()
	if err != nil {
		return Token{}, err
	}
	owner, name, ok := strings.Cut(strings.TrimSuffix(strings.Trim(a.Repository.Path, "/"), ".git"), "/")
	if !ok {
		return Token{}, errors.New("the URL of the repository has no owner: write https://github.com/OWNER/REPOSITORY")
	}
	installation := a.Installation
	if installation == "" {
		var found struct{ ID json.Number }
		if err := a.call(ctx, client, assertion, http.MethodGet, a.api("repos", owner, name, "installation"), nil, &found); err != nil {
			return Token{}, fmt.Errorf("its installation for %s/%s: %w", owner, name, err)
		}
		installation = found.ID.String()
	}
	want := map[string]any{"repositories": []string{name}, "permissions": map[string]string{"contents": "read"}}
	var issued struct {
		Token   string
		Expires time.Time `json:"expires_at"`
	}
	err = a.call(ctx, client, assertion, http.MethodPost, a.api("app", "installations", installation, "access_tokens"), want, &issued)
	if err == nil && issued.Token == "" {
		err = errors.New("the answer has no token")
	}
	return Token{issued.Token, "x-access-token", issued.Expires}, err
}

func (a *GitHubApp) call(ctx context.Context, client *http.Client, assertion, method, address string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+assertion)
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	return do(client, r, into, func(answer []byte) string {
		var refusal struct{ Message string }
		_ = json.Unmarshal(answer, &refusal) // It gives no reason then.
		return cmp.Or(refusal.Message, "no reason given")
	})
}

// assertion returns what proves that the App asks. GitHub accepts ten minutes;
// clocks may differ by one.
func (a *GitHubApp) assertion() (string, error) {
	key, err := readRSAKey(a.KeyFile)
	if err != nil {
		return "", fmt.Errorf("--git-github-app-key-file: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: a.ID, IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), Expiry: jwt.NewNumericDate(now.Add(8 * time.Minute)),
	}).Serialize()
}

func readRSAKey(file string) (*rsa.PrivateKey, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s contains no private key in PEM format; download one from the App's settings", message.Printable(file))
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := key.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s contains no RSA key; download one from the App's settings", message.Printable(file))
}
