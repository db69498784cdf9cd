package fabric_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

const posted = "POST /fabric/v4/connections"

// primary and secondary are placements of one leg.
func primary(in *patchbayv1.CreateIntent) exchange.Placement {
	return exchange.Placement{Intent: in, Legs: []string{exchange.Primary}}
}

// TestGoldenBodies holds what is sent against the guide's own examples, field by field.
func TestGoldenBodies(t *testing.T) {
	seed := func(a string) *patchbayv1.CreateIntent {
		return create(t, `{"name":"Conn-1","bandwidthMbps":1000,"purchaseOrder":"1-129105284100",
			"notifications":[{"emails":["test@equinix.com","test2@equinix.com"]}],
			"primary":{"aSide":`+a+`,"zSide":{"serviceToken":"20d32a80-0d61-4333-bc03-707b591ae2f4"}}}`)
	}
	const at = `{"portId":"a867f685-41b0-1b07-6de0-320a5c00abdd","tag":`
	for _, tt := range []struct {
		golden string
		in     *patchbayv1.CreateIntent
	}{
		{"create-dot1q-token.json", seed(at + `{"vlan":1001}}`)},
		{"create-qinq-token.json", seed(at + `{"sTag":1002,"cTag":1001}}`)},
	} {
		f := newFake(t)
		f.on("POST /fabric/v4/connections", answer(201, file(t, "created.json")))
		out := client(t, f).Place(t.Context(), primary(tt.in))
		if out.Class != exchange.Done || out.IDs[exchange.Primary] != circuitA {
			t.Errorf("%s: %+v, want done with the id", tt.golden, out)
		}
		sameJSON(t, string(f.calls(posted)[0].body), file(t, tt.golden))
	}
	f := newFake(t)
	f.on("POST /fabric/v4/connections/{id}/actions", answer(202, file(t, "approved.json")))
	s, c := int32(1002), int32(1001)
	out := client(t, f).Accept(t.Context(), exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create,
		PortID: "20d32a80-0d61-4333-bc03-707b591ae2f4", Tag: &patchbayv1.Tag{STag: &s, CTag: &c}})
	if out.Class != exchange.Done {
		t.Errorf("Accept = %+v, want done", out)
	}
	sameJSON(t, string(f.calls(posted)[0].body), file(t, "approve.json"))
}

// TestCombinations is the table of ends that a circuit can have.
func TestCombinations(t *testing.T) {
	colo := func(port, link string) string {
		return `{"accessPoint":{"type":"COLO","port":{"uuid":"` + port + `"}` + link + `}}`
	}
	const (
		dot = `,"linkProtocol":{"type":"DOT1Q","vlanTag":1001}`
		q   = `,"linkProtocol":{"type":"QINQ","vlanSTag":100}`
		qc  = `,"linkProtocol":{"type":"QINQ","vlanSTag":100,"vlanCTag":7}`
	)
	z := func(token string) string { return `{"serviceToken":{"uuid":"` + token + `"}}` }
	tests := []struct{ name, a, z, kind, wantA, wantZ string }{
		{"dot1q to dot1q", onDot, onDot2, "EVPL_VC", colo(portDot, dot), colo(portDot2, `,"linkProtocol":{"type":"DOT1Q","vlanTag":1002}`)},
		{"dot1q to qinq", onDot, onQ2C, "EVPL_VC", colo(portDot, dot), colo(portQ2, `,"linkProtocol":{"type":"QINQ","vlanSTag":200,"vlanCTag":8}`)},
		{"qinq to dot1q", onQC, onDot2, "EVPL_VC", colo(portQ, qc), colo(portDot2, `,"linkProtocol":{"type":"DOT1Q","vlanTag":1002}`)},
		{"qinq to qinq", onQ, onQ2, "EVPL_VC", colo(portQ, q), colo(portQ2, `,"linkProtocol":{"type":"QINQ","vlanSTag":200}`)},
		{"untagged", onU, onU2, "EPL_VC", colo(portU, ""), colo(portU2, "")},
		{"port to token", onDot, byTokZ, "EVPL_VC", colo(portDot, dot), z(tokenZ)},
		{"untagged to token", onU, byTokZ, "EPL_VC", colo(portU, ""), z(tokenZ)},
		{"token to port", byTokA, onDot2, "EVPL_VC", z(tokenA), colo(portDot2, `,"linkProtocol":{"type":"DOT1Q","vlanTag":1002}`)},
		{"token to untagged", byTokA, onU2, "EPL_VC", z(tokenA), colo(portU2, "")},
		{"token to token", byTokA, byTokZ, "EVPL_VC", z(tokenA), z(tokenZ)},
		{"profile", onDot, toSP, "EVPL_VC", colo(portDot, dot), `{"accessPoint":{"type":"SP","profile":{"type":"L2_PROFILE","uuid":"` + profileA +
			`"},"location":{"metroCode":"SV"},"sellerRegion":"us-sv","authenticationKey":"` + canary + `-key"}}`},
		{"named, A port's metro", onDot, toNamed, "EVPL_VC", colo(portDot, dot), `{"accessPoint":{"type":"SP","profile":{"type":"L2_PROFILE","uuid":"` + profileN +
			`"},"location":{"metroCode":"SV"},"peeringType":"PRIVATE"}}`},
		{"token to profile", byTokA, toSP, "EVPL_VC", z(tokenA), `{"accessPoint":{"type":"SP","profile":{"type":"L2_PROFILE","uuid":"` + profileA +
			`"},"location":{"metroCode":"SV"},"sellerRegion":"us-sv","authenticationKey":"` + canary + `-key"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t).ports()
			f.on("POST /fabric/v4/connections", answer(201, `{"uuid":"`+circuitA+`"}`))
			in := order(t, tt.a, tt.z)
			term := int32(12)
			in.Billing, in.CustomerReference, in.ProjectId = &patchbayv1.Billing{TermMonths: &term}, "ref", "proj"
			in.Notifications = append(in.Notifications, &patchbayv1.Notification{Type: "TECHNICAL", Emails: []string{"b@example.com"}})
			if out := client(t, f).Place(t.Context(), primary(in)); out.Class != exchange.Done {
				t.Fatalf("Place = %+v, want done", out)
			}
			sameJSON(t, string(f.calls(posted)[0].body), `{"type":"`+tt.kind+`","name":"one","bandwidth":50,
				"order":{"customerReferenceNumber":"ref","termLength":12},"project":{"projectId":"proj"},
				"aSide":`+tt.wantA+`,"zSide":`+tt.wantZ+`,"notifications":[{"type":"ALL","emails":["a@example.com"]},
				{"type":"TECHNICAL","emails":["b@example.com"]}]}`)
		})
	}
}

// TestPair places the legs of a pair one after the other.
func TestPair(t *testing.T) {
	in := order(t, onDot, `{"profileId":"`+profileA+`","metro":"SV"}`, onDot2, `{}`)
	second := exchange.Placement{Intent: in, Legs: []string{exchange.Secondary}}
	tests := []struct {
		name   string
		p      exchange.Placement
		before string // the primary, as a search shows it
		want   string
	}{
		{"primary", primary(in), "", `{"priority":"PRIMARY"}`},
		{"secondary with the group", exchange.Placement{Intent: in, Legs: second.Legs, Group: groupA}, "",
			`{"group":"` + groupA + `","priority":"SECONDARY"}`},
		{"group looked up", second, circuit(circuitB, "one", portDot, `"redundancy":{"group":"`+groupA+`"},"operation":{"equinixStatus":"PROVISIONED"}`),
			`{"group":"` + groupA + `","priority":"SECONDARY"}`},
		{"primary has ended", second, circuit(circuitB, "one", portDot, `"redundancy":{"group":"`+groupA+`"},"operation":{"equinixStatus":"DEPROVISIONED"}`), `null`},
		{"no primary", second, "", `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t).ports()
			f.on("POST /fabric/v4/connections", answer(201, `{"uuid":"`+circuitA+`","redundancy":{"group":"`+groupA+`","priority":"PRIMARY"}}`))
			if tt.before == "" {
				f.on("POST /fabric/v4/connections/search", searched())
			} else {
				f.on("POST /fabric/v4/connections/search", searched(tt.before))
			}
			out := client(t, f).Place(t.Context(), tt.p)
			if out.Class != exchange.Done || out.Group != groupA || out.IDs[tt.p.Legs[0]] != circuitA {
				t.Errorf("Place = %+v, want done with id and group", out)
			}
			for _, a := range f.calls(posted) {
				if a.uri == "/fabric/v4/connections" {
					sameJSON(t, text(t, fields(t, a.body)["redundancy"]), tt.want)
				}
			}
		})
	}
	t.Run("the look fails", func(t *testing.T) {
		f := newFake(t)
		f.on("POST /fabric/v4/connections/search", answer(500, ""))
		if out := client(t, f).Place(t.Context(), second); out.Class != exchange.NotSent {
			t.Errorf("Place = %+v, want not sent: nothing was asked for yet", out)
		}
	})
	t.Run("the look is throttled", func(t *testing.T) {
		f := newFake(t)
		f.on("POST /fabric/v4/connections/search", answer(429, ""))
		if out := client(t, f).Place(t.Context(), second); out.Class != exchange.Busy || out.After == 0 {
			t.Errorf("Place = %+v, want throttled", out)
		}
	})
	t.Run("both at once", func(t *testing.T) {
		f := newFake(t)
		c := client(t, f)
		if out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: []string{exchange.Both}}); out.Class != exchange.Refused || c.Together() {
			t.Errorf("Place = %+v, want refused: legs go one at a time", out)
		}
	})
}

// TestAnswers says what each kind of answer to a deciding call means.
func TestAnswers(t *testing.T) {
	own := func(code, message string) string { return refusal(code, message, "/aSide/accessPoint/port/uuid") }
	tests := []struct {
		name                 string
		status               int
		body                 string
		place, remove, alter exchange.Class
	}{
		{"no id", 201, `{}`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"no JSON", 201, `<html>`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"taken", 201, `{"uuid":"` + circuitA + `"}`, exchange.Done, exchange.Done, exchange.Done},
		{"redirect", 302, ``, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"somebody else's 400", 400, `{"error":"bad"}`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"somebody else's list", 400, `[{"message":"bad"}]`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"empty list", 400, `[]`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"nothing", 404, ``, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"token refused", 401, own("EQ-3000039", "User not found"), exchange.NotSent, exchange.NotSent, exchange.NotSent},
		{"throttled", 429, own("EQ-3000429", "slow"), exchange.Busy, exchange.Busy, exchange.Busy},
		{"timeout", 408, own("EQ-3142501", ""), exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"conflict", 409, own("EQ-3142501", ""), exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"error", 500, own("EQ-3045004", "Internal Server Error"), exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"gateway", 502, `<html>`, exchange.Unknown, exchange.Unknown, exchange.Unknown},
		{"duplicate", 400, own("EQ-3142102", "Connection has duplicate buyer-side VLAN ID"), exchange.Taken, exchange.Refused, exchange.Refused},
		{"Z duplicate", 400, own("EQ-3142999", "vlanTag(s) provided is not available"), exchange.Taken, exchange.Refused, exchange.Refused},
		{"Z in use", 400, own("EQ-3142999", "VLAN 12 is already in use"), exchange.Taken, exchange.Refused, exchange.Refused},
		{"token used", 400, own("EQ-3142998", "Service token already used"), exchange.Taken, exchange.Refused, exchange.Refused},
		{"key used", 400, own("EQ-3142501", "Authentication key is already in use"), exchange.Taken, exchange.Refused, exchange.Refused},
		{"one of two is worse", 400, `[{"errorCode":"EQ-3142102","errorMessage":"duplicate"},{"errorCode":"EQ-3142301","errorMessage":"Given profile does not exist"}]`,
			exchange.Refused, exchange.Refused, exchange.Refused},
		{"object", 400, `{"errorCode":"EQ-3142501","errorMessage":"Invalid input"}`, exchange.Refused, exchange.Refused, exchange.Refused},
		{"deleted already", 400, own("EQ-3142509", "Connection already deleted"), exchange.Refused, exchange.Over, exchange.Refused},
		{"in motion", 400, own("EQ-3142510", "Connection is in transient state"), exchange.Refused, exchange.Moving, exchange.Moving},
		{"unknown, 400", 400, own("EQ-3142519", "does not exist"), exchange.Refused, exchange.Over, exchange.Refused},
		{"unknown, 404", 404, own("EQ-3045811", "uuid not found"), exchange.Refused, exchange.Over, exchange.Refused},
	}
	for _, code := range []string{"EQ-3142501", "EQ-3142514", "EQ-3142515", "EQ-3142516", "EQ-3142517", "EQ-3142535",
		"EQ-3142536", "EQ-3142701", "EQ-3142221", "EQ-3142222", "EQ-3142223", "EQ-3142224", "EQ-3142225", "EQ-3142301",
		"EQ-3142302", "EQ-3142303", "EQ-3142304", "EQ-3142306", "EQ-3142308", "EQ-3142320", "EQ-3142012", "EQ-3142013",
		"EQ-3142021", "EQ-3142411", "EQ-2041022", "EQ-3000035", "EQ-300005"} {
		tests = append(tests, struct {
			name                 string
			status               int
			body                 string
			place, remove, alter exchange.Class
		}{code, 400, own(code, "no"), exchange.Refused, exchange.Refused, exchange.Refused})
	}
	for status, code := range map[int]string{403: "EQ-3142401", 405: "EQ-3142569", 415: "EQ-3040016"} {
		tests = append(tests, struct {
			name                 string
			status               int
			body                 string
			place, remove, alter exchange.Class
		}{code, status, own(code, "no"), exchange.Refused, exchange.Refused, exchange.Refused})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("/fabric/v4/", answer(tt.status, tt.body))
			c := client(t, f)
			in := order(t, onDot, byTokZ)
			for _, x := range []struct {
				call string
				out  exchange.Outcome
				want exchange.Class
			}{
				{"Place", c.Place(t.Context(), primary(in)), tt.place},
				{"Remove", c.Remove(t.Context(), circuitA), tt.remove},
				{"Alter", c.Alter(t.Context(), circuitA, &patchbayv1.ChangeSet{Name: "x"}), tt.alter},
			} {
				if x.out.Class != x.want {
					t.Errorf("%s = %+v, want %s", x.call, x.out, x.want)
				}
				if x.out.Class == exchange.Refused && (!strings.HasPrefix(x.out.Code, "EQ-") || x.out.Message == "") {
					t.Errorf("%s = %+v, want the exchange's code and words", x.call, x.out)
				}
			}
		})
	}
}

// TestRefusalIsTold says what of a refusal comes through, and what does not.
func TestRefusalIsTold(t *testing.T) {
	f := newFake(t)
	f.on("POST /fabric/v4/connections", answer(400, `[{"errorCode":"EQ-3142102","errorMessage":"duplicate VLAN"},
		{"errorCode":"EQ-3142535","errorMessage":"exceeds","details":"token `+tokenZ+`",
		"additionalInfo":{"property":"/zSide/serviceToken/uuid","reason":"enter less"}}]`))
	out := client(t, f).Place(t.Context(), primary(order(t, onDot, byTokZ)))
	want := "duplicate VLAN; exceeds: token ***: enter less"
	if out.Code != "EQ-3142535" || out.Message != want || out.Property != "/zSide/serviceToken/uuid" || out.Leg != exchange.Primary {
		t.Errorf("Place = %+v, want the code that is not about something in use, words %q", out, want)
	}
	if strings.Contains(fmt.Sprint(out), canary) {
		t.Errorf("Place = %+v tells a secret", out)
	}
}

// TestBrokenWires says what a create did whose answer never came.
func TestBrokenWires(t *testing.T) {
	in := order(t, onDot, byTokZ)
	t.Run("reset", func(t *testing.T) {
		f := newFake(t)
		f.on("POST /fabric/v4/connections", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close() // that is the case
			}
		})
		out := client(t, f).Place(t.Context(), primary(in))
		if out.Class != exchange.Unknown || len(f.calls(posted)) != 1 {
			t.Errorf("Place = %+v after %d calls, want unknown after one", out, len(f.calls(posted)))
		}
	})
	t.Run("no route", func(t *testing.T) {
		f := newFake(t)
		c := client(t, f, func(c *exchange.Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
		})
		if out := c.Place(t.Context(), primary(in)); out.Class != exchange.NotSent {
			t.Errorf("Place = %+v, want not sent", out)
		}
		if out := c.Place(t.Context(), primary(order(t, onDot, toNamed))); out.Class != exchange.NotSent {
			t.Errorf("Place = %+v, want not sent: the metro could not be read", out)
		}
	})
	t.Run("token renewed", func(t *testing.T) {
		f := newFake(t)
		n := 0
		f.on("POST /fabric/v4/connections", func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				answer(401, `[{"errorCode":"EQ-3000039","errorMessage":"User not found"}]`)(w, r)
				return
			}
			answer(201, file(t, "created.json"))(w, r)
		})
		if out := client(t, f).Place(t.Context(), primary(in)); out.Class != exchange.Done || n != 2 {
			t.Errorf("Place = %+v after %d calls, want done after two", out, n)
		}
	})
}

func TestAlter(t *testing.T) {
	mbps, term, vlan := int32(500), int32(24), int32(7)
	many := make([]string, 13)
	for i := range many {
		many[i] = fmt.Sprintf("a%d@example.com", i)
	}
	tests := []struct {
		name string
		set  *patchbayv1.ChangeSet
		want string // empty: refused here
	}{
		{"name", &patchbayv1.ChangeSet{Name: "Conn-Name-2"}, `[{"op":"replace","path":"/name","value":"Conn-Name-2"}]`},
		{"bandwidth", &patchbayv1.ChangeSet{BandwidthMbps: &mbps}, `[{"op":"replace","path":"/bandwidth","value":500}]`},
		{"all", &patchbayv1.ChangeSet{Name: "x", BandwidthMbps: &mbps, TermMonths: &term,
			Notifications: []*patchbayv1.Notification{{Emails: []string{"a@example.com"}}}},
			`[{"op":"replace","path":"/name","value":"x"},{"op":"replace","path":"/bandwidth","value":500},
			{"op":"replace","path":"/order/termLength","value":24},
			{"op":"replace","path":"/notifications","value":[{"type":"ALL","emails":["a@example.com"]}]}]`},
		{"tag", &patchbayv1.ChangeSet{Name: "x", Tag: &patchbayv1.Tag{Vlan: &vlan}}, ""},
		{"nothing", nil, ""},
		{"too many addresses", &patchbayv1.ChangeSet{Notifications: []*patchbayv1.Notification{{Emails: many}}}, ""},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("PATCH /fabric/v4/connections/{id}", answer(202, `{"uuid":"`+circuitA+`","change":{"status":"COMPLETED"}}`))
		out := client(t, f).Alter(t.Context(), circuitA, tt.set)
		calls := f.calls("PATCH")
		if tt.want == "" {
			if out.Class != exchange.Refused || out.Message == "" || len(calls) != 0 {
				t.Errorf("%s: %+v after %d calls, want refused without one", tt.name, out, len(calls))
			}
			continue
		}
		if out.Class != exchange.Done || len(calls) != 1 || calls[0].kind != "application/json-patch+json" {
			t.Fatalf("%s: %+v, %d calls, want done by one JSON patch", tt.name, out, len(calls))
		}
		sameJSON(t, string(calls[0].body), tt.want)
	}
}

func TestActions(t *testing.T) {
	vlan := int32(1001)
	land := exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create, PortID: portDot, Tag: &patchbayv1.Tag{Vlan: &vlan}}
	whole := exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create, PortID: portU, Tag: &patchbayv1.Tag{Untagged: true}}
	tests := []struct {
		name string
		do   func(exchange.Client) exchange.Outcome
		want string // empty: refused here
	}{
		{"land", func(c exchange.Client) exchange.Outcome { return c.Accept(t.Context(), land) },
			`{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":{"accessPoint":{"type":"COLO","port":{"uuid":"` + portDot +
				`"},"linkProtocol":{"type":"DOT1Q","vlanTag":1001}}}}}`},
		{"land untagged", func(c exchange.Client) exchange.Outcome { return c.Accept(t.Context(), whole) },
			`{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":{"accessPoint":{"type":"COLO","port":{"uuid":"` + portU + `"}}}}}`},
		{"land nowhere", func(c exchange.Client) exchange.Outcome {
			return c.Accept(t.Context(), exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create})
		}, ""},
		{"accept change", func(c exchange.Client) exchange.Outcome {
			return c.Accept(t.Context(), exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Change})
		}, `{"type":"CONNECTION_UPDATE_ACCEPTANCE"}`},
		{"accept delete", func(c exchange.Client) exchange.Outcome {
			return c.Accept(t.Context(), exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Delete})
		}, `{"type":"CONNECTION_DELETION_ACCEPTANCE"}`},
		{"accept what", func(c exchange.Client) exchange.Outcome {
			return c.Accept(t.Context(), exchange.Acceptance{ExchangeID: circuitA, Kind: "what"})
		}, ""},
		{"reject create", func(c exchange.Client) exchange.Outcome {
			return c.Reject(t.Context(), circuitA, exchange.Create, "full")
		}, `{"type":"CONNECTION_CREATION_REJECTION","description":"full"}`},
		{"reject change", func(c exchange.Client) exchange.Outcome {
			return c.Reject(t.Context(), circuitA, exchange.Change, "full")
		}, `{"type":"CONNECTION_UPDATE_REJECTION","description":"full"}`},
		{"reject delete", func(c exchange.Client) exchange.Outcome {
			return c.Reject(t.Context(), circuitA, exchange.Delete, "stay")
		}, ""},
		{"reject what", func(c exchange.Client) exchange.Outcome { return c.Reject(t.Context(), circuitA, "what", "") }, ""},
		{"acknowledge", func(c exchange.Client) exchange.Outcome {
			return c.(interface {
				Acknowledge(context.Context, string) exchange.Outcome
			}).Acknowledge(t.Context(), circuitA)
		}, `{"type":"CONNECTION_REJECTION_ACCEPTANCE"}`},
		{"retry create", func(c exchange.Client) exchange.Outcome { return retry(t, c, exchange.Create) }, `{"type":"CONNECTION_CREATION_RETRY"}`},
		{"retry delete", func(c exchange.Client) exchange.Outcome { return retry(t, c, exchange.Delete) }, `{"type":"CONNECTION_DELETION_RETRY"}`},
		{"retry change", func(c exchange.Client) exchange.Outcome { return retry(t, c, exchange.Change) }, ""},
		{"no id", func(c exchange.Client) exchange.Outcome { return c.Reject(t.Context(), "../x", exchange.Create, "") }, ""},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("POST /fabric/v4/connections/{id}/actions", answer(202, `{"type":"X","href":"…/actions/1","uuid":"`+circuitB+`"}`))
		out := tt.do(client(t, f))
		calls := f.calls(posted)
		if tt.want == "" {
			if out.Class != exchange.Refused || out.Message == "" || len(calls) != 0 {
				t.Errorf("%s: %+v after %d calls, want refused without one", tt.name, out, len(calls))
			}
			continue
		}
		if out.Class != exchange.Done || len(calls) != 1 {
			t.Fatalf("%s: %+v after %d calls, want done after one", tt.name, out, len(calls))
		}
		sameJSON(t, string(calls[0].body), tt.want)
	}
}

func retry(t *testing.T, c exchange.Client, kind string) exchange.Outcome {
	t.Helper()
	return c.(interface {
		Retry(context.Context, string, string) exchange.Outcome
	}).Retry(t.Context(), circuitA, kind)
}

// circuit is a circuit with a Dot1q A side as a list shows it.
func circuit(id, name, port, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"type":"EVPL_VC","uuid":"` + id + `","name":"` + name + `","aSide":{"accessPoint":{"type":"COLO","port":{"uuid":"` +
		port + `"},"linkProtocol":{"type":"DOT1Q","vlanTag":1001}}}` + more + `}`
}

// TestFind looks for what an answer was lost of.
func TestFind(t *testing.T) {
	const live = `"operation":{"equinixStatus":"PROVISIONING"}`
	noTag := `{"type":"EVPL_VC","uuid":"` + circuitB + `","name":"one","aSide":{"accessPoint":{"port":{"uuid":"` + portDot + `"}}},` + live + `}`
	tests := []struct {
		name, a, z string
		shown      []string
		get        http.HandlerFunc
		want       int // negative: an error
		filter     string
	}{
		{"by port and name", onDot, toNamed, []string{circuit(circuitA, "one", portDot, live), circuit(circuitB, "other", portDot, live),
			circuit("5a58dd05", "one", portDot2, live)}, nil, 1,
			`{"and":[{"property":"/name","operator":"=","values":["one"]},{"property":"/aSide/accessPoint/port/uuid","operator":"=","values":["` + portDot + `"]}]}`},
		{"nothing", onDot, toNamed, nil, nil, 0, ""},
		{"another tag", `{"portId":"` + portDot + `","tag":{"vlan":5}}`, toNamed, []string{circuit(circuitA, "one", portDot, live)}, nil, 0, ""},
		{"by Z token", onDot, byTokZ, []string{circuit(circuitA, "one", portDot, live)}, nil, 1,
			`{"and":[{"property":"/zSide/serviceToken/uuid","operator":"=","values":["` + tokenZ + `"]}]}`},
		{"by Z token, renamed since", onDot, byTokZ, []string{circuit(circuitA, "another", portDot, live)}, nil, 1, ""},
		{"by Z token, of another port", onDot, byTokZ, []string{circuit(circuitA, "one", portDot2, live)}, nil, 0, ""},
		{"by A token", byTokA, onDot2, []string{circuit(circuitA, "one", portDot, live)}, nil, 1,
			`{"and":[{"property":"/aSide/serviceToken/uuid","operator":"=","values":["` + tokenA + `"]}]}`},
		{"ended too", onDot, toNamed, []string{circuit(circuitA, "one", portDot, `"operation":{"equinixStatus":"DEPROVISIONED"}`)}, nil, 1, ""},
		{"tag not shown, then shown", onDot, toNamed, []string{noTag}, answer(200, circuit(circuitB, "one", portDot, live)), 1, ""},
		{"tag hidden", onDot, toNamed, []string{noTag}, answer(200, noTag), -1, ""},
		{"tag not to be read", onDot, toNamed, []string{noTag}, answer(500, ""), -1, ""},
		{"no id", onDot, toNamed, []string{`{"name":"one"}`}, nil, -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("POST /fabric/v4/connections/search", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				searched(tt.shown...)(w, r)
			})
			if tt.get != nil {
				f.on("GET /fabric/v4/connections/{id}", tt.get)
			}
			found, err := client(t, f).Find(t.Context(), primary(order(t, tt.a, tt.z)))
			if tt.want < 0 {
				if err == nil {
					t.Fatalf("Find = %v, want an error: nothing may be concluded", found)
				}
				return
			}
			if err != nil || len(found.Circuits[exchange.Primary]) != tt.want {
				t.Fatalf("Find = %v, %v, want %d circuits", found, err, tt.want)
			}
			if found.Ahead < 59*time.Minute || found.Ahead > 61*time.Minute {
				t.Errorf("clock ahead by %v, want an hour", found.Ahead)
			}
			if tt.filter != "" {
				sameJSON(t, text(t, fields(t, f.calls(posted)[0].body)["filter"]), tt.filter)
			}
		})
	}
}
