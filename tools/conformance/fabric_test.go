package conformance_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/equinix/equinix-sdk-go/services/fabricv4"
	eqxauth "github.com/equinix/oauth2-go"
)

// scenarios drive everything of Fabric v4 that the sandbox has, by themes. Each has an
// exchange of its own.
var scenarios = map[string]func(*testing.T, *exchange){
	"service tokens":         tokenScenario,
	"order by token":         byTokenScenario,
	"order to profile":       byProfileScenario,
	"order between ports":    byPortScenario,
	"redundant pair":         pairScenario,
	"change and its consent": changeScenario,
	"failures and retries":   retryScenario,
	"searches":               searchScenario,
	"prices and validation":  priceScenario,
	"what can be read":       readScenario,
	"events and streams":     eventScenario,
	"refusals":               refusalScenario,
}

// TestFabric runs the scenarios, judged by what the SDK can read and by their own checks.
func TestFabric(t *testing.T) {
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) { drive(t, scenario) })
	}
}

// The inventory that the scenarios order with; see the sandbox's documentation.
const (
	guideToken  = "20d32a80-0d61-4333-bc03-707b591ae2f4" // Z side, Dot1q
	aSideToken  = "20d32a80-0d61-4333-bc03-707b591ae2f7"
	eplToken    = "20d32a80-0d61-4333-bc03-707b591ae2f8"
	bandsToken  = "20d32a80-0d61-4333-bc03-707b591ae2f9" // 50 or 200 Mbit/s
	acmeEPL     = "ace00050-0000-4000-8000-000000000001"
	acmeEPL2    = "ace00050-0000-4000-8000-000000000002"
	acmeQinQ2   = "ace99050-0000-4000-8000-000000000002"
	acmeProject = "ace00000-0000-4000-8000-00000000000a"
	nowhere     = "00000000-0000-4000-8000-000000000000"
)

// fabricClient is the SDK, logged in as one of the sandbox's tenants.
func fabricClient(t *testing.T, x *exchange, who string) *fabricv4.APIClient {
	t.Helper()
	login := eqxauth.Config{ClientID: who + "-client", ClientSecret: who + "-secret", BaseURL: base}
	cfg := fabricv4.NewConfiguration()
	cfg.Servers = fabricv4.ServerConfigurations{{URL: base}}
	cfg.HTTPClient = login.NewWithClient(through(t.Context(), x), x.plain)
	return fabricv4.NewAPIClient(cfg)
}

// of makes a request of the SDK's from JSON. The SDK writes it anew.
func of[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("the SDK cannot say %s: %v", text, err)
	}
	return v
}

// must returns what a call answered, with the status that is wanted.
func must[T any](t *testing.T, status int) func(T, *http.Response, error) T {
	t.Helper()
	return func(v T, resp *http.Response, err error) T {
		t.Helper()
		if err != nil {
			var answer *fabricv4.GenericOpenAPIError
			if errors.As(err, &answer) {
				t.Fatalf("%v: %s", err, answer.Body())
			}
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Fatalf("%s %s: status %d, want %d", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, status)
		}
		return v
	}
}

// refused checks that a call was answered with that status and code, in a form that the
// SDK reads.
func refused[T any](t *testing.T, status int, code string) func(T, *http.Response, error) {
	t.Helper()
	return func(_ T, resp *http.Response, err error) {
		t.Helper()
		var answer *fabricv4.GenericOpenAPIError
		if !errors.As(err, &answer) {
			t.Errorf("got %v, want an error of the exchange with %s", err, code)
			return
		}
		list, ok := answer.Model().([]fabricv4.Error)
		var codes []string
		for _, e := range list {
			codes = append(codes, e.GetErrorCode())
		}
		if resp.StatusCode != status || !ok || !slices.Contains(codes, code) {
			t.Errorf("%s %s: got %d %s, want %d with %s", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode,
				answer.Body(), status, code)
		}
	}
}
