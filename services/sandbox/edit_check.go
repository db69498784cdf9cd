package sandbox

import (
	"slices"
	"strings"
)

// editKinds are the kinds of edits, with the fields that each cannot do without.
var editKinds = []struct {
	kind  string
	needs []string
}{
	{"rename", []string{"connection", "name"}},
	{"speed", []string{"connection", "speedMbps"}},
	{"status", []string{"connection", "status"}}, // or providerStatus
	{"approve", []string{"connection"}},
	{"reject", []string{"connection"}},
	{"delete", []string{"connection"}},
	{"fail", []string{"connection"}},
	{"vanish", []string{"connection"}},
	{"key", []string{"profile", "key"}},
	{"unlock", []string{"client"}},
	{"expire-tokens", nil},
}

// checkEdit says all that is wrong with e, whatever circuits there are.
func (x *Exchange) checkEdit(e Edit) Mistakes {
	var wrong Mistakes
	var known []string
	for _, k := range editKinds {
		known = append(known, k.kind)
	}
	kind := slices.Index(known, e.Kind)
	if kind < 0 {
		wrong.add("kind", "%q is none of %s", e.Kind, strings.Join(known, ", "))
		return wrong
	}
	if e.SpeedMbps < 0 {
		wrong.add("speedMbps", "%d is below 0", e.SpeedMbps)
	}
	given := map[string]bool{"connection": e.Connection != "", "name": e.Name != "", "speedMbps": e.SpeedMbps != 0,
		"status": e.Status != "" || e.ProviderStatus != "", "profile": e.Profile != "", "key": e.Key != "",
		"client": e.Client != ""}
	for _, field := range editKinds[kind].needs {
		switch {
		case given[field]:
		case field == "status":
			wrong.add(field, "kind status needs it, or providerStatus")
		default:
			wrong.add(field, "kind %s needs it", e.Kind)
		}
	}
	if e.Kind == "key" && given["profile"] && x.profiles[e.Profile] == nil {
		wrong.add("profile", "%q is not there; give the id of a profile of ECX or Fabric", e.Profile)
	}
	if e.Client != "" && x.client(e.Client) == nil {
		var all []string
		for _, t := range x.tenants {
			all = append(all, t.clientID)
		}
		wrong.add("client", "%q is none of %s", e.Client, strings.Join(all, ", "))
	}
	return wrong
}
