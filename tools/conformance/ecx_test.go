package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/equinix/ecx-go/v2"
	eqxauth "github.com/equinix/oauth2-go"
	"github.com/equinix/rest-go"

	"patchbay.io/services/sandbox"
)

// The inventory that the tests order with; see the sandbox's documentation.
const (
	openProfile   = "c10f0000-0000-4000-8000-000000000008" // the seller approves, no key
	directProfile = "c10f0000-0000-4000-8000-000000000005" // the provider's API approves
	namedProfile  = "c10f0000-0000-4000-8000-000000000006"
	guideProfile  = "7a73af1a-3d74-47ac-b778-6bf455d1174e"
	key           = "xxxxxxxx"

	acmePort   = "aced1050-0000-4000-8000-000000000001" // Dot1q, SV
	acmePort2  = "aced1050-0000-4000-8000-000000000002"
	acmeQinQ   = "ace99050-0000-4000-8000-000000000001"
	cloudPort  = "c10d1050-0000-4000-8000-000000000001"
	cloudPort2 = "c10d1050-0000-4000-8000-000000000002"
)

// ecxClient is the SDK, logged in as one of the sandbox's tenants.
func ecxClient(x *exchange, who string) *ecx.RestClient {
	login := eqxauth.Config{ClientID: who + "-client", ClientSecret: who + "-secret", BaseURL: base}
	ctx := through(context.Background(), x)
	return ecx.NewClient(ctx, base, login.NewWithClient(ctx, x.plain))
}

// order is a connection of Acme's first port to the profile that the seller approves.
func order(name string, vlan int) ecx.L2Connection {
	return ecx.L2Connection{
		Name: &name, ProfileUUID: ecx.String(openProfile), Speed: ecx.Int(50), SpeedUnit: ecx.String("MB"),
		Notifications: []string{"john.doe@example.com"}, PurchaseOrderNumber: ecx.String("1234567890"),
		PortUUID: ecx.String(acmePort), VlanSTag: &vlan, SellerMetroCode: ecx.String("SV"),
	}
}

// created orders c and returns its id.
func created(t *testing.T, client ecx.Client, c ecx.L2Connection) string {
	t.Helper()
	id, err := client.CreateL2Connection(c)
	if err != nil {
		t.Fatalf("create %s: %v", *c.Name, err)
	}
	if ecx.StringValue(id) == "" {
		t.Fatalf("create %s: no id in the answer", *c.Name)
	}
	return *id
}

// words reads a connection's status and providerStatus.
func words(t *testing.T, client ecx.Client, id string) string {
	t.Helper()
	c, err := client.GetL2Connection(id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return ecx.StringValue(c.Status) + "/" + ecx.StringValue(c.ProviderStatus)
}

func wantWords(t *testing.T, client ecx.Client, id, want string) {
	t.Helper()
	if got := words(t, client, id); got != want {
		t.Errorf("connection is %s, want %s", got, want)
	}
}

// portal lets the seller decide in the portal, since the SDK is for buyers.
func portal(t *testing.T, x *exchange, kind, id string) {
	t.Helper()
	if err := x.Edit(sandbox.Edit{Kind: kind, Connection: id, Comment: "not today"}); err != nil {
		t.Fatalf("%s in the portal: %v", kind, err)
	}
}

// wantCode checks that err is an answer of the exchange with that status and code.
func wantCode(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var answer rest.Error
	if !errors.As(err, &answer) {
		t.Errorf("%s: got %v, want an error of the exchange with %s", what, err, code)
		return
	}
	var codes []string
	for _, e := range answer.ApplicationErrors {
		codes = append(codes, e.Code)
	}
	if answer.HTTPCode != status || !slices.Contains(codes, code) {
		t.Errorf("%s: got %v, want %d with %s", what, answer, status, code)
	}
}

// TestECXLifecycle follows one connection from the order to its end.
func TestECXLifecycle(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		id := created(t, acme, order("first", 100))
		wantWords(t, acme, id, "PENDING_APPROVAL/NOT_AVAILABLE")
		portal(t, x, "approve", id)
		wantWords(t, acme, id, "PROVISIONING/NOT_AVAILABLE")
		settle()
		wantWords(t, acme, id, "PROVISIONED/AVAILABLE")

		if err := acme.NewL2ConnectionUpdateRequest(id).WithName("renamed").WithBandwidth(200, "MB").Execute(); err != nil {
			t.Fatalf("update: %v", err)
		}
		portal(t, x, "approve", id)
		settle()
		c, err := acme.GetL2Connection(id)
		if err != nil {
			t.Fatal(err)
		}
		if *c.Name != "renamed" || *c.Speed != 200 || *c.SpeedUnit != "MB" {
			t.Errorf("got %s with %d %s, want renamed with 200 MB: both were asked for and approved",
				*c.Name, *c.Speed, *c.SpeedUnit)
		}

		if err := acme.DeleteL2Connection(id); err != nil {
			t.Fatalf("delete: %v", err)
		}
		wantWords(t, acme, id, "PENDING_DELETE/AVAILABLE")
		portal(t, x, "approve", id)
		wantWords(t, acme, id, "DEPROVISIONING/AVAILABLE")
		settle()
		wantWords(t, acme, id, "DEPROVISIONED/NOT_AVAILABLE")
		wantCode(t, "second delete", acme.DeleteL2Connection(id), http.StatusBadRequest, "IC-LAYER2-4021")
	})
}

// TestECXFields orders with everything that the SDK can say and reads it again.
func TestECXFields(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		o := order("qinq", 300)
		o.ProfileUUID, o.PortUUID, o.VlanCTag = ecx.String(guideProfile), ecx.String(acmeQinQ), ecx.Int(30)
		o.AuthorizationKey, o.SellerRegion = ecx.String(key), ecx.String("us-sv")
		o.AdditionalInfo = []ecx.L2ConnectionAdditionalInfo{{Name: ecx.String("ASN"), Value: ecx.String("65000")}}
		id := created(t, acme, o)
		portal(t, x, "approve", id)
		settle()
		c, err := acme.GetL2Connection(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []struct{ name, got, want string }{
			{"uuid", ecx.StringValue(c.UUID), id},
			{"name", ecx.StringValue(c.Name), "qinq"},
			{"profile", ecx.StringValue(c.ProfileUUID), guideProfile},
			{"port", ecx.StringValue(c.PortUUID), acmeQinQ},
			{"tags", fmt.Sprint(ecx.IntValue(c.VlanSTag), ecx.IntValue(c.VlanCTag)), "300 30"},
			{"speed", fmt.Sprintf("%d %s", ecx.IntValue(c.Speed), ecx.StringValue(c.SpeedUnit)), "50 MB"},
			{"purchase order", ecx.StringValue(c.PurchaseOrderNumber), "1234567890"},
			{"notifications", fmt.Sprint(c.Notifications), "[john.doe@example.com]"},
			{"metro", ecx.StringValue(c.SellerMetroCode), "SV"},
			{"region", ecx.StringValue(c.SellerRegion), "us-sv"},
			{"key", ecx.StringValue(c.AuthorizationKey), key},
			{"landing", ecx.StringValue(c.ZSidePortUUID), cloudPort},
			{"landing's tag", fmt.Sprint(ecx.IntValue(c.ZSideVlanSTag)), "2"},
		} {
			if f.got != f.want {
				t.Errorf("%s is %q, want %q", f.name, f.got, f.want)
			}
		}
		if len(c.AdditionalInfo) != 1 || ecx.StringValue(c.AdditionalInfo[0].Value) != "65000" {
			t.Errorf("additional info is %v, want ASN 65000", c.AdditionalInfo)
		}
		named := order("named", 301)
		named.ProfileUUID, named.AuthorizationKey = ecx.String(namedProfile), ecx.String(key)
		named.NamedTag = ecx.String("PRIVATE")
		c, err = acme.GetL2Connection(created(t, acme, named))
		if err != nil {
			t.Fatal(err)
		}
		if got := ecx.StringValue(c.NamedTag); got != "Private" {
			t.Errorf("named tag is %q, want Private: the exchange has its own spelling", got)
		}
	})
}

// TestECXRedundant orders a pair in one call; each is awaited and deleted by itself.
func TestECXRedundant(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		one, two := order("pair-1", 100), order("pair-2", 200)
		two.PortUUID = ecx.String(acmePort2)
		first, second, err := acme.CreateL2RedundantConnection(one, two)
		if err != nil || first == nil || second == nil || *first == *second {
			t.Fatalf("create pair: ids %v and %v, error %v; want two ids", first, second, err)
		}
		a, errA := acme.GetL2Connection(*first)
		b, errB := acme.GetL2Connection(*second)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if *a.RedundancyType != "primary" || *b.RedundancyType != "secondary" || *a.RedundancyGroup != *b.RedundancyGroup ||
			*a.RedundantUUID != *second || *b.RedundantUUID != *first {
			t.Errorf("got %s and %s, groups %s and %s: want a primary and a secondary that name each other",
				*a.RedundancyType, *b.RedundancyType, *a.RedundancyGroup, *b.RedundancyGroup)
		}
		if *b.Speed != 50 || *b.ProfileUUID != openProfile || *b.PortUUID != acmePort2 || *b.VlanSTag != 200 {
			t.Errorf("secondary has %d MB to %s on %s: want what the primary has, on its own port", *b.Speed,
				*b.ProfileUUID, *b.PortUUID)
		}
		portal(t, x, "approve", *first)
		portal(t, x, "approve", *second)
		settle()
		if err := acme.DeleteL2Connection(*first); err != nil {
			t.Fatal(err)
		}
		wantWords(t, acme, *first, "PENDING_DELETE/AVAILABLE")
		wantWords(t, acme, *second, "PROVISIONED/AVAILABLE")
	})
}

// TestECXEnds has the ways in which an order comes to nothing.
func TestECXEnds(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		refused := created(t, acme, order("refused", 100))
		portal(t, x, "reject", refused)
		wantWords(t, acme, refused, "REJECTED/NOT_AVAILABLE")
		withdrawn := created(t, acme, order("withdrawn", 101))
		if err := acme.DeleteL2Connection(withdrawn); err != nil {
			t.Fatalf("delete of a request that waits: %v", err)
		}
		wantWords(t, acme, withdrawn, "DEPROVISIONED/NOT_AVAILABLE")
		integrated := order("integrated", 102)
		integrated.ProfileUUID, integrated.AuthorizationKey = ecx.String(directProfile), ecx.String(key)
		id := created(t, acme, integrated)
		wantWords(t, acme, id, "PENDING_AUTO_APPROVAL/NOT_AVAILABLE")
		settle()
		wantWords(t, acme, id, "PROVISIONED/PROVISIONED")
		if err := acme.DeleteL2Connection(id); err != nil {
			t.Fatal(err)
		}
		settle()
		wantWords(t, acme, id, "DEPROVISIONED/NOT_AVAILABLE")
	})
}

// TestECXErrors reads the exchange's refusals through the SDK.
func TestECXErrors(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		const unknown = "00000000-0000-4000-8000-000000000000"
		acme, globex := ecxClient(x, "acme"), ecxClient(x, "globex")
		taken := created(t, acme, order("taken", 100))
		create := func(change func(*ecx.L2Connection)) error {
			o := order("wrong", 101)
			change(&o)
			_, err := acme.CreateL2Connection(o)
			return err
		}
		_, errUnknown := acme.GetL2Connection(unknown)
		_, errForeign := globex.GetL2Connection(taken)
		_, errConfirm := acme.ConfirmL2Connection(taken, ecx.L2ConnectionToConfirm{
			AccessKey: ecx.String("access"), SecretKey: ecx.String("secret")})
		_, errProfile := acme.GetL2ServiceProfile(unknown)
		for _, tt := range []struct {
			name   string
			err    error
			status int
			code   string
		}{
			{"unknown id", errUnknown, 400, "IC-LAYER2-4023"},
			{"somebody else's id", errForeign, 400, "IC-LAYER2-4023"},
			{"delete of an unknown id", acme.DeleteL2Connection(unknown), 400, "IC-LAYER2-4023"},
			{"confirmation that nobody asked for", errConfirm, 400, "IC-LAYER2-4023"},
			{"update of an unknown id", acme.NewL2ConnectionUpdateRequest(unknown).WithName("x").Execute(), 400, "IC-LAYER2-4023"},
			{"unknown profile", errProfile, 404, "IC-LAYER2-404"},
			{"duplicate VLAN", create(func(o *ecx.L2Connection) { o.VlanSTag = ecx.Int(100) }), 400, "IC-LAYER2-4091"},
			{"long name", create(func(o *ecx.L2Connection) { o.Name = ecx.String("a-name-of-more-than-24-characters") }), 400, "IC-LAYER2-402"},
			{"bad name", create(func(o *ecx.L2Connection) { o.Name = ecx.String("a.b") }), 400, "IC-LAYER2-402"},
			{"somebody else's port", create(func(o *ecx.L2Connection) { o.PortUUID = ecx.String(cloudPort2) }), 400, "IC-LAYER2-PORTS-001"},
			{"no notifications", create(func(o *ecx.L2Connection) { o.Notifications = nil }), 400, "IC-LAYER2-402"},
			{"speed that is not sold", create(func(o *ecx.L2Connection) { o.Speed = ecx.Int(51) }), 400, "IC-LAYER2-402"},
			{"wrong key", create(func(o *ecx.L2Connection) {
				o.ProfileUUID, o.AuthorizationKey = ecx.String(directProfile), ecx.String("other")
			}), 400, "IC-LAYER2-AUTH-004"},
			{"virtual device", func() error {
				second := order("second", 102)
				second.DeviceUUID = ecx.String(unknown)
				_, _, err := acme.CreateL2RedundantConnection(order("wrong", 101), second)
				return err
			}(), 400, "IC-NFV-CON-06"},
		} {
			wantCode(t, tt.name, tt.err, tt.status, tt.code)
		}
		if made := len(x.Inventory().Connections); made != 1 {
			t.Errorf("%d connections exist, want 1: a refused order leaves nothing", made)
		}
	})
}

// TestECXLists pages through connections, with and without a filter.
func TestECXLists(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		acme.SetPageSize(4)
		for n := range 10 {
			created(t, acme, order(fmt.Sprintf("conn-%d", n), 100+n))
		}
		all, err := acme.GetL2OutgoingConnections(nil)
		if err != nil || len(all) != 10 {
			t.Fatalf("%d connections, error %v; want all 10 over three pages", len(all), err)
		}
		portal(t, x, "approve", *all[0].UUID)
		settle()
		some, err := acme.GetL2OutgoingConnections([]string{ecx.ConnectionStatusProvisioned, ecx.ConnectionStatusProvisioning})
		if err != nil || len(some) != 1 || *some[0].UUID != *all[0].UUID {
			t.Errorf("%d connections provisioned, error %v; want the one that was approved", len(some), err)
		}
		others, err := ecxClient(x, "globex").GetL2OutgoingConnections(nil)
		if err != nil || len(others) != 0 {
			t.Errorf("a stranger sees %d connections, error %v; want none", len(others), err)
		}
	})
}

// TestECXPortsAndProfiles reads what can be ordered with.
func TestECXPortsAndProfiles(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		ports, err := acme.GetUserPorts()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(ports, func(p ecx.Port) bool { return ecx.StringValue(p.UUID) == acmePort })
		if i < 0 {
			t.Fatalf("port %s is not among %d", acmePort, len(ports))
		}
		p := ports[i]
		got := []string{*p.Region, *p.IBX, *p.MetroCode, *p.Priority, *p.Encapsulation, *p.Bandwidth, *p.Status}
		want := []string{"AMER", "SV1", "SV", "Primary", "Dot1q", "10000000000", "ADDED"}
		if !slices.Equal(got, want) || *p.Buyout {
			t.Errorf("port is %v, want %v", got, want)
		}
		acme.SetPageSize(3)
		profiles, err := acme.GetL2SellerProfiles()
		if err != nil {
			t.Fatal(err)
		}
		i = slices.IndexFunc(profiles, func(p ecx.L2ServiceProfile) bool { return ecx.StringValue(p.UUID) == openProfile })
		if len(profiles) != 9 || i < 0 {
			t.Fatalf("%d profiles, want the 9 that Acme may order, over three pages", len(profiles))
		}
		s := profiles[i]
		if *s.Encapsulation != "Dot1q" || *s.TagType != "CTAGED" || len(s.SpeedBands) != 8 || len(s.Metros) != 3 ||
			*s.OrganizationName != "Cloud Services" {
			t.Errorf("profile is %+v, want Dot1q, CTAGED, 8 speeds, 3 metros, of Cloud Services", s)
		}
	})
}

// TestECXLogin has the token endpoint judged by Equinix' own client of it.
func TestECXLogin(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		if _, err := acme.GetUserPorts(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Minute)
		if _, err := acme.GetUserPorts(); err != nil {
			t.Errorf("after an hour: %v; want a new token, since the client reads token_timeout", err)
		}
		_, err := (&eqxauth.Config{ClientID: "acme-client", ClientSecret: "wrong", BaseURL: base}).
			TokenSource(t.Context(), x.plain).Token()
		var refused eqxauth.Error
		if !errors.As(err, &refused) || refused.Code != "S1006" {
			t.Errorf("wrong secret: %v, want code S1006 in the form that the client reads", err)
		}
	})
}

// TestECXSeller makes, replaces and deletes a service profile, which is ordered in
// between.
func TestECXSeller(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		cloud, acme := ecxClient(x, "cloud"), ecxClient(x, "acme")
		p := ecx.L2ServiceProfile{
			Name: ecx.String("Cloud Made"), Description: ecx.String("made by its seller"), Private: ecx.Bool(true),
			PrivateUserEmails: []string{"john.doe@example.com"}, TagType: ecx.String("CTAGED"),
			SpeedBands: []ecx.L2ServiceProfileSpeedBand{{Speed: ecx.Int(50), SpeedUnit: ecx.String("MB")}},
			Ports:      []ecx.L2ServiceProfilePort{{ID: ecx.String(cloudPort), MetroCode: ecx.String("SV")}},
		}
		id, err := cloud.CreateL2ServiceProfile(p)
		if err != nil || ecx.StringValue(id) == "" {
			t.Fatalf("make a profile: id %v, error %v", id, err)
		}
		seen := func(client *ecx.RestClient) bool {
			list, err := client.GetL2SellerProfiles()
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(list, func(p ecx.L2ServiceProfile) bool { return *p.UUID == *id })
		}
		if !seen(acme) || seen(ecxClient(x, "globex")) {
			t.Error("a private profile is for those who are invited, and nobody else")
		}
		o := order("to-made", 900)
		o.ProfileUUID = id
		conn := created(t, acme, o)
		o.Name, o.VlanSTag, o.Speed = ecx.String("too-fast"), ecx.Int(901), ecx.Int(200)
		_, err = acme.CreateL2Connection(o)
		wantCode(t, "speed that is not sold", err, http.StatusBadRequest, "IC-LAYER2-402")
		o.Speed, o.SellerMetroCode = ecx.Int(50), ecx.String("DC")
		_, err = acme.CreateL2Connection(o)
		wantCode(t, "metro without a port", err, http.StatusBadRequest, "IC-LAYER2-402")
		wantCode(t, "delete of a profile in use", cloud.DeleteL2ServiceProfile(*id), http.StatusBadRequest, "IC-LAYER2-4092")

		p.UUID, p.Name = id, ecx.String("Cloud Replaced")
		p.SpeedBands = append(p.SpeedBands, ecx.L2ServiceProfileSpeedBand{Speed: ecx.Int(1), SpeedUnit: ecx.String("GB")})
		if err := cloud.UpdateL2ServiceProfile(p); err != nil {
			t.Fatal(err)
		}
		got, err := cloud.GetL2ServiceProfile(*id)
		if err != nil {
			t.Fatal(err)
		}
		if *got.Name != "Cloud Replaced" || len(got.SpeedBands) != 2 || *got.State != "ACTIVE" || len(got.Ports) == 0 {
			t.Errorf("profile is %s with %d speeds and %d ports, %s; want what it was replaced by", *got.Name, len(got.SpeedBands),
				len(got.Ports), *got.State)
		}
		p.Ports = []ecx.L2ServiceProfilePort{{ID: ecx.String(acmePort)}}
		wantCode(t, "somebody else's port", cloud.UpdateL2ServiceProfile(p), http.StatusBadRequest, "IC-LAYER2-PORTS-001")
		portal(t, x, "reject", conn)
		if err := cloud.DeleteL2ServiceProfile(*id); err != nil {
			t.Fatal(err)
		}
		if seen(acme) {
			t.Error("a deleted profile can still be ordered")
		}
		wantCode(t, "second delete", cloud.DeleteL2ServiceProfile(*id), http.StatusBadRequest, "IC-LAYER2-402")
		wantCode(t, "delete by another", acme.DeleteL2ServiceProfile(openProfile), http.StatusBadRequest, "IC-LAYER2-402")
	})
}

// TestECXTokens orders with service tokens of either side.
func TestECXTokens(t *testing.T) {
	drive(t, func(t *testing.T, x *exchange) {
		acme := ecxClient(x, "acme")
		z := order("to-token", 910)
		z.ProfileUUID, z.SellerMetroCode, z.ZSideServiceToken = nil, nil, ecx.String(guideToken)
		id := created(t, acme, z)
		wantWords(t, acme, id, "PROVISIONING/NOT_AVAILABLE")
		settle()
		wantWords(t, acme, id, "PROVISIONED/AVAILABLE")
		c, err := acme.GetL2Connection(id)
		if err != nil {
			t.Fatal(err)
		}
		if ecx.StringValue(c.VendorToken) != guideToken || ecx.IntValue(c.ZSideVlanSTag) != 3001 {
			t.Errorf("token is %q, Z-side tag %d; want the one that was ordered with, and its 3001",
				ecx.StringValue(c.VendorToken), ecx.IntValue(c.ZSideVlanSTag))
		}
		z.Name, z.VlanSTag = ecx.String("again"), ecx.Int(911)
		_, err = acme.CreateL2Connection(z)
		wantCode(t, "token that is spent", err, http.StatusBadRequest, "IC-LAYER2-402")
		z.ZSideServiceToken, z.ProfileUUID = ecx.String(bandsToken), ecx.String(openProfile)
		_, err = acme.CreateL2Connection(z)
		wantCode(t, "token and profile", err, http.StatusBadRequest, "IC-LAYER2-402")
		z.ProfileUUID, z.Speed = nil, ecx.Int(100)
		_, err = acme.CreateL2Connection(z)
		wantCode(t, "speed that the token does not allow", err, http.StatusBadRequest, "IC-LAYER2-402")

		a := order("from-token", 0)
		a.PortUUID, a.VlanSTag, a.ServiceToken = nil, nil, ecx.String(aSideToken)
		id = created(t, acme, a)
		wantWords(t, acme, id, "PENDING_APPROVAL/NOT_AVAILABLE")
		portal(t, x, "approve", id)
		settle()
		wantWords(t, acme, id, "PROVISIONED/AVAILABLE")
		if got := len(x.Inventory().Connections); got != 2 {
			t.Errorf("%d connections exist, want 2", got)
		}
	})
}
