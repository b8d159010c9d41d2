// Package cloud returns credentials for the registries of cloud providers, by
// the identity of the workload that it runs in.
//
//	identity := cloud.New(cloud.AWS)
//	credential, err := identity.Credential(ctx, transport, "123456789012.dkr.ecr.eu-west-1.amazonaws.com")
//
// Credentials are kept until shortly before they expire. They are only for
// registries of the provider, so no other host ever gets one.
package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Provider is a cloud provider, as Flux's OCIRepository.spec.provider names it.
type Provider string

// The providers. The empty Provider is none.
const (
	AWS   Provider = "aws"
	Azure Provider = "azure"
	GCP   Provider = "gcp"
)

// registries matches the hosts that get the provider's credentials.
var registries = map[Provider]*regexp.Regexp{
	AWS:   regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn))$`),
	Azure: regexp.MustCompile(`^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|cn|us)$`),
	GCP:   regexp.MustCompile(`^(?:(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$`),
}

// Check returns an error if a registry does not belong to the provider.
func (p Provider) Check(registry string) error {
	hosts, ok := registries[p]
	switch {
	case p == "":
		return nil
	case !ok:
		return fmt.Errorf("--registry-provider %q: must be aws, azure or gcp", string(p))
	case !hosts.MatchString(registry):
		return fmt.Errorf("--registry-provider %s: the registry %s is none of that provider's, and must not get its credentials", p, registry)
	}
	return nil
}

// Identity is the workload's identity. It is safe for concurrent use.
type Identity struct {
	provider Provider

	mu      sync.Mutex
	last    auth.Credential
	expires time.Time
}

// New returns the workload's identity at a provider. It asks for nothing yet.
func New(p Provider) *Identity { return &Identity{provider: p} }

// early is how long before its end a credential is replaced.
const early = 5 * time.Minute

// timeout is the time limit for each answer.
const timeout = 30 * time.Second

// Credential returns a credential for a registry. The proxy and certificates of
// transport are used for all requests, except to the metadata service of Google
// Cloud.
func (i *Identity) Credential(ctx context.Context, transport *http.Transport, registry string) (auth.Credential, error) {
	if err := i.provider.Check(registry); err != nil {
		return auth.EmptyCredential, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Until(i.expires) > early {
		return i.last, nil
	}
	ask := map[Provider]func(context.Context, *http.Transport, string) (auth.Credential, time.Time, error){AWS: fromAWS, Azure: fromAzure, GCP: fromGCP}[i.provider]
	credential, expires, err := ask(ctx, transport, registry)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("--registry-provider %s: the workload identity gives no credential for %s: %w", i.provider, registry, err)
	}
	i.last, i.expires = credential, expires
	return credential, nil
}

// fromAWS uses a role for the service account, EKS Pod Identity, the node's role
// or any other source of credentials that AWS tools use.
func fromAWS(ctx context.Context, transport *http.Transport, registry string) (c auth.Credential, expires time.Time, err error) {
	region := registries[AWS].FindStringSubmatch(registry)[1]
	// Only this kind of client serves with AWS_CA_BUNDLE.
	client := awshttp.NewBuildableClient().WithTimeout(timeout).WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.TLSClientConfig = transport.Proxy, transport.TLSClientConfig.Clone()
		if roots := t.TLSClientConfig.RootCAs; roots != nil {
			t.TLSClientConfig.RootCAs = roots.Clone() // AWS_CA_BUNDLE adds to it.
		}
	})
	loaded, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithRegion(region))
	if err != nil {
		return c, expires, err
	}
	answer, err := ecr.NewFromConfig(loaded).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return c, expires, err
	}
	if len(answer.AuthorizationData) == 0 {
		return c, expires, errors.New("ECR returned no token")
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return c, expires, errors.New("ECR returned a token that is not user:password")
	}
	return auth.Credential{Username: user, Password: password}, aws.ToTime(data.ExpiresAt), nil
}

// fromGCP uses Workload Identity Federation, the metadata service or any other
// application default credentials.
func fromGCP(ctx context.Context, transport *http.Transport, _ string) (c auth.Credential, expires time.Time, err error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport, Timeout: timeout})
	found, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return c, expires, err
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return c, expires, err
	}
	return auth.Credential{Username: "oauth2accesstoken", Password: token.AccessToken}, token.Expiry, nil
}

const (
	azureScope = "https://containerregistry.azure.net/.default"
	// azureUser is the name that goes with a refresh token.
	azureUser = "00000000-0000-0000-0000-000000000000"
	// azureLife is how long a refresh token is used, which is valid for three
	// hours.
	azureLife = time.Hour
	maxAnswer = 64 << 10
)

// fromAzure uses a service principal in the environment, a workload identity or
// a managed identity.
func fromAzure(ctx context.Context, transport *http.Transport, registry string) (c auth.Credential, expires time.Time, err error) {
	client := &http.Client{Transport: transport, Timeout: timeout}
	chain, err := azureIdentity(azcore.ClientOptions{Transport: client})
	if err != nil {
		return c, expires, err
	}
	token, err := chain.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureScope}})
	if err != nil {
		return c, expires, err
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {registry}, "access_token": {token.Token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+registry+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return c, expires, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return c, expires, err
	}
	defer response.Body.Close()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if response.StatusCode != http.StatusOK {
		return c, expires, fmt.Errorf("the registry answered %d when asked for a token: give the identity the role AcrPull", response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&answer); err != nil || answer.RefreshToken == "" {
		return c, expires, errors.New("the registry answered without a token")
	}
	return auth.Credential{Username: azureUser, Password: answer.RefreshToken}, time.Now().Add(azureLife), nil
}

// azureIdentity runs no programs, unlike Azure's own default.
func azureIdentity(o azcore.ClientOptions) (azcore.TokenCredential, error) {
	var all []azcore.TokenCredential
	if c, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: o}); err == nil {
		all = append(all, c)
	}
	if c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o}); err == nil {
		all = append(all, c)
	}
	if c, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}); err == nil {
		all = append(all, c)
	}
	return azidentity.NewChainedTokenCredential(all, nil)
}
