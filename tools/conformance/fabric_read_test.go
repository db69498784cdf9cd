package conformance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/equinix/equinix-sdk-go/services/fabricv4"
)

// searchScenario pages, filters and sorts.
func searchScenario(t *testing.T, x *exchange) {
	acme, cloud := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud")
	var ids []string
	for n := range 7 {
		order := connect(t, fmt.Sprintf("found-%d", n), point(acmePort, "DOT1Q", 500+n, 0), toProfile(openProfile, ""), "")
		ids = append(ids, placed(t, acme, order).GetUuid())
		time.Sleep(time.Second)
	}
	search := func(c *fabricv4.APIClient, body string) *fabricv4.ConnectionSearchResponse {
		t.Helper()
		return must[*fabricv4.ConnectionSearchResponse](t, 200)(c.ConnectionsApi.SearchConnections(t.Context()).
			SearchRequest(of[fabricv4.SearchRequest](t, body)).Execute())
	}
	var seen []string
	for offset := 0; offset < 7; offset += 3 {
		page := search(acme, fmt.Sprintf(`{"filter":{"and":[{"property":"/name","operator":"LIKE","values":["found-%%"]}]},
			"pagination":{"offset":%d,"limit":3},"sort":[{"property":"/changeLog/createdDateTime","direction":"ASC"}]}`, offset))
		if p := page.GetPagination(); p.GetTotal() != 7 {
			t.Errorf("total is %d, want 7", p.GetTotal())
		}
		for _, c := range page.GetData() {
			seen = append(seen, c.GetUuid())
		}
	}
	if !slices.Equal(seen, ids) {
		t.Errorf("saw %v, want %v in the order in which they were made", seen, ids)
	}
	for _, tt := range []struct {
		who    *fabricv4.APIClient
		filter string
		want   int
	}{
		{cloud, `{"and":[{"property":"/operation/equinixStatus","operator":"=","values":["PENDING_APPROVAL"]}]}`, 7},
		{acme, `{"and":[{"property":"/uuid","operator":"IN","values":["` + ids[1] + `","` + ids[2] + `"]}]}`, 2},
		{acme, `{"and":[{"property":"/aSide/accessPoint/port/uuid","operator":"=","values":["` + acmePort + `"]},
			{"or":[{"property":"/name","operator":"=","values":["found-0"]},{"property":"/name","operator":"=","values":["found-6"]}]}]}`, 2},
		{acme, `{"and":[{"property":"/zSide/accessPoint/profile/uuid","operator":"=","values":["` + guideProfile + `"]}]}`, 0},
		{fabricClient(t, x, "globex"), `{"and":[{"property":"/name","operator":"LIKE","values":["found%"]}]}`, 0},
	} {
		if got := len(search(tt.who, `{"filter":`+tt.filter+`}`).GetData()); got != tt.want {
			t.Errorf("%s finds %d, want %d", tt.filter, got, tt.want)
		}
	}
}

// priceScenario asks what an order would cost and whether it could be made.
func priceScenario(t *testing.T, x *exchange) {
	acme := fabricClient(t, x, "acme")
	prices := must[*fabricv4.PriceSearchResponse](t, 200)(acme.PricesApi.SearchPrices(t.Context()).FilterBody(of[fabricv4.FilterBody](t,
		`{"filter":{"and":[{"property":"/type","operator":"=","values":["VIRTUAL_CONNECTION_PRODUCT"]},
		{"property":"/connection/type","operator":"=","values":["EVPL_VC"]},
		{"property":"/connection/bandwidth","operator":"IN","values":["50","1000"]},
		{"property":"/connection/aSide/accessPoint/type","operator":"=","values":["COLO"]},
		{"property":"/connection/aSide/accessPoint/location/metroCode","operator":"=","values":["SV"]},
		{"property":"/connection/zSide/accessPoint/type","operator":"=","values":["SP"]},
		{"property":"/connection/zSide/accessPoint/location/metroCode","operator":"=","values":["DC"]}]}}`)).Execute())
	if len(prices.GetData()) != 2 || len(prices.GetData()[0].GetCharges()) == 0 {
		t.Errorf("%d prices, want one for each bandwidth, with a charge", len(prices.GetData()))
	}
	validate := func(terms string) fabricv4.ApiValidateConnectionsRequest {
		return acme.ConnectionsApi.ValidateConnections(t.Context()).ValidateRequest(
			of[fabricv4.ValidateRequest](t, `{"filter":{"and":[`+terms+`]}}`))
	}
	term := func(property, value string) string {
		return `{"property":"/zSide/accessPoint/` + property + `","operator":"=","values":["` + value + `"]}`
	}
	must[*fabricv4.ConnectionResponse](t, 200)(validate(term("authenticationKey", key) + "," + term("profile/uuid", directProfile)).Execute())
	must[*fabricv4.ConnectionResponse](t, 200)(validate(term("port/uuid", acmePort) + "," + term("linkProtocol/vlanTag", "77")).Execute())
	refused[*fabricv4.ConnectionResponse](t, 400, "EQ-2041022")(validate(term("authenticationKey", "wrong") + "," + term("profile/uuid", directProfile)).Execute())
}

// readScenario reads ports, profiles, metros and health.
func readScenario(t *testing.T, x *exchange) {
	acme, cloud, ctx := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud"), t.Context()
	ports := must[*fabricv4.AllPortsResponse](t, 200)(acme.PortsApi.GetPorts(ctx).Execute())
	port := must[*fabricv4.Port](t, 200)(acme.PortsApi.GetPortByUuid(ctx, acmePort).Execute())
	e, l := port.GetEncapsulation(), port.GetLocation()
	if e.GetType() != "DOT1Q" || l.GetMetroCode() != "SV" || port.GetState() != fabricv4.PORTSTATE_ACTIVE {
		t.Errorf("port is %s in %s, %s; want DOT1Q in SV, ACTIVE", e.GetType(), l.GetMetroCode(), port.GetState())
	}
	named := must[*fabricv4.AllPortsResponse](t, 200)(acme.PortsApi.GetPorts(ctx).Name(port.GetName()).Execute())
	found := must[*fabricv4.AllPortsResponse](t, 200)(acme.PortsApi.SearchPorts(ctx).PortV4SearchRequest(of[fabricv4.PortV4SearchRequest](t,
		`{"filter":{"or":[{"and":[{"property":"/uuid","operator":"=","values":["`+acmePort+`"]}]}]},
		"sort":[{"property":"/device/name","direction":"DESC"}]}`)).Execute())
	if len(ports.GetData()) < 20 || len(named.GetData()) != 1 || len(found.GetData()) != 1 {
		t.Errorf("%d ports, %d by name, %d by id; want all, 1 and 1", len(ports.GetData()), len(named.GetData()), len(found.GetData()))
	}
	profile := must[*fabricv4.ServiceProfile](t, 200)(acme.ServiceProfilesApi.GetServiceProfileByUuid(ctx, directProfile).Execute())
	config := profile.GetAccessPointTypeConfigs()
	if len(config) != 1 || config[0].ServiceProfileAccessPointTypeCOLO == nil {
		t.Fatalf("profile has configs %v, want one of type COLO", config)
	}
	colo := config[0].ServiceProfileAccessPointTypeCOLO
	if k := colo.GetAuthenticationKey(); !k.GetRequired() || len(colo.GetSupportedBandwidths()) != 8 {
		t.Errorf("profile wants a key: %t, sells %v", k.GetRequired(), colo.GetSupportedBandwidths())
	}
	own := must[*fabricv4.ServiceProfile](t, 200)(cloud.ServiceProfilesApi.GetServiceProfileByUuid(ctx, directProfile).
		ViewPoint(fabricv4.GETSERVICEPROFILESVIEWPOINTPARAMETER_Z_SIDE).Execute())
	if len(own.GetPorts()) == 0 {
		t.Error("the seller sees no ports of its profile")
	}
	must[*fabricv4.ServiceProfiles](t, 200)(acme.ServiceProfilesApi.GetServiceProfiles(ctx).Offset(0).Limit(5).Execute())
	byName := must[*fabricv4.ServiceProfiles](t, 200)(acme.ServiceProfilesApi.SearchServiceProfiles(ctx).ServiceProfileSearchRequest(
		of[fabricv4.ServiceProfileSearchRequest](t, `{"filter":{"and":[{"property":"/name","operator":"=","values":["Cloud Open"]}]},
		"pagination":{"offset":0,"limit":20}}`)).Execute())
	if len(byName.GetData()) != 1 {
		t.Errorf("%d profiles of one name, want 1", len(byName.GetData()))
	}
	metros := must[*fabricv4.ServiceMetros](t, 200)(acme.ServiceProfilesApi.GetServiceProfileMetrosByUuid(ctx, openProfile).Execute())
	all := must[*fabricv4.MetroResponse](t, 200)(acme.MetrosApi.GetMetros(ctx).Presence(fabricv4.PRESENCE_MY_PORTS).Execute())
	if len(metros.GetData()) != 3 || len(all.GetData()) != 3 {
		t.Errorf("%d metros of the profile, %d of one's ports; want 3 and 3", len(metros.GetData()), len(all.GetData()))
	}
	must[*fabricv4.Metro](t, 200)(acme.MetrosApi.GetMetroByCode(ctx, "SV").Execute())
	must[*fabricv4.HealthResponse](t, 200)(acme.HealthApi.GetStatus(ctx).Execute())
}

// eventScenario subscribes to events and asks for them.
func eventScenario(t *testing.T, x *exchange) {
	acme, ctx := fabricClient(t, x, "acme"), t.Context()
	stream := must[*fabricv4.Stream](t, 202)(acme.StreamsApi.CreateStreams(ctx).StreamPostRequest(of[fabricv4.StreamPostRequest](t,
		`{"type":"TELEMETRY_STREAM","name":"s","description":"d","project":{"projectId":"`+acmeProject+`"}}`)).Execute())
	id := stream.GetUuid()
	must[*fabricv4.StreamAsset](t, 202)(acme.StreamsApi.UpdateStreamAssetByUuid(ctx, acmeProject, "projects", id).
		StreamAssetPutRequest(of[fabricv4.StreamAssetPutRequest](t, `{"metricsEnabled":false}`)).Execute())
	must[*fabricv4.StreamAsset](t, 200)(acme.StreamsApi.GetStreamAssetByUuid(ctx, acmeProject, "projects", id).Execute())
	sub := must[*fabricv4.StreamSubscription](t, 202)(acme.StreamSubscriptionsApi.CreateStreamSubscriptions(ctx, id).
		StreamSubscriptionPostRequest(of[fabricv4.StreamSubscriptionPostRequest](t, `{"type":"STREAM_SUBSCRIPTION","name":"hook","enabled":false,
		"eventSelector":{"include":["equinix.fabric.connection.*"]},"sink":{"type":"WEBHOOK",
		"settings":{"eventUri":"https://hook.example/","format":"CLOUDEVENT"},"credential":{"type":"ACCESS_TOKEN","accessToken":"secret"}}}`)).Execute())
	must[*fabricv4.StreamSubscription](t, 202)(acme.StreamSubscriptionsApi.UpdateStreamSubscriptionByUuid(ctx, id, sub.GetUuid()).
		StreamSubscriptionPutRequest(of[fabricv4.StreamSubscriptionPutRequest](t, `{"type":"STREAM_SUBSCRIPTION","name":"renamed","enabled":false,
		"sink":{"type":"WEBHOOK","uri":"https://hook.example/"}}`)).Execute())
	got := must[*fabricv4.StreamSubscription](t, 200)(acme.StreamSubscriptionsApi.GetStreamSubscriptionByUuid(ctx, id, sub.GetUuid()).Execute())
	if got.GetName() != "renamed" || got.GetEnabled() {
		t.Errorf("subscription is %s, enabled %t; want renamed and not", got.GetName(), got.GetEnabled())
	}
	must[*fabricv4.GetAllStreamSubscriptionResponse](t, 200)(acme.StreamSubscriptionsApi.GetStreamSubscriptions(ctx, id).Execute())
	must[*fabricv4.Stream](t, 202)(acme.StreamsApi.UpdateStreamByUuid(ctx, id).StreamPutRequest(of[fabricv4.StreamPutRequest](t, `{"name":"s2"}`)).Execute())
	must[*fabricv4.GetAllStreamResponse](t, 200)(acme.StreamsApi.GetStreams(ctx).Execute())

	made := placed(t, acme, connect(t, "told", point(acmePort, "DOT1Q", 600, 0), token(guideToken), ""))
	settle()
	of1 := must[*fabricv4.GetCloudEventsByAssetResponse](t, 200)(acme.CloudEventsApi.GetCloudEventByAssetId(ctx, "connections", made.GetUuid()).Execute())
	var kinds []string
	for _, e := range of1.GetData() {
		kinds = append(kinds, e.GetType())
	}
	if want := []string{"equinix.fabric.connection.state.provisioning", "equinix.fabric.connection.state.provisioned"}; !slices.Equal(kinds, want) {
		t.Errorf("events are %v, want %v", kinds, want)
	}
	one := must[*fabricv4.CloudEvent](t, 200)(acme.CloudEventsApi.GetCloudEvent(ctx, of1.GetData()[0].GetId()).Execute())
	if d := one.GetData(); d.GetMessage() != "Connection named told state changed to provisioning" {
		t.Errorf("message is %q", d.GetMessage())
	}
	found := must[*fabricv4.GetCloudEventsByAssetResponse](t, 200)(fabricClient(t, x, "cloud").CloudEventsApi.SearchCloudEvents(ctx).
		CloudEventSearchRequest(of[fabricv4.CloudEventSearchRequest](t, `{"filter":{"and":[{"property":"/type","operator":"IN",
		"values":["equinix.fabric.service_token.state.*"]}]},"pagination":{"offset":0,"limit":20}}`)).Execute())
	if len(found.GetData()) != 1 {
		t.Errorf("%d events about tokens, want that one is ACTIVE", len(found.GetData()))
	}
	must[*fabricv4.StreamSubscription](t, 202)(acme.StreamSubscriptionsApi.DeleteStreamSubscriptionByUuid(ctx, id, sub.GetUuid()).Execute())
	must[*fabricv4.StreamAsset](t, 202)(acme.StreamsApi.DeleteStreamAssetByUuid(ctx, acmeProject, "projects", id).Execute())
	must[*fabricv4.Stream](t, 202)(acme.StreamsApi.DeleteStreamByUuid(ctx, id).Execute())
	refused[*fabricv4.Stream](t, 404, "EQ-3045811")(acme.StreamsApi.GetStreamByUuid(ctx, id).Execute())
}

// refusalScenario reads the exchange's errors through the SDK.
func refusalScenario(t *testing.T, x *exchange) {
	acme, cloud, ctx := fabricClient(t, x, "acme"), fabricClient(t, x, "cloud"), t.Context()
	id := placed(t, acme, connect(t, "first", point(acmePort, "DOT1Q", 700, 0), toProfile(openProfile, ""), "")).GetUuid()
	wrong := func(code, name, a, z string) {
		t.Helper()
		refused[*fabricv4.Connection](t, 400, code)(acme.ConnectionsApi.CreateConnection(ctx).
			ConnectionPostRequest(connect(t, name, a, z, "")).Execute())
	}
	wrong("EQ-3142102", "duplicate", point(acmePort, "DOT1Q", 700, 0), toProfile(openProfile, ""))
	wrong("EQ-3142501", "a-name-of-more-than-24-characters", point(acmePort, "DOT1Q", 701, 0), toProfile(openProfile, ""))
	wrong("EQ-3142501", "foreign-port", point(cloudPort, "DOT1Q", 701, 0), toProfile(openProfile, ""))
	wrong("EQ-3142301", "no-profile", point(acmePort, "DOT1Q", 701, 0), toProfile(nowhere, ""))
	wrong("EQ-3034016", "no-token", point(acmePort, "DOT1Q", 701, 0), token(nowhere))
	refused[*fabricv4.Connection](t, 400, "EQ-3142519")(acme.ConnectionsApi.GetConnectionByUuid(ctx, nowhere).Execute())
	refused[*fabricv4.Connection](t, 400, "EQ-3142519")(fabricClient(t, x, "globex").ConnectionsApi.GetConnectionByUuid(ctx, id).Execute())
	refused[*fabricv4.Connection](t, 403, "EQ-3142401")(cloud.ConnectionsApi.DeleteConnectionByUuid(ctx, id).Execute())
	accept := of[fabricv4.ConnectionActionRequest](t, `{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":`+point(cloudPort, "DOT1Q", 557, 0)+`}}`)
	refused[*fabricv4.ConnectionAction](t, 403, "EQ-3045003")(acme.ConnectionsApi.CreateConnectionAction(ctx, id).ConnectionActionRequest(accept).Execute())
	act(t, cloud, id, `{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":`+point(cloudPort, "DOT1Q", 557, 0)+`}}`)
	refused[*fabricv4.Connection](t, 400, "EQ-3142510")(acme.ConnectionsApi.DeleteConnectionByUuid(ctx, id).Execute())
	refused[*fabricv4.ConnectionAction](t, 400, "EQ-3142510")(cloud.ConnectionsApi.CreateConnectionAction(ctx, id).ConnectionActionRequest(accept).Execute())
	refused[*fabricv4.Port](t, 400, "EQ-3035202")(acme.PortsApi.GetPortByUuid(ctx, nowhere).Execute())
	refused[*fabricv4.ServiceProfiles](t, 400, "EQ-3001202")(acme.ServiceProfilesApi.SearchServiceProfiles(ctx).ServiceProfileSearchRequest(
		of[fabricv4.ServiceProfileSearchRequest](t, `{"filter":{"and":[{"property":"/ports/uuid","operator":"=","values":["x"]}]}}`)).Execute())
	refused[*fabricv4.CloudEvent](t, 404, "EQ-3045811")(acme.CloudEventsApi.GetCloudEvent(ctx, nowhere).Execute())
	// The sample of this error has an object where the SDK, like the schema, wants a list.
	if _, resp, err := acme.PortsApi.GetVlans(ctx, nowhere).Execute(); err == nil || resp.StatusCode != 400 {
		t.Errorf("VLANs of a port that is not there: error %v, want a 400", err)
	}
	plain := fabricv4.NewConfiguration()
	plain.Servers, plain.HTTPClient = fabricv4.ServerConfigurations{{URL: base}}, x.plain
	refused[*fabricv4.ConnectionSearchResponse](t, 401, "EQ-3000039")(fabricv4.NewAPIClient(plain).ConnectionsApi.SearchConnections(ctx).
		SearchRequest(of[fabricv4.SearchRequest](t, `{}`)).Execute())
}
