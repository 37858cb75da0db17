package azuredns

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/crossfade-project/crossfade/cutover/zone/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Options describe one zone. Apex, Subscription and ResourceGroup are needed.
type Options struct {
	// Apex is the zone's name.
	Apex string
	// Subscription is the ID of the subscription, ResourceGroup the name of the group that holds the zone.
	Subscription, ResourceGroup string
	// Tenant, Client and Secret are those of an application (service principal). Without them Azure's default chain is
	// used.
	Tenant, Client, Secret string
	// Endpoint is the URL of Azure Resource Manager where it is not that of the public cloud. Those of Azure's
	// Government and China clouds are known, with where their tokens come from.
	Endpoint string
	// Gap is for how long a name may be without an answer, or hold a part of the new one, while a change that needs
	// several requests is made. Zero refuses such changes.
	Gap time.Duration

	// Attempts is how often one change is tried at most. Zero means 3.
	Attempts int
	// Timeout bounds reading back after a change was sent. Zero means 1 min.
	Timeout time.Duration
	// Settle is how long the API may show old records after it has acknowledged new ones. Zero means 10 s.
	Settle time.Duration
	// Silence bounds how long Azure may say nothing.
	Silence silence.Limit
	// Clock waits; nil is the system's. Log gets what is worth a line; nil is silent.
	Clock clock.Clock
	Log   *slog.Logger

	// Credential, where set, is used in the place of Tenant, Client and Secret.
	Credential azcore.TokenCredential
	// Transport, where set, sends the requests in the place of one of our own.
	Transport http.RoundTripper
}

// patience is how long one request may wait where Azure asks to slow down.
const patience = 5 * time.Minute

// transport obeys Azure's throttling: 429 with Retry-After (page "Understand how Azure Resource Manager throttles
// requests").
func (o Options) transport() (*http.Client, error) {
	next := o.Transport
	if next == nil {
		plain, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, errors.New("the process has replaced Go's default HTTP transport")
		}
		plain = plain.Clone()
		plain.DialContext = o.Silence.Dial()
		next = plain
	}
	return &http.Client{Transport: &throttle.Transport{Next: next, Patience: patience, Clock: o.Clock, Log: o.Log}}, nil
}

// cloud says where requests go and where tokens come from.
func (o Options) cloud() (cloud.Configuration, error) {
	if o.Endpoint == "" {
		return cloud.AzurePublic, nil
	}
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Host == "" {
		return cloud.Configuration{}, fmt.Errorf("the endpoint %q is not a URL", o.Endpoint)
	}
	for _, known := range []cloud.Configuration{cloud.AzurePublic, cloud.AzureGovernment, cloud.AzureChina} {
		if u, err := url.Parse(known.Services[cloud.ResourceManager].Endpoint); err == nil && u.Host == at.Host {
			return known, nil
		}
	}
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: cloud.AzurePublic.ActiveDirectoryAuthorityHost,
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: o.Endpoint, Audience: cloud.AzurePublic.Services[cloud.ResourceManager].Audience},
		},
	}, nil
}

func (o Options) credential(client azcore.ClientOptions) (azcore.TokenCredential, error) {
	switch {
	case o.Credential != nil:
		return o.Credential, nil
	case o.Tenant == "" && o.Client == "" && o.Secret == "":
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: client})
	case o.Tenant == "" || o.Client == "" || o.Secret == "":
		return nil, errors.New("tenant, client and secret go together")
	}
	return azidentity.NewClientSecretCredential(o.Tenant, o.Client, o.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: client})
}
