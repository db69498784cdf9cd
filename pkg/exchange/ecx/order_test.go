package ecx_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

const create2xx = `{"message":"Connection Saved Successfully","primaryConnectionId":"` + circuitA +
	`","secondaryConnectionId":"` + circuitB + `"}`

var bothLegs = []string{exchange.Primary, exchange.Secondary}

// TestPlaceSendsTheGuidesBodies compares the four samples of the guide field by field:
// tags as numbers where the guide has texts, and the secondary's key beside them.
func TestPlaceSendsTheGuidesBodies(t *testing.T) {
	samples, err := filepath.Glob("testdata/sample-*.json")
	if err != nil || len(samples) != 4 {
		t.Fatalf("found %d samples, %v; want the guide's 4", len(samples), err)
	}
	for _, path := range samples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var sample struct {
				Intent json.RawMessage
				Body   map[string]any
			}
			if err := json.Unmarshal(text, &sample); err != nil {
				t.Fatal(err)
			}
			f := newFake(t)
			f.on("POST /ecx/v3/l2/connections", answer(200, create2xx))
			c := client(t, f.URL, nil)
			in := create(t, string(sample.Intent))
			out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: bothLegs})
			want := map[string]string{exchange.Primary: circuitA, exchange.Secondary: circuitB}
			if out.Class != exchange.Done || !maps.Equal(out.IDs, want) {
				t.Errorf("Place = %+v, want done with both ids", out)
			}
			if calls := f.calls(); len(calls) != 1 {
				t.Fatalf("%d requests, want the one that a pair is", len(calls))
			}
			got := fields(t, f.calls()[0].body)
			for name := range maps.Keys(sample.Body) {
				if !reflect.DeepEqual(got[name], sample.Body[name]) {
					t.Errorf("%s = %v, want %v", name, got[name], sample.Body[name])
				}
			}
			for name, value := range got {
				if _, ok := sample.Body[name]; !ok {
					t.Errorf("%s = %v is sent, and the guide does not have it", name, value)
				}
			}
		})
	}
}

func TestPlaceBodies(t *testing.T) {
	tests := []struct {
		name, reason string
		change       func(*patchbayv1.CreateIntent)
		legs         []string
		want         map[string]any // nil: not sent
	}{
		{"no metro", "the guide: empty means the port's", func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.Metro = "" },
			bothLegs, map[string]any{"sellerMetroCode": "", "secondarySellerMetroCode": nil}},
		{"inherited key", "some clouds fail without", nil, bothLegs,
			map[string]any{"authorizationKey": canary, "secondaryAuthorizationKey": canary}},
		{"own key", "", func(in *patchbayv1.CreateIntent) {
			in.Secondary.ZSide = &patchbayv1.Endpoint{AuthorizationKey: "other", Metro: "DC", Region: "us-dc"}
		}, bothLegs, map[string]any{"secondaryAuthorizationKey": "other", "secondarySellerMetroCode": "DC",
			"secondarySellerRegion": "us-dc", "sellerMetroCode": "SV"}},
		{"gigabits", "multiples of 1000 go as GB", func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = proto.Int32(2000) },
			bothLegs, map[string]any{"speed": 2.0, "speedUnit": "GB"}},
		{"odd megabits", "", func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = proto.Int32(1500) },
			bothLegs, map[string]any{"speed": 1500.0, "speedUnit": "MB"}},
		{"no bandwidth", "the profile takes it from the key", func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = nil },
			bothLegs, map[string]any{"speed": nil, "speedUnit": nil}},
		{"peering", "written as the exchange does", func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide.Peering, in.Primary.ZSide.CTag = "MANUAL", proto.Int32(7)
		}, bothLegs, map[string]any{"namedTag": "Manual", "primaryZSideVlanCTag": 7.0, "secondaryZSideVlanCTag": 7.0}},
		{"own port", "", func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide = &patchbayv1.Endpoint{PortId: "p", Tag: &patchbayv1.Tag{STag: proto.Int32(5), CTag: proto.Int32(6)}}
		}, []string{exchange.Primary}, map[string]any{"primaryZSidePortUUID": "p", "primaryZSideVlanSTag": 5.0,
			"primaryZSideVlanCTag": 6.0, "profileUUID": nil, "sellerMetroCode": nil, "secondaryName": nil}},
		{"secondary alone", "it is the request's primary then", nil, []string{exchange.Secondary},
			map[string]any{"primaryName": "two", "primaryPortUUID": portB, "primaryVlanSTag": 881.0, "secondaryName": nil,
				"authorizationKey": canary, "secondaryAuthorizationKey": nil}},
		{"both", "a leg's word for two", nil, []string{exchange.Both}, map[string]any{"secondaryName": "two"}},
		{"addresses", "each once", func(in *patchbayv1.CreateIntent) {
			in.Notifications = append(in.Notifications, &patchbayv1.Notification{Type: "TECHNICAL", Emails: []string{"b@x.com", "a@example.com"}})
		}, bothLegs, map[string]any{"notifications": []any{"a@example.com", "b@x.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("POST /ecx/v3/l2/connections", answer(200, create2xx))
			in := pair(t)
			if tt.change != nil {
				tt.change(in)
			}
			_ = client(t, f.URL, nil).Place(t.Context(), exchange.Placement{Intent: in, Legs: tt.legs})
			got := fields(t, f.calls()[0].body)
			for name, want := range tt.want {
				if !reflect.DeepEqual(got[name], want) {
					t.Errorf("%s = %v, want %v: %s", name, got[name], want, tt.reason)
				}
			}
		})
	}
}

func TestKeys(t *testing.T) {
	c := client(t, "http://localhost", nil)
	in := pair(t)
	in.Secondary.ASide.Tag = &patchbayv1.Tag{Vlan: proto.Int32(9)}
	want := map[string]string{exchange.Primary: portA + "/771.117/one", exchange.Secondary: portB + "/9.0/two"}
	if got := c.Keys(in); !maps.Equal(got, want) {
		t.Errorf("Keys = %v, want %v", got, want)
	}
	shown := &patchbayv1.Connection{Name: "two", ASide: &patchbayv1.Side{PortId: portB, Tag: &patchbayv1.Tag{Vlan: proto.Int32(9)}}}
	if got := c.KeyOf(shown); got != want[exchange.Secondary] {
		t.Errorf("KeyOf = %q, want %q: a lost circuit would not be found", got, want[exchange.Secondary])
	}
	shown.ASide.Tag = nil
	if got := c.KeyOf(shown); got != "" {
		t.Errorf("KeyOf without a tag = %q, want nothing", got)
	}
	if !c.Together() {
		t.Error("Together = false; a pair is one POST")
	}
}

// TestClasses says of every kind of answer what it means for each call.
func TestClasses(t *testing.T) {
	const busy = `{"errorCode":"IC-1","errorMessage":"slow down"}`
	type call = func(context.Context, exchange.Client) exchange.Outcome
	place := func(ctx context.Context, c exchange.Client) exchange.Outcome {
		return c.Place(ctx, exchange.Placement{Intent: pair(t), Legs: bothLegs})
	}
	remove := func(ctx context.Context, c exchange.Client) exchange.Outcome { return c.Remove(ctx, circuitA) }
	alter := func(ctx context.Context, c exchange.Client) exchange.Outcome {
		return c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{Name: "new"})
	}
	accept := func(ctx context.Context, c exchange.Client) exchange.Outcome {
		return c.Accept(ctx, exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create, PortID: "p",
			Tag: &patchbayv1.Tag{Vlan: proto.Int32(5)}})
	}
	taken := `[{"errorCode":"IC-LAYER2-4091","errorMessage":"VLAN is already in use on the port","property":"secondaryVlanSTag"}]`
	tests := []struct {
		name   string
		call   call
		status int
		body   string
		want   exchange.Outcome // Answer and IDs are looked at elsewhere
	}{
		{"created", place, 200, create2xx, exchange.Outcome{Class: exchange.Done}},
		{"201", place, 201, create2xx, exchange.Outcome{Class: exchange.Done}},
		{"one id of two", place, 200, `{"primaryConnectionId":"` + circuitA + `"}`, exchange.Outcome{Class: exchange.Partial}},
		{"the other id", place, 200, `{"secondaryConnectionId":"` + circuitA + `"}`, exchange.Outcome{Class: exchange.Partial}},
		{"one id twice", place, 200, `{"primaryConnectionId":"x1","secondaryConnectionId":"x1"}`, exchange.Outcome{Class: exchange.Partial}},
		{"no id", place, 200, `{"message":"Connection Saved Successfully"}`, exchange.Outcome{Class: exchange.Unknown}},
		{"id that is none", place, 200, `{"primaryConnectionId":"<b>"}`, exchange.Outcome{Class: exchange.Unknown}},
		{"garbage", place, 200, `<html>`, exchange.Outcome{Class: exchange.Unknown}},
		{"half", place, 200, create2xx[:60], exchange.Outcome{Class: exchange.Unknown}},
		{"redirect", place, 307, ``, exchange.Outcome{Class: exchange.Unknown}},
		{"see other", place, 302, ``, exchange.Outcome{Class: exchange.Unknown}},
		{"408", place, 408, busy, exchange.Outcome{Class: exchange.Unknown}},
		{"409", place, 409, busy, exchange.Outcome{Class: exchange.Unknown}},
		{"425", place, 425, busy, exchange.Outcome{Class: exchange.Unknown}},
		{"499", place, 499, busy, exchange.Outcome{Class: exchange.Unknown}},
		{"500", place, 500, busy, exchange.Outcome{Class: exchange.Unknown}},
		{"502", place, 502, `bad gateway`, exchange.Outcome{Class: exchange.Unknown}},
		{"503", place, 503, ``, exchange.Outcome{Class: exchange.Unknown}},
		{"foreign 403", place, 403, `<html>blocked</html>`, exchange.Outcome{Class: exchange.Unknown}},
		{"foreign JSON", place, 400, `{"error":"bad"}`, exchange.Outcome{Class: exchange.Unknown}},
		{"empty list", place, 400, `[]`, exchange.Outcome{Class: exchange.Unknown}},
		{"401", place, 401, `{"errorCode":"S1015","errorMessage":"bad"}`, exchange.Outcome{Class: exchange.NotSent}},
		{"429", place, 429, busy, exchange.Outcome{Class: exchange.Busy, After: 10 * time.Second}},
		{"429 of a proxy", place, 429, `<html>`, exchange.Outcome{Class: exchange.Busy, After: 10 * time.Second}},
		{"refused", place, 400,
			`[{"errorCode":"IC-LAYER2-402","errorMessage":"Invalid Request","moreInfo":"Size: Max 24","property":"PrimaryName"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "IC-LAYER2-402", Message: "Invalid Request: Size: Max 24",
				Property: "PrimaryName", Leg: exchange.Primary}},
		{"refused, an object", place, 403, `{"errorCode":"IC-USR-403-DELETE","errorMessage":"no"}`,
			exchange.Outcome{Class: exchange.Refused, Code: "IC-USR-403-DELETE", Message: "no"}},
		{"refused, key in the words", place, 400, `[{"errorCode":"X","errorMessage":"key ` + canary + ` is bad"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "X", Message: "key *** is bad"}},
		{"taken", place, 400, taken, exchange.Outcome{Class: exchange.Taken, Code: "IC-LAYER2-4091",
			Message: "VLAN is already in use on the port", Property: "secondaryVlanSTag", Leg: exchange.Secondary}},
		{"taken by other words", place, 400, `[{"errorCode":"X","errorMessage":"Duplicate tag","property":"primaryVlanSTag"}]`,
			exchange.Outcome{Class: exchange.Taken, Code: "X", Message: "Duplicate tag", Property: "primaryVlanSTag", Leg: exchange.Primary}},
		{"key used", place, 400, `[{"errorCode":"IC-LAYER2-AUTH-006","errorMessage":"in use"}]`,
			exchange.Outcome{Class: exchange.Taken, Code: "IC-LAYER2-AUTH-006", Message: "in use"}},
		{"out of range is not taken", place, 400,
			`[{"errorCode":"IC-LAYER2-402","errorMessage":"Secondary CTag/STag must be between 2 and 4094","property":"secondaryVlanSTag"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "IC-LAYER2-402", Message: "Secondary CTag/STag must be between 2 and 4094",
				Property: "secondaryVlanSTag", Leg: exchange.Secondary}},
		{"taken and more", place, 400, `[{"errorCode":"A","errorMessage":"VLAN in use","property":"primaryVlanSTag"},{"errorCode":"B","errorMessage":"no"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "B", Message: "VLAN in use; no"}},
		{"removed", remove, 200, `{"message":"deleted","primaryConnectionId":"` + circuitA + `"}`, exchange.Outcome{Class: exchange.Done}},
		{"removed, only words", remove, 200, `{"message":"ok"}`, exchange.Outcome{Class: exchange.Done}},
		{"removed another", remove, 200, `{"primaryConnectionId":"` + circuitB + `"}`, exchange.Outcome{Class: exchange.Unknown}},
		{"removed, garbage", remove, 200, `ok`, exchange.Outcome{Class: exchange.Unknown}},
		{"removed before", remove, 400, `[{"errorCode":"IC-LAYER2-4021","errorMessage":"deleted"}]`,
			exchange.Outcome{Class: exchange.Over, Code: "IC-LAYER2-4021", Message: "deleted"}},
		{"never there", remove, 400, `[{"errorCode":"IC-LAYER2-4023","errorMessage":"none","property":"uuid"}]`,
			exchange.Outcome{Class: exchange.Over, Code: "IC-LAYER2-4023", Message: "none", Property: "uuid"}},
		{"in motion", remove, 400, `[{"errorCode":"X","errorMessage":"Connection is in transient state, please try again later"}]`,
			exchange.Outcome{Class: exchange.Moving, Code: "X", Message: "Connection is in transient state, please try again later"}},
		{"altered", alter, 200, `{"message":"submitted","status":"submitted"}`, exchange.Outcome{Class: exchange.Done}},
		{"alter what ended", alter, 400, `[{"errorCode":"IC-LAYER2-4021","errorMessage":"deleted"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "IC-LAYER2-4021", Message: "deleted"}},
		{"accepted", accept, 200, `{"message":"Successfully Approved"}`, exchange.Outcome{Class: exchange.Done}},
		{"accepted before", accept, 400, `[{"errorCode":"IC-LAYER2-4093","errorMessage":"Connection is not pending for approval"}]`,
			exchange.Outcome{Class: exchange.Refused, Code: "IC-LAYER2-4093", Message: "Connection is not pending for approval"}},
		{"landing taken", accept, 400, taken, exchange.Outcome{Class: exchange.Taken, Code: "IC-LAYER2-4091",
			Message: "VLAN is already in use on the port", Property: "secondaryVlanSTag", Leg: exchange.Secondary}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("/ecx/v3/", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", f.URL+"/ecx/v3/elsewhere")
				answer(tt.status, tt.body)(w, r)
			})
			got := tt.call(t.Context(), client(t, f.URL, nil))
			want := 1
			if tt.status == http.StatusUnauthorized {
				want = 2 // it did nothing, so it is asked once more under a new token
			}
			if n := len(f.calls()); n != want {
				t.Errorf("%d requests, want %d: nothing may be sent again", n, want)
			}
			if got.Answer == "" {
				t.Error("no Answer; an operator wants to know what came back")
			}
			got.Answer, got.IDs = "", nil
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("outcome of %d %s\n got %+v\nwant %+v", tt.status, tt.body, got, tt.want)
			}
		})
	}
}

func TestNotSentForNothing(t *testing.T) {
	f := newFake(t)
	c := client(t, f.URL, nil)
	ctx := t.Context()
	months := int32(12)
	for name, out := range map[string]exchange.Outcome{
		"tag":        c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{Tag: &patchbayv1.Tag{}}),
		"term":       c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{TermMonths: &months}),
		"mail":       c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{Notifications: []*patchbayv1.Notification{{}}}),
		"nothing":    c.Alter(ctx, circuitA, nil),
		"no id":      c.Remove(ctx, "a/../b"),
		"no landing": c.Accept(ctx, exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create}),
		"no kind":    c.Accept(ctx, exchange.Acceptance{ExchangeID: circuitA}),
		"no leg":     c.Place(ctx, exchange.Placement{Intent: pair(t)}),
	} {
		if out.Class != exchange.Refused || out.Message == "" {
			t.Errorf("%s: %+v, want a refusal of our own with words", name, out)
		}
	}
	if n := len(f.calls()) + len(f.logins()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestCommandsSend(t *testing.T) {
	f := newFake(t)
	f.on("/ecx/v3/", answer(200, `{"message":"ok"}`))
	c := client(t, f.URL, nil)
	ctx := t.Context()
	tag := &patchbayv1.Tag{STag: proto.Int32(555), CTag: proto.Int32(6)}
	const path = "/ecx/v3/l2/connections/" + circuitA
	var want []string
	for _, tt := range []struct {
		name      string
		out       exchange.Outcome
		uri, body string
	}{
		{"rename", c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{Name: "new"}), path + "?action=update", `{"connectionNewName":"new"}`},
		{"speed", c.Alter(ctx, circuitA, &patchbayv1.ChangeSet{BandwidthMbps: proto.Int32(1000)}), path + "?action=update", `{"speed":1,"speedUnit":"GB"}`},
		{"remove", c.Remove(ctx, circuitA), path, ``},
		{"accept", c.Accept(ctx, exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Create, PortID: portA, Tag: tag}),
			path + "?action=Approve", `{"primaryPortUUID":"` + portA + `","primaryVlanSTag":555,"primaryVlanCTag":6}`},
		{"consent", c.Accept(ctx, exchange.Acceptance{ExchangeID: circuitA, Kind: exchange.Delete, PortID: portA, Tag: tag}),
			path + "?action=Approve", `{}`},
		{"reject", c.Reject(ctx, circuitA, exchange.Create, "no room"), path + "?action=Reject", `{"rejectComment":"no room"}`},
	} {
		if tt.out.Class != exchange.Done {
			t.Errorf("%s: %+v, want done", tt.name, tt.out)
		}
		want = append(want, tt.uri+" "+tt.body)
	}
	for i, call := range f.calls() {
		if got := call.uri + " " + string(call.body); got != want[i] {
			t.Errorf("request %d: got %s, want %s", i, got, want[i])
		}
	}
}

// Many who look at one time read the list twice at most: once for who came first, and once
// for all who came while that was read.
func TestFindTogether(t *testing.T) {
	f := newFake(t)
	release, begun := make(chan struct{}), make(chan struct{}, 100)
	f.on("GET /ecx/v3/l2/buyer/connections", func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release
		answer(200, `{"isLastPage":true,"totalCount":0,"content":[]}`)(w, r)
	})
	c := client(t, f.URL, nil)
	p := exchange.Placement{Intent: single(t), Legs: bothLegs}
	const lookers = 20
	done := make(chan error, lookers)
	look := func() {
		_, err := c.Find(t.Context(), p)
		done <- err
	}
	go look()
	<-begun
	for range lookers - 1 {
		go look()
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) }) // later ones would read once more
	for range lookers {
		if err := <-done; err != nil {
			t.Errorf("Find: %v", err)
		}
	}
	if n := len(f.calls()); n < 2 || n > 3 {
		t.Errorf("%d lists were read, want 2: who asks while one is read gets one that begins later", n)
	}
}

func TestFind(t *testing.T) {
	f := newFake(t)
	row := func(id, name, port, stag, status string) string {
		return `{"uuid":"` + id + `","name":"` + name + `","portUUID":"` + port + `","vlanSTag":` + stag +
			`,"vlanCTag":117,"asideEncapsulation":"qinq","status":"` + status + `","authorizationKey":"` + canary + `"}`
	}
	body := `{"isLastPage":true,"totalCount":5,"content":[` + row("a1", "one", portA, "771", "PROVISIONED") + "," +
		row("a2", "one", portA, "771", "DEPROVISIONED") + "," + row("a3", "other", portA, "771", "PROVISIONED") + "," +
		row("a4", "one", portA, "0", "PROVISIONING") + "," + row("a5", "one", portA, "0", "DELETED") + `]}`
	f.on("GET /ecx/v3/l2/buyer/connections", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		answer(200, body)(w, r)
	})
	f.on("GET /ecx/v3/l2/connections/a4", answer(200, row("a4", "one", portA, "771", "PROVISIONING")))
	c := client(t, f.URL, nil)
	p := exchange.Placement{Intent: single(t), Legs: []string{exchange.Primary}}
	found, err := c.Find(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, conn := range found.Circuits[exchange.Primary] {
		ids = append(ids, conn.GetExchangeId())
		if text := protojson.Format(conn); len(text) == 0 {
			t.Error("a circuit without text")
		}
	}
	if want := []string{"a1", "a2", "a4"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("found %v, want %v: all that bear the key, ended ones too, hidden tags looked up", ids, want)
	}
	if found.Ahead < 59*time.Minute || found.Ahead > 61*time.Minute {
		t.Errorf("the exchange's clock is %v ahead, want an hour", found.Ahead)
	}
}

func TestFindConcludesNothingFromHalfALook(t *testing.T) {
	hidden := `{"uuid":"a4","name":"one","portUUID":"` + portA + `","status":"PROVISIONING"}`
	tests := []struct{ name, list, one string }{
		{"error", `[{"errorCode":"X"}]`, ``},
		{"garbage", `<html>`, ``},
		{"not a page", `{}`, ``},
		{"a row without id", `{"isLastPage":true,"content":[{}]}`, ``},
		{"a tag that stays hidden", `{"isLastPage":true,"content":[` + hidden + `]}`, hidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("GET /ecx/v3/l2/buyer/connections", answer(200, tt.list))
			f.on("GET /ecx/v3/l2/connections/a4", answer(200, tt.one))
			found, err := client(t, f.URL, nil).Find(t.Context(), exchange.Placement{Intent: single(t), Legs: bothLegs})
			if err == nil {
				t.Errorf("Find = %+v without error; somebody would order again", found)
			}
		})
	}
}
