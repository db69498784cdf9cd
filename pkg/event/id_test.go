package event_test

import (
	"testing"

	"patchbay.io/pkg/event"
)

func TestCanonicalID(t *testing.T) {
	const uuid = "1902767c-2e77-41de-a7cb-bc9db91651a2"
	for id, want := range map[string]string{
		uuid:                                   uuid,
		"1902767C-2e77-41DE-a7cb-bc9db91651a2": uuid,
		"1902767C2E7741DEA7CBBC9DB91651A2":     "1902767C2E7741DEA7CBBC9DB91651A2", // no exchange writes it so
		"{" + uuid + "}":                       "{" + uuid + "}",
		"1902767C-2E77-41DE-A7CB-BC9DB91651AG": "1902767C-2E77-41DE-A7CB-BC9DB91651AG",
		"pf-ap-LAX1-1234":                      "PF-AP-LAX1-1234",
		"PF-AP-LAX1-1234":                      "PF-AP-LAX1-1234",
		"pf-ap-\u0131":                         "pf-ap-\u0131", // a letter whose upper case is an I
		"x-1":                                  "x-1",
		"X-1":                                  "X-1",
		"":                                     "",
	} {
		got := event.CanonicalID(id)
		if got != want || event.CanonicalID(got) != got || event.ValidID(got) != event.ValidID(id) {
			t.Errorf("CanonicalID(%q) = %q, want %q", id, got, want)
		}
	}
}
