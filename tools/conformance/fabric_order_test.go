package conformance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/equinix/equinix-sdk-go/services/fabricv4"
)

// point is a port with a link protocol; QinQ without an inner tag has inner 0.
func point(port, kind string, outer, inner int) string {
	link := fmt.Sprintf(`"linkProtocol":{"type":"DOT1Q","vlanTag":%d},`, outer)
	switch {
	case kind == "":
		link = ""
	case kind == "QINQ" && inner == 0:
		link = fmt.Sprintf(`"linkProtocol":{"type":"QINQ","vlanSTag":%d},`, outer)
	case kind == "QINQ":
		link = fmt.Sprintf(`"linkProtocol":{"type":"QINQ","vlanSTag":%d,"vlanCTag":%d},`, outer, inner)
	}
	return `{"accessPoint":{"type":"COLO",` + link + `"port":{"uuid":"` + port + `"}}}`
}

func token(id string) string { return `{"serviceToken":{"uuid":"` + id + `"}}` }

func toProfile(id, more string) string {
	return `{"accessPoint":{"type":"SP","profile":{"type":"L2_PROFILE","uuid":"` + id + `"},"location":{"metroCode":"SV"}` + more + `}}`
}

// connect is an order of 50 Mbit/s with more fields.
func connect(t *testing.T, name, a, z, more string) fabricv4.ConnectionPostRequest {
	t.Helper()
	return of[fabricv4.ConnectionPostRequest](t, `{"type":"EVPL_VC","name":"`+name+`","bandwidth":50,
		"order":{"purchaseOrderNumber":"1-129105284100","termLength":12},
		"notifications":[{"type":"ALL","emails":["test@equinix.com","test2@equinix.com"]}],
		"aSide":`+a+`,"zSide":`+z+more+`}`)
}

// placed orders what connect says and returns the answer.
func placed(t *testing.T, c *fabricv4.APIClient, order fabricv4.ConnectionPostRequest) *fabricv4.Connection {
	t.Helper()
	return must[*fabricv4.Connection](t, 201)(c.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(order).Execute())
}

// wantFace reads a connection and checks its words.
func wantFace(t *testing.T, c *fabricv4.APIClient, id, want string) *fabricv4.Connection {
	t.Helper()
	got := must[*fabricv4.Connection](t, 200)(c.ConnectionsApi.GetConnectionByUuid(t.Context(), id).Execute())
	o := got.GetOperation()
	if face := fmt.Sprintf("%s %s/%s", got.GetState(), o.GetEquinixStatus(), o.GetProviderStatus()); face != want {
		t.Errorf("connection is %s, want %s", face, want)
	}
	return got
}

// act carries out an action on a connection.
func act(t *testing.T, c *fabricv4.APIClient, id, body string) {
	t.Helper()
	must[*fabricv4.ConnectionAction](t, 202)(c.ConnectionsApi.CreateConnectionAction(t.Context(), id).
		ConnectionActionRequest(of[fabricv4.ConnectionActionRequest](t, body)).Execute())
}

func remove(t *testing.T, c *fabricv4.APIClient, id string) {
	t.Helper()
	must[*fabricv4.Connection](t, 200)(c.ConnectionsApi.DeleteConnectionByUuid(t.Context(), id).Execute())
}

// tokenBody asks for a Z-side token on a port of the seller.
func tokenBody(name string, vlan int) string {
	return fmt.Sprintf(`{"type":"VC_TOKEN","name":"%s","description":"for a partner","connection":{"type":"EVPL_VC",
		"allowRemoteConnection":true,"supportedBandwidths":[50,200],"zSide":{"accessPointSelectors":[{"type":"COLO",
		"port":{"uuid":"%s"},"linkProtocol":{"type":"DOT1Q","vlanTag":%d}}]}},
		"notifications":[{"type":"NOTIFICATION","emails":["abc@company.com"]}]}`, name, cloudPort, vlan)
}

// tokenScenario makes, reads, finds, changes and deletes a token.
func tokenScenario(t *testing.T, x *exchange) {
	cloud := fabricClient(t, x, "cloud")
	api, ctx := cloud.ServiceTokensApi, t.Context()
	body := of[fabricv4.ServiceToken](t, tokenBody("partner", 700))
	dry := must[*fabricv4.ServiceToken](t, 200)(api.CreateServiceToken(ctx).ServiceToken(body).DryRun(true).Execute())
	if dry.HasUuid() || dry.HasState() {
		t.Errorf("a dry run made %s", dry.GetUuid())
	}
	made := must[*fabricv4.ServiceToken](t, 201)(api.CreateServiceToken(ctx).ServiceToken(body).Execute())
	id := made.GetUuid()
	if made.GetState() != fabricv4.SERVICETOKENSTATE_INACTIVE || time.Until(made.GetExpirationDateTime()) > 90*24*time.Hour {
		t.Errorf("token is %s until %v, want INACTIVE for 90 days", made.GetState(), made.GetExpirationDateTime())
	}
	seen := must[*fabricv4.ServiceToken](t, 200)(fabricClient(t, x, "acme").ServiceTokensApi.GetServiceTokenByUuid(ctx, id).Execute())
	if c := seen.GetConnection(); fmt.Sprint(c.GetSupportedBandwidths()) != "[50 200]" || !c.GetAllowRemoteConnection() {
		t.Errorf("whoever has the token sees %v, want what it is good for", c)
	}
	list := must[*fabricv4.ServiceTokens](t, 200)(api.GetServiceTokens(ctx).Offset(0).Limit(5).Execute())
	if p := list.GetPagination(); len(list.GetData()) != 5 || p.GetTotal() != 7 {
		t.Errorf("%d of %d tokens, want 5 of 7", len(list.GetData()), p.GetTotal())
	}
	found := must[*fabricv4.ServiceTokens](t, 200)(api.SearchServiceTokens(ctx).ServiceTokenSearchRequest(
		of[fabricv4.ServiceTokenSearchRequest](t, `{"filter":{"and":[{"property":"/uuid","operator":"=","values":["`+id+`"]}]}}`)).Execute())
	if len(found.GetData()) != 1 || found.GetData()[0].GetName() != "partner" {
		t.Errorf("found %d tokens, want the one", len(found.GetData()))
	}
	patch := of[[]fabricv4.ServiceTokenChangeOperation](t, `[{"op":"replace","path":"/name","value":"renamed"},
		{"op":"replace","path":"/connection/supportedBandwidths","value":[50,1000]},
		{"op":"replace","path":"/notifications/emails","value":["test1@equinix.com"]}]`)
	must[*fabricv4.ServiceToken](t, 200)(api.UpdateServiceTokenByUuid(ctx, id).ServiceTokenChangeOperation(patch).DryRun(true).Execute())
	changed := must[*fabricv4.ServiceToken](t, 200)(api.UpdateServiceTokenByUuid(ctx, id).ServiceTokenChangeOperation(patch).Execute())
	if c := changed.GetConnection(); changed.GetName() != "renamed" || fmt.Sprint(c.GetSupportedBandwidths()) != "[50 1000]" {
		t.Errorf("got %s with %v, want the changed token", changed.GetName(), c.GetSupportedBandwidths())
	}
	must[*fabricv4.ServiceToken](t, 202)(api.CreateServiceTokenAction(ctx, id).ServiceTokenActionRequest(
		of[fabricv4.ServiceTokenActionRequest](t, `{"type":"RESEND_EMAIL_NOTIFICATION"}`)).Execute())
	gone := must[*fabricv4.ServiceToken](t, 200)(api.DeleteServiceTokenByUuid(ctx, id).Execute())
	if gone.GetState() != fabricv4.SERVICETOKENSTATE_DELETED {
		t.Errorf("a deleted token is %s", gone.GetState())
	}
	refused[*fabricv4.ServiceToken](t, 400, "EQ-3034019")(api.DeleteServiceTokenByUuid(ctx, id).Execute())
	refused[*fabricv4.ServiceToken](t, 400, "EQ-3034016")(api.GetServiceTokenByUuid(ctx, nowhere).Execute())
}

// byTokenScenario orders with tokens of both sides, as in the guide.
func byTokenScenario(t *testing.T, x *exchange) {
	acme, cloud := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud")
	order := connect(t, "Conn-1", point(acmePort, "DOT1Q", 1001, 0), token(guideToken), "")
	made := placed(t, acme, order)
	id := made.GetUuid()
	if z := made.GetZSide(); z.ServiceToken == nil || z.ServiceToken.GetUuid() != guideToken {
		t.Errorf("Z side is %+v, want the token", z)
	}
	wantFace(t, acme, id, "PROVISIONING PROVISIONING/NOT_AVAILABLE")
	settle()
	wantFace(t, acme, id, "PROVISIONED PROVISIONED/AVAILABLE")
	wantFace(t, cloud, id, "PROVISIONED PROVISIONED/AVAILABLE")
	spent := must[*fabricv4.ServiceToken](t, 200)(acme.ServiceTokensApi.GetServiceTokenByUuid(t.Context(), guideToken).Execute())
	if c := spent.GetConnection(); spent.GetState() != fabricv4.SERVICETOKENSTATE_ACTIVE || c.GetUuid() != id {
		t.Errorf("token is %s of %s, want ACTIVE of %s", spent.GetState(), c.GetUuid(), id)
	}
	again := connect(t, "Conn-2", point(acmePort, "DOT1Q", 1002, 0), token(guideToken), "")
	refused[*fabricv4.Connection](t, 400, "EQ-3142537")(acme.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(again).Execute())
	refused[*fabricv4.ServiceToken](t, 400, "EQ-3034020")(cloud.ServiceTokensApi.DeleteServiceTokenByUuid(t.Context(), guideToken).Execute())

	fromToken := connect(t, "Conn-3", token(aSideToken), point(acmePort2, "DOT1Q", 1003, 0), "")
	other := placed(t, acme, fromToken)
	a := other.GetASide()
	if p := a.AccessPoint.GetPort(); a.ServiceToken.GetUuid() != aSideToken || p.GetUuid() == "" {
		t.Errorf("A side is %+v, want the token and its port", a)
	}
	remove2 := connect(t, "Conn-4", point(acmePort, "DOT1Q", 1004, 0), token(bandsToken), "")
	remove2.Bandwidth = 100
	refused[*fabricv4.Connection](t, 400, "EQ-3142540")(acme.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(remove2).Execute())
	epl := connect(t, "Conn-5", point(acmeEPL, "", 0, 0), token(eplToken), "")
	epl.Type = fabricv4.CONNECTIONTYPE_EPL_VC
	placed(t, acme, epl)
	settle()
	remove(t, acme, id)
	wantFace(t, acme, id, "DEPROVISIONING DEPROVISIONING/DEPROVISIONING")
	settle()
	wantFace(t, acme, id, "DEPROVISIONED DEPROVISIONED/DEPROVISIONED")
	refused[*fabricv4.Connection](t, 400, "EQ-3142509")(acme.ConnectionsApi.DeleteConnectionByUuid(t.Context(), id).Execute())
}

// byProfileScenario follows requests that the seller accepts, rejects and lets go.
func byProfileScenario(t *testing.T, x *exchange) {
	acme, cloud := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud")
	order := connect(t, "accepted", point(acmePort, "DOT1Q", 100, 0), toProfile(openProfile, ""), "")
	dry := must[*fabricv4.Connection](t, 200)(acme.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(order).DryRun(true).Execute())
	if dry.GetUuid() != "" {
		t.Errorf("a dry run made %s", dry.GetUuid())
	}
	id := placed(t, acme, order).GetUuid()
	wantFace(t, acme, id, "PENDING PENDING_APPROVAL/NOT_AVAILABLE")
	act(t, cloud, id, `{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":`+point(cloudPort, "DOT1Q", 555, 0)+`}}`)
	settle()
	done := wantFace(t, acme, id, "PROVISIONED PROVISIONED/AVAILABLE")
	z := done.GetZSide()
	if link := z.AccessPoint.GetLinkProtocol(); link.GetVlanTag() != 555 {
		t.Errorf("landed on %d, want 555 as the seller said", link.GetVlanTag())
	}
	remove(t, acme, id)
	wantFace(t, acme, id, "PROVISIONED PENDING_DELETE/AVAILABLE")
	act(t, cloud, id, `{"type":"CONNECTION_DELETION_ACCEPTANCE"}`)
	settle()
	wantFace(t, acme, id, "DEPROVISIONED DEPROVISIONED/DEPROVISIONED")

	no := placed(t, acme, connect(t, "rejected", point(acmePort, "DOT1Q", 101, 0), toProfile(openProfile, ""), "")).GetUuid()
	act(t, cloud, no, `{"type":"CONNECTION_CREATION_REJECTION","description":"not today"}`)
	wantFace(t, acme, no, "FAILED REJECTED/REJECTED")
	act(t, acme, no, `{"type":"CONNECTION_REJECTION_ACCEPTANCE"}`)
	wantFace(t, acme, no, "FAILED REJECTED_ACK/REJECTED")

	key2 := toProfile(directProfile, `,"authenticationKey":"`+key+`"`)
	auto := placed(t, acme, connect(t, "integrated", point(acmePort, "DOT1Q", 102, 0), key2, "")).GetUuid()
	settle()
	wantFace(t, acme, auto, "PROVISIONED PROVISIONED/AVAILABLE")
	act(t, acme, auto, `{"type":"CONNECTION_PROVIDER_STATUS_REQUEST"}`)
	wrongKey := connect(t, "no-key", point(acmePort, "DOT1Q", 103, 0), toProfile(directProfile, ""), "")
	refused[*fabricv4.Connection](t, 400, "EQ-3142308")(acme.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(wrongKey).Execute())
}

// byPortScenario has all combinations of encapsulations between ports of one's own.
func byPortScenario(t *testing.T, x *exchange) {
	acme := fabricClient(t, x, "acme")
	for i, tt := range []struct {
		name, kind, a, z string
	}{
		{"dot1q-dot1q", "EVPL_VC", point(acmePort, "DOT1Q", 200, 0), point(acmePort2, "DOT1Q", 200, 0)},
		{"dot1q-qinq", "EVPL_VC", point(acmePort, "DOT1Q", 201, 0), point(acmeQinQ, "QINQ", 201, 31)},
		{"qinq-dot1q", "EVPL_VC", point(acmeQinQ, "QINQ", 202, 32), point(acmePort, "DOT1Q", 202, 0)},
		{"qinq-qinq", "EVPL_VC", point(acmeQinQ, "QINQ", 203, 0), point(acmeQinQ2, "QINQ", 203, 0)},
		{"epl", "EPL_VC", point(acmeEPL, "", 0, 0), point(acmeEPL2, "", 0, 0)},
	} {
		order := connect(t, tt.name, tt.a, tt.z, "")
		order.Type = fabricv4.ConnectionType(tt.kind)
		id := placed(t, acme, order).GetUuid()
		settle()
		c := wantFace(t, acme, id, "PROVISIONED PROVISIONED/AVAILABLE")
		a, link := c.GetASide(), fabricv4.SimplifiedLinkProtocol{}
		if a.AccessPoint != nil && a.AccessPoint.LinkProtocol != nil {
			link = *a.AccessPoint.LinkProtocol
		}
		if outer := max(link.GetVlanTag(), link.GetVlanSTag()); tt.kind == "EVPL_VC" && outer != int32(200+i) {
			t.Errorf("%s: outer tag %d, want %d", tt.name, outer, 200+i)
		}
		if tt.kind == "EVPL_VC" {
			links := must[*fabricv4.LinkProtocolGetResponse](t, 200)(acme.PortsApi.GetVlans(t.Context(), a.AccessPoint.Port.GetUuid()).Execute())
			if got := links.GetData(); len(got) != 1 || got[0].Asset.GetUuid() != id {
				t.Errorf("%s: VLANs in use are %v, want the connection's", tt.name, got)
			}
		}
		remove(t, acme, id)
		settle()
	}
}

// pairScenario orders a primary and, in the group that it was given, a secondary.
func pairScenario(t *testing.T, x *exchange) {
	acme := fabricClient(t, x, "acme")
	first := placed(t, acme, connect(t, "pair-1", point(acmePort, "DOT1Q", 300, 0), toProfile(openProfile, ""), ""))
	r := first.GetRedundancy()
	if r.GetGroup() == "" || r.GetPriority() != fabricv4.CONNECTIONPRIORITY_PRIMARY {
		t.Fatalf("redundancy is %s in %q, want PRIMARY in a group", r.GetPriority(), r.GetGroup())
	}
	secondary := connect(t, "pair-2", point(acmePort2, "DOT1Q", 300, 0), toProfile(openProfile, ""),
		`,"redundancy":{"group":"`+r.GetGroup()+`","priority":"SECONDARY"}`)
	second := placed(t, acme, secondary)
	if s := second.GetRedundancy(); s.GetGroup() != r.GetGroup() || s.GetPriority() != fabricv4.CONNECTIONPRIORITY_SECONDARY {
		t.Errorf("secondary is %s in %s, want SECONDARY in %s", s.GetPriority(), s.GetGroup(), r.GetGroup())
	}
	stray := connect(t, "pair-3", point(acmePort, "DOT1Q", 301, 0), toProfile(openProfile, ""),
		`,"redundancy":{"group":"`+nowhere+`","priority":"SECONDARY"}`)
	refused[*fabricv4.Connection](t, 400, "EQ-3142516")(acme.ConnectionsApi.CreateConnection(t.Context()).ConnectionPostRequest(stray).Execute())
}

// changeScenario changes what can be changed; the seller agrees to one bandwidth and
// refuses another.
func changeScenario(t *testing.T, x *exchange) {
	acme, cloud := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud")
	id := placed(t, acme, connect(t, "changing", point(acmePort, "DOT1Q", 400, 0), toProfile(openProfile, ""), "")).GetUuid()
	act(t, cloud, id, `{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":`+point(cloudPort, "DOT1Q", 556, 0)+`}}`)
	settle()
	patch := func(path, value string, status int) *fabricv4.Connection {
		t.Helper()
		ops := of[[]fabricv4.ConnectionChangeOperation](t, `[{"op":"replace","path":"`+path+`","value":`+value+`}]`)
		return must[*fabricv4.Connection](t, status)(acme.ConnectionsApi.UpdateConnectionByUuid(t.Context(), id).
			ConnectionChangeOperation(ops).DryRun(status == 200).Execute())
	}
	patch("/name", `"tried"`, 200)
	patch("/name", `"renamed"`, 202)
	patch("/order/termLength", `24`, 202)
	patch("/notifications", `[{"type":"ALL","emails":["max@example.org"]}]`, 202)
	asked := patch("/bandwidth", `200`, 202)
	if c := asked.GetChange(); c.GetStatus() != "SUBMITTED_FOR_APPROVAL" {
		t.Errorf("the change is %s, want SUBMITTED_FOR_APPROVAL", c.GetStatus())
	}
	act(t, cloud, id, `{"type":"CONNECTION_UPDATE_ACCEPTANCE"}`)
	settle()
	patch("/bandwidth", `500`, 202)
	act(t, cloud, id, `{"type":"CONNECTION_UPDATE_REJECTION","description":"too much"}`)
	c := wantFace(t, acme, id, "PROVISIONED PROVISIONED/AVAILABLE")
	o := c.GetOrder()
	if c.GetName() != "renamed" || c.GetBandwidth() != 200 || o.GetTermLength() != 24 {
		t.Errorf("got %s, %d Mbit/s, %d months; want renamed, 200, 24", c.GetName(), c.GetBandwidth(), o.GetTermLength())
	}
}

// retryScenario has what is under way fail, and the buyer try again.
func retryScenario(t *testing.T, x *exchange) {
	acme, cloud := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud")
	id := placed(t, acme, connect(t, "stubborn", point(acmePort, "DOT1Q", 800, 0), token(guideToken), "")).GetUuid()
	portal(t, x, "fail", id)
	wantFace(t, acme, id, "FAILED NOT_PROVISIONED/FAILED")
	act(t, acme, id, `{"type":"CONNECTION_CREATION_RETRY"}`)
	settle()
	wantFace(t, acme, id, "PROVISIONED PROVISIONED/AVAILABLE")
	act(t, acme, id, `{"type":"CONNECTION_PROVIDER_BANDWIDTH_REQUEST"}`)
	for who, direction := range map[*fabricv4.APIClient]fabricv4.ConnectionDirection{acme: "OUTGOING", cloud: "INCOMING"} {
		seen := must[*fabricv4.Connection](t, 200)(who.ConnectionsApi.GetConnectionByUuid(t.Context(), id).Direction(direction).Execute())
		if seen.GetDirection() != direction {
			t.Errorf("direction is %s, want %s", seen.GetDirection(), direction)
		}
	}
	remove(t, acme, id)
	portal(t, x, "fail", id)
	wantFace(t, acme, id, "FAILED NOT_DEPROVISIONED/FAILED")
	act(t, acme, id, `{"type":"CONNECTION_DELETION_RETRY"}`)
	settle()
	wantFace(t, acme, id, "DEPROVISIONED DEPROVISIONED/DEPROVISIONED")
}
