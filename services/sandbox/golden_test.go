package sandbox_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden compares whole answers with testdata, by value. Ids and times are fixed
// by a seed and by the bubble's clock.
func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		golden := func(name string, r *reply, status int) *reply {
			t.Helper()
			r.want(status)
			compare(t, filepath.Join("testdata", name+".json"), r.body)
			return r
		}
		golden("create_pair", s.post(s.acme, connections, pair()), http.StatusOK)
		order := samples()["Dot1q to QinQ"]
		r := s.post(s.acme, connections, order).want(http.StatusOK)
		first, second := r.text("primaryConnectionId"), r.text("secondaryConnectionId")
		golden("get_pending", s.get(s.acme, connections+"/"+first), http.StatusOK)
		golden("refused_duplicate", s.post(s.acme, connections, order), http.StatusBadRequest)
		golden("refused_name", s.post(s.acme, connections, with(single(), object{
			"primaryName": strings.Repeat("x", 25)})), http.StatusBadRequest)
		golden("refused_unknown", s.get(s.acme, connections+"/"+acmePort), http.StatusBadRequest)
		golden("refused_bearer", s.get("nonsense", connections+"/"+first), http.StatusUnauthorized)
		golden("approve", s.patch(s.cloud, first, "Approve", object{
			"primaryPortUUID": cloudQinQ, "primaryVlanSTag": "555"}), http.StatusOK)
		golden("reject", s.patch(s.cloud, second, "Reject", object{"rejectComment": "no room"}), http.StatusOK)
		time.Sleep(2 * time.Second)
		golden("update", s.patch(s.acme, first, "update", object{"connectionNewName": "new"}), http.StatusOK)
		golden("get_provisioned", s.get(s.acme, connections+"/"+first), http.StatusOK)
		golden("delete", s.do(s.acme, http.MethodDelete, connections+"/"+first, nil), http.StatusOK)
		golden("list_seller", s.get(s.cloud, "/ecx/v3/l2/seller/connections?pageSize=2"), http.StatusOK)
		golden("validate_key", s.get(s.acme, connections+"/validateAuthorizationKey?authorizationKey=xxxxxxxx&metroCode=SV&region=us-sv&profileId="+
			toQinQProfile), http.StatusOK)
		golden("profile", s.get(s.acme, "/ecx/v3/l2/serviceprofiles/services/"+toQinQProfile), http.StatusOK)
		var ports []json.RawMessage
		if err := json.Unmarshal(s.get(s.acme, "/ecx/v3/port/userport").body, &ports); err != nil {
			t.Fatal(err)
		}
		compare(t, filepath.Join("testdata", "port.json"), ports[0])
	})
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimSpace(got), "", "  "); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s: got %s\nwant %s", file, got, text)
	}
}

// The fields of a connection as the exchange's own clients know them.
const connectionFields = `uuid name buyerOrganizationName accountName
	portUUID portName virtualDeviceUUID virtualDeviceName vlanSTag vlanCTag asideEncapsulation asidePortPriority
	metroCode metroDescription
	zSidePortUUID zSidePortName zSideVlanSTag zSideVlanCTag zsideEncapsulation zsidePortPriority
	suggestedPrimaryZSideVlanCTag suggestedSecondaryZSideVlanCTag
	sellerServiceUUID sellerServiceName sellerOrganizationName sellerMetroCode sellerMetroDescription sellerRegion
	internalServiceProfile
	status providerStatus updateInProgress connectionEditable sellerApprovedBandwidth
	sellerApprovalPendingForBandwidth rejectComment notifications
	speed speedUnit billingTier purchaseOrderNumber redundancyType redundancyGroup redundantUUID
	authorizationKey namedTag vendorToken additionalInfo remote private self
	createdDate createdBy createdByFullName createdByEmail
	lastUpdatedDate lastUpdatedBy lastUpdatedByFullName lastUpdatedByEmail deletedBy deletedDate deletedByEmail
	actionDetails`

// leanConnection is a connection as the real exchange has shown one.
const leanConnection = `{"uuid":"1902767c-2e77-41de-a7cb-bc9db91651a2","name":"tf-azure-dot1q-mic-sec","vlanSTag":140,
 "portUUID":"a867f685-41bc-1bc7-6de0-320a5c00abdd","asideEncapsulation":"dot1q","zsideEncapsulation":"qinq",
 "metroCode":"DC","providerStatus":"NOT_AVAILABLE","status":"PROVISIONING","billingTier":"Up to 50 MB","speed":50,
 "speedUnit":"MB","redundancyType":"secondary","redundancyGroup":"467eb280-52a0-405a-8fd3-eed91fc70ff6",
 "sellerMetroCode":"SV","sellerServiceUUID":"e685b732-3501-4d4b-b280-0e0049e6f987","namedTag":"Microsoft",
 "createdDate":"2020-09-25T12:30:25.392Z","remote":true,"private":false,"self":false}`

// TestSpelling checks the connection's fields against the real ones: ours are among
// them, and those of a real answer are there with the same type and, where the
// circuits are alike, the same value.
func TestSpelling(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
	order := with(samples()["Dot1q to QinQ"], object{
		"profileUUID": peering, "namedTag": "MICROSOFT", "sellerMetroCode": "DC", "sellerRegion": nil,
		"primaryZSideVlanCTag": nil, "secondaryZSideVlanCTag": nil, "primaryVlanSTag": "140", "secondaryVlanSTag": "140"})
	id := s.post(s.acme, connections, order).want(http.StatusOK).text("secondaryConnectionId")
	s.patch(s.cloud, id, "Approve", object{"primaryPortUUID": "c10990d0-0000-4000-8000-000000000001",
		"primaryVlanSTag": 2}).want(http.StatusOK)
	got := s.get(s.acme, connections+"/"+id).want(http.StatusOK).object()
	known := strings.Fields(connectionFields)
	for field := range got {
		if !slices.Contains(known, field) {
			t.Errorf("the exchange has no field %s", field)
		}
	}
	var lean object
	if err := json.Unmarshal([]byte(leanConnection), &lean); err != nil {
		t.Fatal(err)
	}
	alike := strings.Fields("vlanSTag asideEncapsulation zsideEncapsulation providerStatus status billingTier speed " +
		"speedUnit redundancyType namedTag remote private self")
	for field, want := range lean {
		if reflect.TypeOf(got[field]) != reflect.TypeOf(want) {
			t.Errorf("%s is %#v, want something like %#v", field, got[field], want)
		}
		if slices.Contains(alike, field) && got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	made, _ := got["createdDate"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", made); err != nil {
		t.Errorf("createdDate: %v", err)
	}
}
