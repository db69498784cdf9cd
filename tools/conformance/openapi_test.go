package conformance_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// document names the environment variable that says where the OpenAPI document of Fabric
// v4 is. It is Equinix' and not ours to copy.
const document = "PATCHBAY_OPENAPI"

// TestOpenAPI checks every answer of the scenarios against the OpenAPI document.
func TestOpenAPI(t *testing.T) {
	path := os.Getenv(document)
	if path == "" {
		t.Skipf("set %s to the path of the OpenAPI document of Fabric v4", document)
	}
	router := load(t, path)
	seen := make(map[string]bool)
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			tape := &tape{}
			drive(t, func(t *testing.T, x *exchange) {
				tape.next, x.plain.Transport = x.plain.Transport, tape
				scenario(t, x)
			})
			for _, a := range tape.answers {
				for _, complaint := range a.check(t, router) {
					if d := known(complaint); d != "" {
						seen[d] = true
						continue
					}
					t.Errorf("%s: %s\n%s", a, complaint, a.body)
				}
			}
		})
	}
	for _, d := range defects {
		if !seen[d.why] {
			t.Errorf("no answer met the defect that %s: is it still one?", d.why)
		}
	}
}

// load reads the document and makes it the one of our exchange.
func load(t *testing.T, path string) routers.Router {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: base}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// tape keeps what was answered.
type tape struct {
	next    http.RoundTripper
	answers []taped
}

type taped struct {
	request *http.Request
	status  int
	header  http.Header
	body    []byte
}

// RoundTrip keeps the answer of a call that it passes on.
func (t *tape) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	t.answers = append(t.answers, taped{r, resp.StatusCode, resp.Header, body})
	return resp, err
}

func (a taped) String() string {
	return fmt.Sprint(a.request.Method, " ", a.request.URL.Path, " ", a.status)
}

// check says where an answer differs from the document.
func (a taped) check(t *testing.T, router routers.Router) []string {
	if !strings.HasPrefix(a.request.URL.Path, "/fabric/") {
		return nil
	}
	route, params, err := router.FindRoute(a.request)
	if err != nil {
		return []string{err.Error()}
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: a.request, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	in.SetBodyBytes(a.body)
	return complaints(openapi3filter.ValidateResponse(t.Context(), in))
}

// complaints are the single complaints of err, each with the place in the body.
func complaints(err error) []string {
	var outer *openapi3filter.ResponseError
	var many openapi3.MultiError
	var one *openapi3.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &outer) && outer.Err != nil:
		return complaints(outer.Err)
	case errors.As(err, &many):
		var out []string
		for _, e := range many {
			out = append(out, complaints(e)...)
		}
		return out
	case errors.As(err, &one):
		return []string{"/" + strings.Join(one.JSONPointer(), "/") + ": " + one.Reason}
	}
	return []string{err.Error()}
}

// defect is something in which the document contradicts its own samples; the sandbox does
// as the samples do.
type defect struct {
	complaint *regexp.Regexp
	why       string
}

var defects = []defect{
	{regexp.MustCompile(`^/pagination/(next|previous): Value is not nullable$`),
		"lists have null for the page before the first and after the last"},
	{regexp.MustCompile(`^/0/additionalInfo: value must be an array$`),
		"linkProtocols of an unknown port have one additionalInfo instead of a list"},
}

// known returns which defect a complaint is about, or "".
func known(complaint string) string {
	for _, d := range defects {
		if d.complaint.MatchString(complaint) {
			return d.why
		}
	}
	return ""
}
