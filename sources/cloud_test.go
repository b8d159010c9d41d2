package sources_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/oci/cloud"
)

const (
	ecrHost      = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	acrHost      = "acme.azurecr.io"
	artifactHost = "europe-docker.pkg.dev"
)

// cloudHosts are the names of the services that serveClouds stands in for.
var cloudHosts = []string{
	"sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com", "login.microsoftonline.com", "sts.googleapis.com",
	ecrHost, acrHost, artifactHost,
}

// serveClouds runs stand-ins for the token services and registries of the three
// clouds behind a proxy, and returns options to reach them. Each service checks
// what it is asked with.
func serveClouds(t *testing.T, registry *registryServer) (*forwardProxy, sources.Options) {
	t.Helper()
	files := newTestTLS(t)
	target, err := url.Parse("http://" + registry.host)
	must(t, err)
	pull := httputil.NewSingleHostReverseProxy(target)
	behind := func(user, password string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			pull.ServeHTTP(w, r)
		}
	}
	mux := http.NewServeMux()
	answer := func(pattern, contentType, text string, wrong func(r *http.Request) bool) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if _ = r.ParseForm(); wrong(r) {
				t.Errorf("%s was asked for with %q and form %q", pattern, r.Header, r.Form)
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write([]byte(text))
		})
	}
	in := func(d time.Duration) time.Time { return time.Now().Add(d).UTC() }

	answer("POST sts.eu-west-1.amazonaws.com/", "text/xml", fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDTEST</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, in(time.Hour).Format(time.RFC3339)), func(r *http.Request) bool {
		return r.Form.Get("Action") != "AssumeRoleWithWebIdentity" || r.Form.Get("RoleArn") != "arn:aws:iam::123456789012:role/fleet" || r.Form.Get("WebIdentityToken") != "the token"
	})
	answer("POST api.ecr.eu-west-1.amazonaws.com/", "application/x-amz-json-1.1", fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":"https://%s"}]}`, base64.StdEncoding.EncodeToString([]byte("AWS:of ECR")), in(12*time.Hour).Unix(), ecrHost), func(r *http.Request) bool {
		return !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken") || r.Header.Get("X-Amz-Security-Token") != "session" ||
			!strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDTEST/") || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/ecr/aws4_request")
	})
	mux.HandleFunc(ecrHost+"/", behind("AWS", "of ECR"))

	never := func(*http.Request) bool { return false }
	const login = "https://login.microsoftonline.com/tenant/"
	answer("GET login.microsoftonline.com/common/discovery/instance", "application/json", `{"tenant_discovery_endpoint":"`+login+`v2.0/.well-known/openid-configuration","api-version":"1.1","metadata":[{"preferred_network":"login.microsoftonline.com","preferred_cache":"login.windows.net","aliases":["login.microsoftonline.com"]}]}`, never)
	answer("GET login.microsoftonline.com/tenant/v2.0/.well-known/openid-configuration", "application/json", `{"token_endpoint":"`+login+`oauth2/v2.0/token","authorization_endpoint":"`+login+`oauth2/v2.0/authorize","issuer":"`+login+`v2.0"}`, never)
	answer("POST login.microsoftonline.com/tenant/oauth2/v2.0/token", "application/json", `{"token_type":"Bearer","expires_in":3600,"access_token":"of Entra"}`, func(r *http.Request) bool {
		return r.Form.Get("client_assertion") != "the token" || r.Form.Get("client_id") != "client" || !strings.Contains(r.Form.Get("scope"), "https://containerregistry.azure.net/.default")
	})
	answer("POST "+acrHost+"/oauth2/exchange", "application/json", `{"refresh_token":"of ACR"}`, func(r *http.Request) bool {
		return r.Form.Get("grant_type") != "access_token" || r.Form.Get("service") != acrHost || r.Form.Get("access_token") != "of Entra"
	})
	mux.HandleFunc(acrHost+"/", behind("00000000-0000-0000-0000-000000000000", "of ACR"))

	answer("POST sts.googleapis.com/v1/token", "application/json", `{"access_token":"of Google","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`, func(r *http.Request) bool {
		return r.Form.Get("subject_token") != "the token" || r.Form.Get("audience") != "//iam.googleapis.com/pool" || r.Form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange"
	})
	mux.HandleFunc(artifactHost+"/", behind("oauth2accesstoken", "of Google"))

	server := httptest.NewUnstartedServer(mux)
	server.TLS = files.config(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	p := newForwardProxy(t, server.URL)
	return p, sources.Options{Proxy: sources.ProxyOptions{URL: p.URL}, TLS: sources.TLSOptions{CAFile: files.caFile}}
}

// TestRegistriesOfCloudsByWorkloadIdentity uses the identity that each cloud
// gives to a pod: a token in a file, or a metadata service.
func TestRegistriesOfCloudsByWorkloadIdentity(t *testing.T) {
	t.Parallel()
	registry := newRegistryServer(t)
	want := "v1@" + registry.pushFlux("fleet:v1", someFiles)
	p, o := serveClouds(t, registry)
	token := secretFile(t, "the token")
	federation, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/pool", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": "https://sts.googleapis.com/v1/token", "credential_source": map[string]any{"file": token},
	})
	must(t, err)
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("the metadata service was asked with %q", r.Header)
		}
		w.Header().Set("Metadata-Flavor", "Google")
		if strings.HasSuffix(r.URL.Path, "/service-accounts/default/token") {
			_, _ = w.Write([]byte(`{"access_token":"of Google","expires_in":3600,"token_type":"Bearer"}`))
		}
	}))
	defer metadata.Close()
	home := "HOME=" + t.TempDir()
	for name, c := range map[string]struct {
		provider cloud.Provider
		host     string
		env      []string
	}{
		"EKS":        {cloud.AWS, ecrHost, []string{"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/fleet", "AWS_WEB_IDENTITY_TOKEN_FILE=" + token, "AWS_EC2_METADATA_DISABLED=true"}},
		"AKS":        {cloud.Azure, acrHost, []string{"AZURE_TENANT_ID=tenant", "AZURE_CLIENT_ID=client", "AZURE_FEDERATED_TOKEN_FILE=" + token}},
		"federation": {cloud.GCP, artifactHost, []string{"GOOGLE_APPLICATION_CREDENTIALS=" + secretFile(t, string(federation))}},
		"GKE":        {cloud.GCP, artifactHost, []string{"GCE_METADATA_HOST=" + strings.TrimPrefix(metadata.URL, "http://")}},
	} {
		o.OCI.Provider = c.provider
		child := fetchInChild(t, childFetch{"oci://" + c.host + "/fleet:v1", o}, append(c.env, home)...)
		if child.Revision != want {
			t.Errorf("%s: %+v, want revision %s; asked: %s", name, child, want, p.requests())
		}
	}
	o.OCI.Provider = cloud.AWS
	must(t, os.Remove(token))
	child := fetchInChild(t, childFetch{"oci://" + ecrHost + "/fleet:v1", o}, "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/fleet", "AWS_WEB_IDENTITY_TOKEN_FILE="+filepath.Join(token), home)
	if !strings.Contains(child.Err, "--registry-provider aws: the workload identity gives no credential for "+ecrHost) {
		t.Errorf("without its token: %+v", child)
	}
}

func TestCloudCredentialsAreForTheProvidersRegistriesOnly(t *testing.T) {
	t.Parallel()
	for host, provider := range map[string]cloud.Provider{
		"ghcr.io": cloud.AWS, ecrHost + ".evil.com": cloud.AWS, "evil-" + ecrHost: cloud.AWS, artifactHost: cloud.Azure,
		"azurecr.io": cloud.Azure, "acme.azurecr.io.evil.com": cloud.Azure, "evil-gcr.io": cloud.GCP, "docker.pkg.dev.evil.com": cloud.GCP, acrHost + ":443": cloud.Azure,
	} {
		_, err := sources.Open("oci://"+host+"/fleet:v1", sources.Options{OCI: sources.OCIOptions{Provider: provider}})
		wantText(t, err, "the registry "+host+" is none of that provider's")
	}
	_, err := sources.Open("oci://"+acrHost+"/fleet:v1", sources.Options{OCI: sources.OCIOptions{Provider: "ibm"}})
	wantText(t, err, `--registry-provider "ibm": must be aws, azure or gcp`)
	_, err = sources.Open("oci://"+acrHost+"/fleet:v1", sources.Options{OCI: sources.OCIOptions{Provider: cloud.Azure, ConfigFile: "x"}})
	wantText(t, err, "exclude each other")
}
