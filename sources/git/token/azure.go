package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// AzureWorkloadIdentity issues tokens for Azure DevOps to a workload identity. It
// reads the variables that Azure's webhook sets in a pod.
type AzureWorkloadIdentity struct{}

func (AzureWorkloadIdentity) String() string { return "token of the workload identity" }

// azureDevOps is the ID of Azure DevOps as an application, in every tenant.
const azureDevOps = "499b84ac-1321-427f-aa17-267ca6975798"

// Issue implements Issuer.
func (AzureWorkloadIdentity) Issue(ctx context.Context, client *http.Client) (Token, error) {
	id, tenant, file := os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if id == "" || tenant == "" || file == "" {
		return Token{}, errors.New("AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE are not all set; annotate the service account and label the pod, so that Azure's webhook sets them")
	}
	assertion, err := os.ReadFile(file)
	if err != nil {
		return Token{}, err
	}
	authority := strings.TrimSuffix(cmp.Or(os.Getenv("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com"), "/")
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {azureDevOps + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {strings.TrimSpace(string(assertion))},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, authority+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, errors.New("AZURE_AUTHORITY_HOST is not a URL")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var issued struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	err = do(client, r, &issued, func(answer []byte) string {
		var refusal struct {
			Description string `json:"error_description"`
		}
		_ = json.Unmarshal(answer, &refusal) // It gives no reason then.
		return cmp.Or(refusal.Description, "no reason given")
	})
	if err == nil && issued.Token == "" {
		err = errors.New("the answer has no token")
	}
	return Token{Secret: issued.Token, Expires: time.Now().Add(time.Duration(issued.Seconds) * time.Second)}, err
}
