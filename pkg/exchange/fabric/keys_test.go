package fabric_test

import (
	"encoding/json"
	"testing"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

// fields decodes a JSON object.
func fields(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("body %q: %v", b, err)
	}
	return m
}

// text writes a JSON value.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKeys holds the key of each kind of order against that of the circuit it makes, as
// the exchange shows it.
func TestKeys(t *testing.T) {
	side := func(port, link, token string) string {
		s := `{"accessPoint":{"port":{"uuid":"` + port + `"}`
		if link != "" {
			s += `,"linkProtocol":` + link
		}
		s += `}`
		if token != "" {
			s += `,"serviceToken":{"uuid":"` + token + `"}`
		}
		return s + `}`
	}
	const dot, qc = `{"type":"DOT1Q","vlanTag":"1001"}`, `{"type":"QINQ","vlanSTag":100,"vlanCTag":7}`
	tests := []struct{ name, a, z, kind, showA, showZ, want string }{
		{"profile", onDot, toSP, "EVPL_VC", side(portDot, dot, ""), `{"accessPoint":{"profile":{"uuid":"` + profileA + `"}}}`,
			portDot + "/1001.0/one"},
		{"own port", onQC, onDot2, "EVPL_VC", side(portQ, qc, ""), side(portDot2, dot, ""), portQ + "/100.7/one"},
		{"untagged", onU, onU2, "EPL_VC", side(portU, "", ""), side(portU2, "", ""), portU + "/untagged/one"},
		{"Z token", onDot, byTokZ, "EVPL_VC", side(portDot, dot, ""), side(portQ2, qc, tokenZ), portDot + "/1001.0/one"},
		{"Z token unresolved", onDot, byTokZ, "EVPL_VC", side(portDot, dot, ""), `{"serviceToken":{"uuid":"x"}}`, portDot + "/1001.0/one"},
		{"A token", byTokA, onQC, "EVPL_VC", side(portDot2, dot, tokenA), side(portQ, qc, ""), "z:" + portQ + "/100.7/one"},
		{"A token untagged", byTokA, onU2, "EPL_VC", side(portU, "", tokenA), side(portU2, `{"type":"UNTAGGED"}`, ""), "z:" + portU2 + "/untagged/one"},
		{"A token to profile", byTokA, toSP, "EVPL_VC", side(portDot2, dot, tokenA), `{"accessPoint":{"profile":{"uuid":"` + profileA + `"}}}`,
			"z:" + profileA + "/one"},
		{"token to token", byTokA, byTokZ, "EVPL_VC", side(portDot2, dot, tokenA), side(portQ, qc, tokenZ), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("GET /fabric/v4/connections/{id}", answer(200, `{"type":"`+tt.kind+`","uuid":"`+circuitA+`","name":"one","aSide":`+
				tt.showA+`,"zSide":`+tt.showZ+`}`))
			c := client(t, f)
			if got := c.Keys(order(t, tt.a, tt.z))[exchange.Primary]; got != tt.want {
				t.Errorf("Keys = %q, want %q", got, tt.want)
			}
			conn, err := c.Get(t.Context(), circuitA)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.KeyOf(conn); got != tt.want {
				t.Errorf("KeyOf = %q, want that of its order, %q", got, tt.want)
			}
		})
	}
	c := client(t, newFake(t))
	for name, conn := range map[string]*patchbayv1.Connection{
		"no name": {ASide: &patchbayv1.Side{PortId: portU, Tag: &patchbayv1.Tag{Untagged: true}}},
		"no port": {Name: "one"},
		"no tag":  {Name: "one", ASide: &patchbayv1.Side{PortId: portU}},
	} {
		if got := c.KeyOf(conn); got != "" {
			t.Errorf("KeyOf a circuit with %s = %q, want none", name, got)
		}
	}
}
