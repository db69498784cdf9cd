package ecx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/status"
)

func TestGet(t *testing.T) {
	f := newFake(t)
	f.on("GET /ecx/v3/l2/connections/"+circuitA, file(t, "connection.json"))
	c := client(t, f.URL, nil)
	got, err := c.Get(t.Context(), circuitA)
	if err != nil {
		t.Fatal(err)
	}
	want := new(patchbayv1.Connection)
	if err := protojson.Unmarshal([]byte(`{
		"id":"`+got.GetId()+`","exchange":"equinix","api":"ecx","exchangeId":"`+circuitA+`",
		"name":"tf-azure-dot1q-mic-sec","bandwidthMbps":1000,"status":"PROVISIONING","providerStatus":"NOT_AVAILABLE",
		"native":{"status":"PROVISIONING","providerStatus":"NOT_AVAILABLE"},
		"buyerOrganization":"Acme","sellerOrganization":"Cloud Services",
		"aSide":{"portId":"a867f685-41bc-1bc7-6de0-320a5c00abdd","portName":"Acme-SV1","encapsulation":"dot1q","tag":{"vlan":140},"metro":"DC"},
		"zSide":{"portId":"b867f685-41bc-1bc7-6de0-320a5c00abde","encapsulation":"qinq","tag":{"sTag":1011,"cTag":421},"metro":"SV",
			"profileId":"e685b732-3501-4d4b-b280-0e0049e6f987","profileName":"Azure","region":"us-sv","peering":"MICROSOFT"},
		"redundancy":"secondary","redundancyGroup":"467eb280-52a0-405a-8fd3-eed91fc70ff6","purchaseOrder":"123",
		"changePending":true,"pendingBandwidthMbps":2000,
		"createdAt":"2020-09-25T12:30:25.392Z","updatedAt":"2020-09-26T12:30:25Z"}`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("Get\n got %v\nwant %v", protojson.Format(got), protojson.Format(want))
	}
	if strings.Contains(protojson.Format(got), canary) {
		t.Error("the circuit shows a secret")
	}
}

func TestGetNothing(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		gone   bool
	}{
		{"unknown id", 400, `[{"errorCode":"IC-LAYER2-4023","errorMessage":"none","property":"uuid"}]`, true},
		{"wrong base URL", 404, `{"errorCode":"IC-LAYER2-404","errorMessage":"Not Found"}`, false},
		{"proxy", 404, `<html>`, false},
		{"refused", 403, `{"errorCode":"X","errorMessage":"no"}`, false},
		{"bad token", 401, ``, false},
		{"broken", 500, ``, false},
		{"garbage", 200, `<html>`, false},
		{"no id", 200, `{"status":"PROVISIONED"}`, false},
		{"another", 200, `{"uuid":"` + circuitB + `"}`, false},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("GET /ecx/v3/", answer(tt.status, tt.body))
		conn, err := client(t, f.URL, nil).Get(t.Context(), circuitA)
		if err == nil || errors.Is(err, exchange.ErrGone) != tt.gone {
			t.Errorf("%s: Get = %v, %v; want an error, gone %v", tt.name, conn, err, tt.gone)
		}
	}
}

// listOf serves n circuits in pages.
func listOf(n int, last, total bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.Atoi(r.URL.Query().Get("pageNumber"))
		size, _ := strconv.Atoi(r.URL.Query().Get("pageSize"))
		var rows []string
		for i := number * size; i < min(n, (number+1)*size); i++ {
			rows = append(rows, fmt.Sprintf(`{"uuid":"c-%d","status":"PROVISIONED"}`, i))
		}
		body := `{"content":[` + strings.Join(rows, ",") + `]`
		if last {
			body += fmt.Sprintf(`,"isLastPage":%v`, (number+1)*size >= n)
		}
		if total {
			body += fmt.Sprintf(`,"totalCount":%d`, n)
		}
		answer(200, body+"}")(w, r)
	}
}

func TestList(t *testing.T) {
	one := func(body string) http.HandlerFunc { return answer(200, body) }
	row := `{"uuid":"c-1"}`
	tests := []struct {
		name   string
		serve  http.HandlerFunc
		want   int
		pages  int
		failed bool
	}{
		{"nothing", listOf(0, true, true), 0, 1, false},
		{"204", answer(204, ""), 0, 1, false},
		{"one page", listOf(7, true, true), 7, 1, false},
		{"three pages", listOf(450, true, true), 450, 3, false},
		{"full last page", listOf(400, true, true), 400, 2, false},
		{"only totals", listOf(450, false, true), 450, 3, false},
		{"only last", listOf(450, true, false), 450, 3, false},
		{"neither", listOf(450, false, false), 450, 4, false},
		{"one page for ever, all seen", one(`{"totalCount":1,"isLastPage":false,"content":[` + row + `]}`), 1, 2, false},
		{"one page for ever", one(`{"isLastPage":false,"content":[` + row + `]}`), 1, 2, true},
		{"a row twice", one(`{"isLastPage":true,"totalCount":1,"content":[` + row + `,` + row + `]}`), 1, 1, false},
		{"fewer than counted", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("pageNumber") == "0" {
				answer(200, `{"totalCount":3,"content":[`+row+`]}`)(w, r)
				return
			}
			answer(200, `{"totalCount":3,"isLastPage":true,"content":[{"uuid":"c-2"}]}`)(w, r)
		}, 2, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("GET /ecx/v3/l2/seller/connections", tt.serve)
			var got []string
			err := client(t, f.URL, nil).List(t.Context(), exchange.Seller, false, func(c *patchbayv1.Connection) error {
				got = append(got, c.GetExchangeId())
				return nil
			})
			if (err != nil) != tt.failed {
				t.Errorf("List: %v; want an error: %v", err, tt.failed)
			}
			if len(got) != tt.want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != tt.want {
				t.Errorf("%d circuits, want %d, each once", len(got), tt.want)
			}
			if n := len(f.calls()); n != tt.pages {
				t.Errorf("%d pages asked for, want %d", n, tt.pages)
			}
		})
	}
}

func TestListMoving(t *testing.T) {
	f := newFake(t)
	f.on("GET /ecx/v3/l2/buyer/connections", listOf(3, true, true))
	c := client(t, f.URL, nil)
	stop := errors.New("enough")
	err := c.List(t.Context(), exchange.Buyer, true, func(*patchbayv1.Connection) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("List = %v, want the error of yield", err)
	}
	asked := httptest.NewRequestWithContext(context.Background(), http.MethodGet, f.calls()[0].uri, nil).URL.Query()
	if got := asked.Get("status"); got != strings.Join(ecx.MovingWords(), ",") {
		t.Errorf("status filter %q, want all words in motion", got)
	}
	for _, word := range ecx.MovingWords() {
		if s := status.Normalise(status.ECX, status.Native{Status: word}).Status; !s.Known() || !s.InMotion() {
			t.Errorf("%s is %s, which is not in motion", word, s)
		}
	}
	if err := c.List(t.Context(), "owner", true, nil); err == nil {
		t.Error("List of no role gave no error")
	}
}

func TestParties(t *testing.T) {
	f := newFake(t)
	f.on("GET /ecx/v3/port/userport", file(t, "ports.json"))
	f.on("GET /ecx/v3/l2/serviceprofiles", answer(200, `{"isLastPage":true,"PageSize":200,"content":[{"uuid":"p1"},{"uuid":"p2"}]}`))
	for role, want := range map[account.Role][2]int{account.Buyer: {4, 0}, account.Seller: {0, 2}, account.Both: {4, 2}} {
		c := client(t, f.URL, func(cfg *exchange.Config) { cfg.Account.Role = role })
		got, err := c.Parties(t.Context())
		if err != nil || len(got.Ports) != want[0] || len(got.Profiles) != want[1] {
			t.Errorf("%s: %+v, %v; want %d ports and %d profiles", role, got, err, want[0], want[1])
		}
	}
}

func TestPorts(t *testing.T) {
	f := newFake(t)
	f.on("GET /ecx/v3/port/userport", file(t, "ports.json"))
	c := client(t, f.URL, nil)
	for range 2 {
		ports, err := c.Ports(t.Context())
		if err != nil || len(ports) != 4 {
			t.Fatalf("Ports = %v, %v; want 4", ports, err)
		}
		if want := (exchange.Port{ID: portA, Name: "Acme-SV", Metro: "SV", Encapsulation: "qinq"}); ports[0] != want {
			t.Errorf("first port %+v, want %+v", ports[0], want)
		}
	}
	if n := len(f.calls()); n != 1 {
		t.Errorf("%d requests for two looks, want one", n)
	}
}

// TestOtherCase reads the same circuits, ports and profiles whatever the case of their ids.
func TestOtherCase(t *testing.T) {
	told := func(around func(http.Handler) http.Handler) []string {
		f := newFake(t)
		shown, err := os.ReadFile("testdata/connection.json")
		if err != nil {
			t.Fatal(err)
		}
		f.on("GET /ecx/v3/l2/connections/"+circuitA, answer(200, string(shown)))
		f.on("DELETE /ecx/v3/l2/connections/"+circuitA, answer(200, `{"primaryConnectionId":"`+circuitA+`"}`))
		f.on("POST /ecx/v3/l2/connections", answer(200, `{"primaryConnectionId":"`+circuitA+`","secondaryConnectionId":"`+circuitB+`"}`))
		f.on("GET /ecx/v3/l2/buyer/connections", answer(200, `{"isLastPage":true,"content":[`+string(shown)+`]}`))
		f.on("GET /ecx/v3/port/userport", file(t, "ports.json"))
		f.on("GET /ecx/v3/l2/serviceprofiles", answer(200, `{"isLastPage":true,"content":[{"uuid":"`+profileA+`"}]}`))
		s := httptest.NewServer(around(f))
		defer s.Close()
		c := client(t, s.URL, func(cfg *exchange.Config) { cfg.Account.Role = account.Both })
		return exchangetest.Told(t, c, circuitA, pair(t))
	}
	want := told(func(h http.Handler) http.Handler { return h })
	got := told(exchangetest.OtherCase)
	if !slices.Equal(got, want) {
		t.Errorf("with ids in another case\n got %q\nwant %q", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "exchange.test", "ftp://x", "https://", "https://me:" + canary + "@x", "http://[" + canary} {
		_, err := ecx.New(config(base))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("New at %q: %v, want an error that shows nothing", base, err)
		}
	}
}

func FuzzConnection(f *testing.F) {
	f.Add([]byte(`{"uuid":"a","vlanSTag":"12","speed":1,"speedUnit":"GB","createdDate":"2020-06-18 19:51:12.0"}`))
	f.Add([]byte(`{"uuid":"a","vlanSTag":{},"speed":1e99,"sellerApprovalPendingForBandwidth":200,"zSideVlanCTag":-5}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn, err := ecx.ReadConnection(b)
		if err != nil {
			return
		}
		if conn.GetExchangeId() == "" || conn.GetStatus() == "" || conn.GetProviderStatus() == "" {
			t.Errorf("%q reads as %v, without id or status", b, conn)
		}
		if ts := conn.GetCreatedAt(); ts != nil && !ts.IsValid() {
			t.Errorf("%q has the time %v", b, ts)
		}
	})
}

func FuzzError(f *testing.F) {
	f.Add([]byte(`[{"errorCode":"IC-LAYER2-402","errorMessage":"x","moreInfo":"y","property":"PrimaryName"}]`))
	f.Add([]byte(`{"errorCode":1,"errorMessage":[]}`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		codes, own := ecx.ReadComplaints(b)
		if own && (len(codes) == 0 || slices.Contains(codes, "")) {
			t.Errorf("%q is taken for the exchange's own form, codes %q", b, codes)
		}
	})
}

// FuzzClient asks everything of an exchange that answers anything.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		`{"uuid":"1902767c-2e77-41de-a7cb-bc9db91651a2","status":"PROVISIONED","speed":50,"speedUnit":"MB"}`,
		`{"isLastPage":true,"totalCount":1,"content":[{"uuid":"a","status":"PROVISIONED","vlanSTag":"7"}]}`,
		`{"primaryConnectionId":"a","secondaryConnectionId":"b"}`,
		`{"primaryConnectionId":"a"}`,
		`400 [{"errorCode":"IC-LAYER2-4091","errorMessage":"` + canary + `","property":"PrimaryVlanSTag"}]`,
		"429 \n--\n503 <html>\n--\n204 ",
		`[{"uuid":"p","encapsulation":"Dot1q","metroCode":"SV"}]`,
	} {
		f.Add(s)
	}
	stranger := exchangetest.Stranger{
		Login: "/oauth2/v1/token", Granted: `{"access_token":"t","token_timeout":"3600"}`, Intent: pair(f), Secret: canary,
		Open: func(dial func(context.Context, string, string) (net.Conn, error)) (exchange.Client, error) {
			cfg := config("http://exchange.test")
			cfg.Dial = dial
			return ecx.New(cfg)
		},
	}
	f.Fuzz(stranger.Ask)
}
