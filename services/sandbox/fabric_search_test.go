package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

const searchPath = fabricBase + "/search"

// cond is one comparison of a filter.
func cond(property, operator string, values ...any) object {
	return object{"property": property, "operator": operator, "values": values}
}

func both(list ...object) object { return object{"filter": object{"and": list}} }

func either(list ...object) object { return object{"or": list} }

// names are the names of the connections on a page, joined by commas.
func (r *reply) names() string {
	r.t.Helper()
	var out []string
	for _, c := range r.items() {
		out = append(out, fmt.Sprint(c["name"]))
	}
	return strings.Join(out, ",")
}

// searchable makes five connections, one second apart: a (own ports), b (token), c (profile,
// pending), d (EPL) and e (by ECX); c is of another metro and has a key.
func searchable(t *testing.T) (*site, map[string]string) {
	s := open(t, sandbox.Config{Seed: 1})
	ids := make(map[string]string)
	dot := func(vlan int) object { return colo(acmePort, dot1qLink(vlan)) }
	for _, o := range []object{
		order(dot(10), colo(acmeQinQ, qinqLink(11, 12)), object{"name": "a", "bandwidth": 10,
			"order": object{"purchaseOrderNumber": "po-a"}}),
		order(dot(20), byToken(guideToken), object{"name": "b", "bandwidth": 20}),
		order(dot(30), sp(dot1qProfile, object{"authenticationKey": "xxxxxxxx", "location": object{"metroCode": "DC"}}),
			object{"name": "c", "bandwidth": 100}),
		order(colo(acmeUntagged, nil), colo(acmeUntagged2, nil), object{"name": "d", "type": "EPL_VC", "bandwidth": 200,
			"geoScope": "CONUS"}),
	} {
		ids[o["name"].(string)] = s.ordered(o)
		time.Sleep(time.Second)
	}
	ids["e"] = s.create(with(single(), object{"primaryName": "e", "primaryVlanSTag": 40}))
	time.Sleep(time.Second)
	return s, ids
}

func TestFabricSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s, ids := searchable(t)
		at := func(n int) string {
			return begun.Add(time.Duration(n) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		const status = "/operation/equinixStatus"
		tests := []struct {
			name   string
			filter object
			want   string // names, the last changed first
		}{
			{"nothing", object{}, "d,e,b,c,a"},
			{"=", both(cond("/name", "=", "a")), "a"},
			{"= of several is IN", both(cond("/name", "=", "a", "b")), "b,a"},
			{"!=", both(cond("/name", "!=", "a")), "d,e,b,c"},
			{"IN", both(cond(status, "IN", "PENDING_APPROVAL")), "e,c"},
			{"NOT IN", both(cond(status, "NOT IN", "PENDING_APPROVAL")), "d,b,a"},
			{">", both(cond("/bandwidth", ">", 20)), "d,e,c"},
			{">= of text", both(cond("/bandwidth", ">=", "20")), "d,e,b,c"},
			{"<", both(cond("/bandwidth", "<", 20)), "a"},
			{"<=", both(cond("/bandwidth", "<=", 20)), "b,a"},
			{"BETWEEN", both(cond("/bandwidth", "BETWEEN", 20, 100)), "e,b,c"},
			{"NOT BETWEEN", both(cond("/bandwidth", "NOT BETWEEN", 20, 100)), "d,a"},
			{"LIKE", both(cond("/order/purchaseOrderNumber", "LIKE", "po%")), "a"},
			{"LIKE of part", both(cond("/order/purchaseOrderNumber", "LIKE", "-")), "a"},
			{"LIKE minds letters", both(cond("/order/purchaseOrderNumber", "LIKE", "PO%")), ""},
			{"ILIKE", both(cond("/order/purchaseOrderNumber", "ILIKE", "PO*")), "a"},
			{"ILKE", both(cond("/order/purchaseOrderNumber", "ILKE", "PO%")), "a"},
			{"NOT LIKE", both(cond("/name", "NOT LIKE", "a")), "d,e,b,c"},
			{"IS NULL", both(cond("/zSide/serviceToken/uuid", "IS NULL")), "d,e,c,a"},
			{"IS NOT NULL", both(cond("/zSide/serviceToken/uuid", "IS NOT NULL")), "b"},
			{"or", object{"filter": either(cond("/name", "=", "a"), cond("/name", "=", "c"))}, "c,a"},
			{"or in and", both(cond("/bandwidth", "<", 150), either(cond("/name", "=", "a"), cond("/name", "=", "d"))), "a"},
			{"one alone", object{"filter": cond("/name", "=", "c")}, "c"},
			{"bool", both(cond("/isRemote", "=", true)), "c"},
			{"bool of text", both(cond("/isRemote", "=", "false")), "d,e,b,a"},
			{"number", both(cond("/account/orgId", "=", 85287)), "d,e,b,c,a"},
			{"uuid", both(cond("/uuid", "IN", ids["a"], ids["e"], acmePort, ids["a"])), "e,a"},
			{"uuid and more", both(cond("/uuid", "IN", ids["a"], ids["e"]), cond("/name", "=", "a")), "a"},
			{"changed since", both(cond("/changeLog/updatedDateTime", ">", at(4))), "d"},
			{"made before", both(cond("/changeLog/createdDateTime", "<=", at(1))), "b,a"},
			{"never deleted", both(cond("/changeLog/deletedDateTime", "IS NULL")), "d,e,b,c,a"},
			{"state", both(cond("/state", "=", "PENDING")), "e,c"},
			{"change", both(cond("/change/status", "=", "COMPLETED")), "d,b,a"},
			{"provider", both(cond("/operation/providerStatus", "=", "AVAILABLE")), "d,b,a"},
			{"type", both(cond("/type", "=", "EPL_VC")), "d"},
			{"scope", both(cond("/geoScope", "=", "CONUS")), "d"},
			{"direction", both(cond("/direction", "=", "INTERNAL")), "d,a"},
			{"A port", both(cond("/aSide/accessPoint/port/uuid", "=", acmePort), cond("/name", "IN", "a", "d")), "a"},
			{"Z token", both(cond("/zSide/serviceToken/uuid", "=", guideToken)), "b"},
			{"profile", both(cond("/zSide/accessPoint/profile/uuid", "=", dot1qProfile)), "c"},
			{"key", both(cond("/zSide/accessPoint/authenticationKey", "=", "xxxxxxxx")), "c"},
			{"metro", both(cond("/zSide/accessPoint/location/metroCode", "=", "DC")), "c"},
			{"Z type", both(cond("/zSide/accessPoint/type", "=", "SP")), "e,c"},
			{"S-tag", both(cond("/zSide/accessPoint/linkProtocol/vlanSTag", "=", "11")), "a"},
			{"no C-tag", both(cond("/aSide/accessPoint/linkProtocol/vlanCTag", "=", "0")), "d,e,b,c,a"},
			{"tags", both(cond("/aSide/accessPoint/linkProtocol/vlanTagMin", ">=", 30)), "e,c"},
			{"project", both(cond("/project/projectId", "=", "ace00000-0000-4000-8000-00000000000a")), "d,e,b,c,a"},
			{"priority", both(cond("/redundancy/priority", "=", "SECONDARY")), ""},
			{"what is not here", both(cond("/aSide/accessPoint/router/uuid", "IS NOT NULL")), ""},
		}
		for _, tt := range tests {
			r := s.post(s.acme, searchPath, tt.filter).want(http.StatusOK)
			if got := r.names(); got != tt.want {
				t.Errorf("%s: found %q, want %q", tt.name, got, tt.want)
			}
			if got := dig(r.object(), "pagination/total"); got != float64(len(r.items())) {
				t.Errorf("%s: total %v of %d", tt.name, got, len(r.items()))
			}
			if f := tt.filter["filter"]; f != nil { // below "or" no index helps
				slow := s.post(s.acme, searchPath, object{"filter": either(f.(object))})
				if got := slow.names(); got != tt.want {
					t.Errorf("%s: found %q without an index, want %q", tt.name, got, tt.want)
				}
			}
		}
		if got := s.post(s.cloud, searchPath, both(cond(status, "=", "PENDING_APPROVAL"), cond("/direction", "=", "INCOMING"))).names(); got != "e,c" {
			t.Errorf("the seller's queue is %q, want e,c", got)
		}
		if got := s.post(s.globex, searchPath, both(cond("/uuid", "IN", ids["a"]))).names(); got != "" {
			t.Errorf("a stranger finds %q", got)
		}
	})
}

func TestFabricSearchRefused(t *testing.T) {
	tests := []struct {
		name string
		body any
	}{
		{"no JSON", "{"},
		{"unknown property", both(cond("/nothing", "=", 1))},
		{"unknown operator", both(cond("/name", "~", "a"))},
		{"no values", both(cond("/name", "="))},
		{"two values", both(cond("/name", ">", 1, 2))},
		{"half a range", both(cond("/name", "BETWEEN", 1))},
		{"limit 0", object{"pagination": object{"limit": 0}}},
		{"limit 101", object{"pagination": object{"limit": 101}}},
		{"offset -1", object{"pagination": object{"offset": -1}}},
		{"unknown order", object{"sort": []object{{"property": "/nothing"}}}},
		{"unknown direction", object{"sort": []object{{"property": "/name", "direction": "UP"}}}},
	}
	s := open(t, sandbox.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.post(s.acme, searchPath, tt.body).refused(http.StatusBadRequest, "EQ-3000035")
		})
	}
}

// TestFabricPages reads 47 connections page by page, in both directions of two orders.
func TestFabricPages(t *testing.T) {
	s := open(t, sandbox.Config{})
	for i := range 47 {
		s.ordered(with(toOpen(100+i), object{"name": fmt.Sprintf("c-%02d", i)}))
	}
	for _, direction := range []string{"ASC", "DESC"} {
		var got []string
		for offset := 0; ; offset += 20 {
			r := s.post(s.acme, searchPath, object{"pagination": object{"offset": offset},
				"sort": []object{{"property": "/name", "direction": direction}}}).want(http.StatusOK)
			got = append(got, strings.Split(r.names(), ",")...)
			page, _ := r.object()["pagination"].(object)
			if page["total"] != 47.0 || page["limit"] != 20.0 || (page["previous"] == nil) != (offset == 0) {
				t.Errorf("page at %d: %v", offset, page)
			}
			if page["next"] == nil {
				break
			}
			if want := fmt.Sprintf("%s?offset=%d&limit=20", searchPath, offset+20); page["next"] != want {
				t.Errorf("next %v, want %v", page["next"], want)
			}
		}
		if direction == "DESC" {
			slices.Reverse(got)
		}
		if len(got) != 47 || !slices.IsSorted(got) || len(slices.Compact(got)) != 47 {
			t.Errorf("%s: %v", direction, got)
		}
	}
	if got := len(s.post(s.acme, searchPath, object{"pagination": object{"limit": 100, "offset": 40}}).items()); got != 7 {
		t.Errorf("%d on the last page, want 7", got)
	}
	if got := len(s.post(s.acme, searchPath, object{"pagination": object{"offset": 100}}).items()); got != 0 {
		t.Errorf("%d beyond the end", got)
	}
}

// crowd is an exchange with ten thousand connections, called without a network.
func crowd(b *testing.B) (http.Handler, string, []string) {
	x := sandbox.New(sandbox.Config{Delays: sandbox.Delays{Provision: time.Nanosecond}})
	b.Cleanup(x.Close)
	h := x.Handler()
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(serve(b, h, ask{"", http.MethodPost, "/oauth2/v1/token", object{
		"grant_type": "client_credentials", "client_id": "acme-client", "client_secret": "acme-secret"}}), &granted); err != nil {
		b.Fatal(err)
	}
	token := granted.Token
	var ids []string
	for i := range 10_000 {
		port := []string{acmePort, acmePort2, acmeDC}[i/4000]
		o := order(colo(port, dot1qLink(2+i%4000)), sp(solo, nil), object{"name": fmt.Sprint("c-", i)})
		if i%100 == 0 {
			o["zSide"] = sp(openProfile, nil)
		}
		var made struct{ UUID string }
		text := serve(b, h, ask{token, http.MethodPost, fabricBase, o})
		if err := json.Unmarshal(text, &made); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, made.UUID)
	}
	return h, token, ids
}

func BenchmarkGet(b *testing.B) {
	h, token, ids := crowd(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		serve(b, h, ask{token, http.MethodGet, fabricBase + "/" + ids[i%len(ids)], nil})
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func BenchmarkSearch(b *testing.B) {
	h, token, ids := crowd(b)
	var hundred []any
	for _, id := range ids[5000:5100] {
		hundred = append(hundred, id)
	}
	for _, q := range []struct {
		name string
		body object
	}{
		{"uuid IN 1", both(cond("/uuid", "IN", ids[5000]))},
		{"uuid IN 100", with(both(cond("/uuid", "IN", hundred...)), object{"pagination": object{"limit": 100}})},
		{"equinixStatus", both(cond("/operation/equinixStatus", "=", "PENDING_APPROVAL"))},
		{"updatedDateTime", both(cond("/changeLog/updatedDateTime", ">", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))},
		{"name", both(cond("/name", "=", "c-5000"))},
		{"all", object{}},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				serve(b, h, ask{token, http.MethodPost, searchPath, q.body})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
