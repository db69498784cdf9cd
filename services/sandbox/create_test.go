package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// pair is the first sample of the guide, as it is printed there.
func pair() object {
	return object{
		"primaryName": "JohnDoe_Dot1Q_To_Dot1Q", "profileUUID": dot1qProfile, "speed": 50, "speedUnit": "MB",
		"notifications": []string{"JohnDoe@equinix.com"}, "purchaseOrderNumber": "1234567890",
		"authorizationKey": "xxxxxxxx", "primaryPortUUID": "4f891d3b-973e-73e0-bae0-30ac1885197a",
		"primaryVlanSTag": "873", "secondaryName": "JohnDoe_Dot1Q_To_Dot1Q_2", "secondaryVlanSTag": "873",
		"secondaryPortUUID": "7g831d3b-9740-7420-bae0-30ac1885127a", "sellerMetroCode": "SV",
	}
}

// samples are the guide's four requests.
func samples() map[string]object {
	return map[string]object{
		"Dot1q to Dot1q": pair(),
		"Dot1q to QinQ": with(pair(), object{
			"primaryName": "JohnDoe_Dot1Q_To_QinQ", "profileUUID": toQinQProfile,
			"primaryPortUUID": "7f891d3b-973e-73e0-bae0-30ac1885197a", "primaryVlanSTag": "335",
			"secondaryName": "JohnDoe_Dot1Q_To_QinQ_2", "secondaryVlanSTag": "335",
			"secondaryPortUUID": "7f891d3b-9740-7400-bae0-30ac1885197a", "sellerRegion": "us-sv",
			"primaryZSideVlanCTag": "421", "secondaryZSideVlanCTag": "521"}),
		"QinQ to Dot1q": with(pair(), object{
			"primaryName": "JohnDoe_QinQ_To_Dot1Q", "profileUUID": fromQinQ,
			"primaryPortUUID": "6f891d3b-972d-73d0-bae3-30ac1995197a", "primaryVlanSTag": "771", "primaryVlanCTag": "117",
			"secondaryName": "JohnDoe_QinQ_To_Dot1Q2", "secondaryPortUUID": "7f892d5b-993f-73f0-bae0-32ad1889197a",
			"secondaryVlanSTag": "881", "secondaryVlanCTag": "118"}),
		"QinQ to QinQ": with(pair(), object{
			"primaryName": "JohnDoe_QinQ_To_QinQ", "profileUUID": qinqProfile,
			"primaryPortUUID": "7f891d3b-96d3-6d30-bae0-30ac1885197a", "primaryVlanSTag": "499",
			"secondaryName": "JohnDoe_QinQ_To_QinQ2", "secondaryVlanSTag": "2456",
			"secondaryPortUUID": "7f21d3b-93d3-6d30-cae0-33ac2895297a", "sellerRegion": "us-sv", "sellerMetroCode": "SE"}),
	}
}

func TestSamples(t *testing.T) {
	for name, body := range samples() {
		t.Run(name, func(t *testing.T) {
			s := open(t, sandbox.Config{})
			r := s.post(s.acme, connections, body).want(http.StatusOK)
			if got, want := r.text("message"), "Connection Saved Successfully"; got != want {
				t.Errorf("message %q, want %q", got, want)
			}
			first, second := r.text("primaryConnectionId"), r.text("secondaryConnectionId")
			for _, id := range []string{first, second} {
				if got, want := s.state(id), "PENDING_APPROVAL/NOT_AVAILABLE"; got != want {
					t.Errorf("state %s, want %s", got, want)
				}
			}
			a, b := s.get(s.acme, connections+"/"+first), s.get(s.acme, connections+"/"+second)
			if a.text("redundancyGroup") != b.text("redundancyGroup") || a.text("redundantUUID") != second ||
				b.text("redundantUUID") != first || a.text("redundancyType") != "primary" ||
				b.text("redundancyType") != "secondary" {
				t.Errorf("legs are not tied to each other:\n%s\n%s", a.body, b.body)
			}
			again := s.post(s.acme, connections, body).want(http.StatusBadRequest).array()
			if len(again) != 2 || again[0]["errorCode"] != "IC-LAYER2-4091" ||
				again[0]["property"] != "primaryVlanSTag" || again[1]["property"] != "secondaryVlanSTag" {
				t.Errorf("a second order answered %v, want both VLANs in use", again)
			}
			if got := len(s.Inventory().Connections); got != 2 {
				t.Errorf("%d circuits, want 2: a refused pair makes none", got)
			}
		})
	}
}

func TestCreateRefused(t *testing.T) {
	const invalid = "IC-LAYER2-402"
	tests := []struct {
		name, reason string
		base, change object
		want         []string // code property, in any order
		more         string   // in some moreInfo
	}{
		{name: "nothing", reason: "all that is missing is said at once", base: object{},
			want: []string{invalid + " PrimaryName", invalid + " notifications", "IC-LAYER2-PORTS-001 primaryPortUUID",
				invalid + " profileUUID"}},
		{name: "long name", change: object{"primaryName": strings.Repeat("a", 25)}, want: []string{invalid + " PrimaryName"},
			more: "Size: Max 24 characters are allowed for Primary Connection Name"},
		{name: "odd name", change: object{"primaryName": "a.b"}, want: []string{invalid + " PrimaryName"},
			more: "Pattern: Only number,characters,'_' and space between words are allowed"},
		{name: "space around", change: object{"primaryName": " a"}, want: []string{invalid + " PrimaryName"}},
		{name: "name is a number", change: object{"primaryName": 7}, want: []string{invalid + " primaryName"}},
		{name: "no e-mail", change: object{"notifications": []string{}}, want: []string{invalid + " notifications"}},
		{name: "bad e-mail", change: object{"notifications": []string{"nobody"}}, want: []string{invalid + " notifications"}},
		{name: "e-mail as text", change: object{"notifications": "a@b.c"}, want: []string{invalid + " notifications"}},
		{name: "foreign port", change: object{"primaryPortUUID": globexPort}, want: []string{"IC-LAYER2-PORTS-001 primaryPortUUID"}},
		{name: "managed port", change: object{"primaryPortUUID": "aced1050-0000-4000-8000-000000000099"},
			want: []string{"IC-LAYER2-PORTS-001 primaryPortUUID"}},
		{name: "no profile", change: object{"profileUUID": "x"}, want: []string{invalid + " profileUUID"}},
		{name: "no VLAN", change: object{"primaryVlanSTag": nil}, want: []string{invalid + " primaryVlanSTag"}},
		{name: "VLAN 1", change: object{"primaryVlanSTag": 1}, want: []string{invalid + " primaryVlanSTag"},
			more: "Primary CTag/STag must be between 2 and 4092"},
		{name: "VLAN 4093", reason: "the documents disagree; we take the smaller bound",
			change: object{"primaryVlanSTag": 4093}, want: []string{invalid + " primaryVlanSTag"}},
		{name: "VLAN word", change: object{"primaryVlanSTag": "ten"}, want: []string{invalid + " primaryVlanSTag"}},
		{name: "C-tag on Dot1q", change: object{"primaryVlanCTag": 5}, want: []string{invalid + " primaryVlanCTag"}},
		{name: "Z C-tag to Dot1q", change: object{"primaryZSideVlanCTag": 5}, want: []string{invalid + " primaryZSideVlanCTag"}},
		{name: "no C-tag on QinQ", change: object{"primaryPortUUID": acmeQinQ}, want: []string{invalid + " primaryVlanCTag"}},
		{name: "no Z C-tag to QinQ", base: samples()["Dot1q to QinQ"], change: object{"primaryZSideVlanCTag": nil, "secondaryZSideVlanCTag": nil},
			want: []string{invalid + " primaryZSideVlanCTag"}},
		{name: "no speed", change: object{"speed": nil}, want: []string{invalid + " speed"}},
		{name: "odd speed", change: object{"speed": 51}, want: []string{invalid + " speed"}},
		{name: "negative speed", change: object{"speed": -50}, want: []string{invalid + " speed"}},
		{name: "odd unit", change: object{"speedUnit": "KB"}, want: []string{invalid + " speedUnit"}},
		{name: "odd metro", change: object{"sellerMetroCode": "XX"}, want: []string{invalid + " sellerMetroCode"}},
		{name: "no region", base: samples()["QinQ to QinQ"], change: object{"sellerRegion": nil}, want: []string{invalid + " sellerRegion"}},
		{name: "odd region", base: samples()["QinQ to QinQ"], change: object{"sellerRegion": "eu-fr"}, want: []string{invalid + " sellerRegion"}},
		{name: "no key", base: pair(), change: object{"authorizationKey": nil}, want: []string{"IC-LAYER2-AUTH-004 authorization_key"}},
		{name: "wrong key", base: pair(), change: object{"authorizationKey": "y"}, want: []string{"IC-LAYER2-AUTH-004 authorization_key"}},
		{name: "wrong second key", base: pair(), change: object{"secondaryAuthorizationKey": "y"},
			want: []string{"IC-LAYER2-AUTH-004 authorization_key"}},
		{name: "tag not offered", change: object{"namedTag": "Private"}, want: []string{invalid + " namedTag"}},
		{name: "no named tag", change: object{"profileUUID": peering, "authorizationKey": "xxxxxxxx"}, want: []string{invalid + " namedTag"}},
		{name: "Manual without Z C-tag", change: object{"profileUUID": peering, "authorizationKey": "xxxxxxxx", "namedTag": "MANUAL"},
			want: []string{invalid + " primaryZSideVlanCTag"}},
		{name: "speed is not the key's", change: object{"profileUUID": express, "authorizationKey": "express-200"},
			want: []string{invalid + " speed"}},
		{name: "long purchase order", change: object{"purchaseOrderNumber": strings.Repeat("1", 31)},
			want: []string{invalid + " purchaseOrderNumber"}},
		{name: "device", change: object{"virtualDeviceUUID": "d"}, want: []string{"IC-NFV-CON-06 virtualDeviceUUID"}},
		{name: "token", change: object{"primaryServiceToken": "t"}, want: []string{invalid + " primaryServiceToken"}},
		{name: "pair on one VLAN", reason: "port and tag are inherited", change: object{"secondaryName": "two"},
			want: []string{"IC-LAYER2-4091 secondaryVlanSTag"}},
		{name: "pair without name", base: pair(), change: object{"secondaryName": nil}, want: []string{invalid + " SecondaryName"}},
		{name: "pair to two profiles", base: pair(), change: object{"secondaryProfileUUID": openProfile},
			want: []string{invalid + " secondaryProfileUUID"}},
		{name: "second port foreign", base: pair(), change: object{"secondaryPortUUID": globexPort},
			want: []string{"IC-LAYER2-PORTS-001 secondaryPortUUID"}},
		{name: "own port without Z tag", change: object{"profileUUID": nil, "primaryZSidePortUUID": acmePort2},
			want: []string{invalid + " primaryZSideVlanSTag"}},
		{name: "own port is foreign", change: object{"profileUUID": nil, "primaryZSidePortUUID": globexPort, "primaryZSideVlanSTag": 5},
			want: []string{"IC-LAYER2-PORTS-001 primaryZSidePortUUID"}},
		{name: "to itself", change: object{"profileUUID": nil, "primaryZSidePortUUID": acmePort, "primaryZSideVlanSTag": 100},
			want: []string{"IC-LAYER2-4091 primaryZSideVlanSTag"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{})
			if tt.base == nil {
				tt.base = single()
			}
			got := s.post(s.acme, connections, with(tt.base, tt.change)).want(http.StatusBadRequest).array()
			text := fmt.Sprint(got)
			for _, w := range tt.want {
				code, property, _ := strings.Cut(w, " ")
				if !strings.Contains(text, "errorCode:"+code) || !strings.Contains(text, "property:"+property+"]") {
					t.Errorf("no %s in %s; %s", w, text, tt.reason)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d violations, want %d: %s; %s", len(got), len(tt.want), text, tt.reason)
			}
			if !strings.Contains(text, tt.more) {
				t.Errorf("no %q in %s", tt.more, text)
			}
			if n := len(s.Inventory().Connections); n != 0 {
				t.Errorf("%d circuits, want none after a refusal", n)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	s := open(t, sandbox.Config{})
	for _, body := range []string{"{{}", "[]", "7", `{"primaryName":`} {
		got := s.post(s.acme, connections, body).want(http.StatusBadRequest).array()
		if len(got) != 1 || got[0]["errorCode"] != "IC-LAYER2-402" {
			t.Errorf("%s: %v, want one IC-LAYER2-402", body, got)
		}
	}
}

func TestTooLarge(t *testing.T) {
	// In a bubble, since the server lingers for a while on a connection it gives up.
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		s.post(s.acme, connections, strings.Repeat(" ", 1<<20+1)).want(http.StatusRequestEntityTooLarge)
		time.Sleep(time.Second)
	})
}

func TestCreateTaken(t *testing.T) {
	peer := object{"profileUUID": peering, "authorizationKey": "xxxxxxxx"}
	tests := []struct {
		name   string
		change object
		want   object // fields of the circuit
	}{
		{"smallest VLAN", object{"primaryVlanSTag": 2}, object{"vlanSTag": 2.0}},
		{"largest VLAN as text", object{"primaryVlanSTag": "4092"}, object{"vlanSTag": 4092.0}},
		{"spaces in the name", object{"primaryName": "a b-c_d"}, object{"name": "a b-c_d"}},
		{"gigabits", object{"speed": 10, "speedUnit": "GB"}, object{"speed": 10.0, "billingTier": "Up to 10 GB"}},
		{"speed as text", object{"speed": "500"}, object{"speed": 500.0}},
		{"metro of the port", object{"sellerMetroCode": ""}, object{"sellerMetroCode": "SV", "remote": false}},
		{"remote", object{"sellerMetroCode": "DC"}, object{"sellerMetroCode": "DC", "remote": true}},
		{"QinQ", object{"primaryPortUUID": acmeQinQ, "primaryVlanCTag": 9}, object{"vlanCTag": 9.0, "asideEncapsulation": "qinq"}},
		{"private peering", with(peer, object{"namedTag": "PRIVATE"}), object{"namedTag": "Private", "zsideEncapsulation": "qinq"}},
		{"manual peering", with(peer, object{"namedTag": "Manual", "primaryZSideVlanCTag": "70"}),
			object{"namedTag": "Manual", "suggestedPrimaryZSideVlanCTag": 70.0}},
		{"speed of the key", object{"profileUUID": express, "authorizationKey": "express-1000", "speed": nil, "speedUnit": nil},
			object{"speed": 1.0, "speedUnit": "GB"}},
		{"additional information", object{"additionalInfo": []object{{"name": "ASN", "value": "64999"}}},
			object{"status": "PENDING_APPROVAL"}},
		{"integrated", object{"profileUUID": apiProfile, "authorizationKey": "xxxxxxxx"},
			object{"status": "PENDING_AUTO_APPROVAL", "providerStatus": "NOT_AVAILABLE"}},
		{"own profile", object{"profileUUID": ownProfile}, object{"status": "PROVISIONING", "self": true}},
		{"own port", object{"profileUUID": nil, "primaryZSidePortUUID": acmePort2, "primaryZSideVlanSTag": 31},
			object{"status": "PROVISIONING", "zSidePortUUID": acmePort2, "zSideVlanSTag": 31.0, "self": true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
			got := s.get(s.acme, connections+"/"+s.create(with(single(), tt.change))).object()
			for field, want := range tt.want {
				if got[field] != want {
					t.Errorf("%s is %v, want %v", field, got[field], want)
				}
			}
		})
	}
}

// TestInherited orders a pair whose second leg says only what differs.
func TestInherited(t *testing.T) {
	s := open(t, sandbox.Config{})
	body := with(pair(), object{"secondaryVlanSTag": nil, "secondarySpeed": 100, "secondarySpeedUnit": "MB",
		"secondarySellerMetroCode": "DC", "secondaryNotifications": []string{"b@example.com"}})
	id := s.post(s.acme, connections, body).want(http.StatusOK).text("secondaryConnectionId")
	got := s.get(s.acme, connections+"/"+id).object()
	wants := object{"vlanSTag": 873.0, "speed": 100.0, "sellerMetroCode": "DC",
		"sellerServiceUUID": dot1qProfile, "purchaseOrderNumber": "1234567890"}
	for field, want := range wants {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
}

func TestOneVLANOneCircuit(t *testing.T) {
	s := open(t, sandbox.Config{})
	var wg sync.WaitGroup
	statuses := make(chan int, 50)
	for range 50 {
		wg.Go(func() {
			r, err := s.try(t.Context(), ask{s.acme, http.MethodPost, connections, single()})
			if err != nil {
				t.Error(err)
				return
			}
			statuses <- r.status
		})
	}
	wg.Wait()
	close(statuses)
	taken := 0
	for status := range statuses {
		if status == http.StatusOK {
			taken++
		}
	}
	if taken != 1 || len(s.Inventory().Connections) != 1 {
		t.Errorf("%d of 50 creates taken, %d circuits, want one", taken, len(s.Inventory().Connections))
	}
	if c := s.Calls(); c.Total != 50 || c.Created != 1 {
		t.Errorf("calls say %d in all and %d that created, want 50 and 1", c.Total, c.Created)
	}
}

func TestPairsOfTags(t *testing.T) {
	s := open(t, sandbox.Config{})
	body := func(s, c int) object {
		return with(single(), object{"primaryPortUUID": acmeQinQ, "primaryVlanSTag": s, "primaryVlanCTag": c})
	}
	whole := func(s int) object {
		return with(single(), object{"primaryPortUUID": acmeQinQ, "primaryVlanSTag": s, "profileUUID": qinqProfile,
			"authorizationKey": "xxxxxxxx", "sellerRegion": "us-sv"})
	}
	for i, step := range []struct {
		body   object
		status int
		why    string
	}{
		{body(10, 20), http.StatusOK, "free"},
		{body(10, 21), http.StatusOK, "another C-tag under the same S-tag"},
		{body(10, 20), http.StatusBadRequest, "the pair is taken"},
		{whole(10), http.StatusBadRequest, "the S-tag is taken by pairs"},
		{whole(11), http.StatusOK, "free"},
		{body(11, 20), http.StatusBadRequest, "the S-tag is taken whole"},
	} {
		if r := s.post(s.acme, connections, step.body); r.status != step.status {
			t.Errorf("step %d: status %d, want %d: %s", i, r.status, step.status, step.why)
		}
	}
}

func TestKeyUsedOnce(t *testing.T) {
	s := open(t, sandbox.Config{})
	body := with(single(), object{"profileUUID": express, "authorizationKey": "express-50", "speed": nil, "speedUnit": nil})
	id := s.create(body)
	second := with(body, object{"primaryVlanSTag": 101})
	got := s.post(s.acme, connections, second).want(http.StatusBadRequest).array()
	if got[0]["errorCode"] != "IC-LAYER2-AUTH-006" {
		t.Errorf("%v, want IC-LAYER2-AUTH-006: the key is in use", got)
	}
	s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
	s.post(s.acme, connections, second).want(http.StatusOK)
}
