package sandbox

import (
	"maps"
	"slices"
	"strings"
)

// checkFault says all that is wrong with f, and that also means: why it could never happen
// to a call. What it looks at never changes, so it needs no lock.
func (x *Exchange) checkFault(f Fault) Mistakes {
	var wrong Mistakes
	if !slices.Contains(kinds(), f.Kind) {
		wrong.add("kind", "%q is none of %s", f.Kind, strings.Join(kinds(), ", "))
	}
	if f.Times < -1 {
		wrong.add("times", "%d is below -1, which is for ever", f.Times)
	}
	if f.Every < 0 {
		wrong.add("every", "%d is below 0", f.Every)
	}
	if f.After < 0 {
		wrong.add("after", "%d is below 0", f.After)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		wrong.add("status", "%d is no final HTTP status; those are 200 to 599", f.Status)
	}
	if f.Kind == ShowStatus && f.Value == "" {
		wrong.add("value", "kind status needs the words to show, such as STATUS/PROVIDERSTATUS")
	}
	if f.Delay == 0 && slices.Contains([]string{Slow, SlowCommit, SlowAnswer, Hide}, f.Kind) {
		wrong.add("delay", "kind %s needs one, such as 5s", f.Kind)
	}
	return append(wrong, x.checkMatch(f)...)
}

// checkMatch says why the calls that f is for can never come.
func (x *Exchange) checkMatch(f Fault) Mistakes {
	var wrong Mistakes
	m := f.Match
	x.checkTenant(&wrong, "match.tenant", m.Tenant)
	if m.Action != "" && !slices.ContainsFunc(actions(), func(a string) bool { return strings.EqualFold(a, m.Action) }) {
		wrong.add("match.action", "%q is none of %s", m.Action, strings.Join(actions(), ", "))
	}
	methods, there, fits := make(map[string]bool), make(map[string]bool), false
	x.routes(func(pattern string, o op) {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			return // nothing is there
		}
		methods[method] = true
		if m.Path != "" && m.Path != path && !begins(m.Path, path) {
			return
		}
		there[method] = true
		fits = fits || (m.Method == "" || strings.EqualFold(m.Method, method)) && (f.Kind != ShowStatus || o.read)
	})
	known := func(all map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(all)), ", ") }
	switch {
	case m.Method != "" && !methods[strings.ToUpper(m.Method)]:
		wrong.add("match.method", "%q is none of %s", m.Method, known(methods))
		fits = true // as far as can be told
	case m.Path != "" && len(there) > 0 && m.Method != "" && !there[strings.ToUpper(m.Method)]:
		wrong.add("match.method", "%q is not for %s; there it is %s", m.Method, m.Path, known(there))
		fits = true
	}
	switch {
	case len(there) == 0:
		wrong.add("match.path", "%q is no endpoint's path, such as /ecx/v3/l2/connections/{uuid} or /v2/services, "+
			"nor do any begin so", m.Path)
	case !fits:
		wrong.add("match", "kind status is seen in reads of circuits, and %s is none", strings.TrimSpace(m.Method+" "+m.Path))
	}
	return wrong
}

// checkTenant says if a field names a tenant that is not there.
func (x *Exchange) checkTenant(wrong *Mistakes, field, tenant string) {
	if tenant == "" || slices.ContainsFunc(x.tenants, Match{Tenant: tenant}.of) {
		return
	}
	var all []string
	for _, t := range x.tenants {
		all = append(all, t.org+" or "+t.clientID)
	}
	wrong.add(field, "%q is none of %s", tenant, strings.Join(all, ", "))
}

// of reports whether m's tenant is t.
func (m Match) of(t *tenant) bool { return m.Tenant == t.org || m.Tenant == t.clientID }

// actions are the words that tell apart the calls of one endpoint.
func actions() []string {
	return append([]string{"Approve", "Reject", "update"}, slices.Sorted(maps.Keys(fabricActs()))...)
}

// begins reports whether a path of the template may begin with prefix.
func begins(prefix, template string) bool {
	want, got := strings.Split(prefix, "/"), strings.Split(template, "/")
	if len(want) > len(got) || strings.Contains(prefix, "{") {
		return false
	}
	last := len(want) - 1
	for i, w := range want {
		open := strings.HasPrefix(got[i], "{") && (w != "" || i == last)
		if !open && w != got[i] && (i < last || !strings.HasPrefix(got[i], w)) {
			return false
		}
	}
	return true
}
