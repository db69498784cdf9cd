package conformance_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/services/sandbox"
)

var update = flag.Bool("update", false, "write what was measured into the documents")

// trouble is a way in which a call goes wrong, and what must come of it.
type trouble struct {
	name  string
	fault sandbox.Fault
	done  bool // what was asked for is done all the same
	want  exchange.Class
	// but has the class at some calls, by "api call", where it differs.
	but map[string]exchange.Class
	// only names the calls that can go wrong in this way; none is all.
	only string
}

// The time that each call has, and that between its end and the look that must be right.
const (
	patience  = 10 * time.Second
	lookAfter = 30 * time.Second
)

func troubles() []trouble {
	f := func(kind string) sandbox.Fault { return sandbox.Fault{Kind: kind} }
	late := func(kind string, d time.Duration) sandbox.Fault { return sandbox.Fault{Kind: kind, Delay: d} }
	return []trouble{
		{name: "the answer is lost", fault: f(sandbox.LostAnswer), done: true, want: exchange.Unknown},
		{name: "a reset before it is done", fault: f(sandbox.ResetBefore), want: exchange.Unknown},
		{name: "5xx before it is done", fault: sandbox.Fault{Kind: sandbox.ErrorBefore, Status: 503}, want: exchange.Unknown},
		{name: "5xx after it is done", fault: sandbox.Fault{Kind: sandbox.ErrorAfter, Status: 502}, done: true, want: exchange.Unknown},
		{name: "409 in the exchange's own form", fault: sandbox.Fault{Kind: sandbox.ErrorBefore, Status: 409}, want: exchange.Unknown},
		{name: "429 with Retry-After", fault: sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7 * time.Second}, want: exchange.Busy},
		{name: "429 without it", fault: f(sandbox.Throttle), want: exchange.Busy},
		{name: "done, answered after the deadline", fault: late(sandbox.SlowAnswer, time.Minute), done: true, want: exchange.Unknown},
		{name: "done after the deadline", fault: late(sandbox.SlowCommit, patience+5*time.Second), done: true, want: exchange.Unknown},
		{name: "given up at the deadline", fault: late(sandbox.Slow, time.Minute), want: exchange.Unknown},
		{name: "2xx with garbage", fault: f(sandbox.Garbage), done: true, want: exchange.Unknown},
		{name: "2xx with less than is due", fault: f(sandbox.Partial), done: true, want: exchange.Done, only: "create",
			but: map[string]exchange.Class{"ecx create a pair": exchange.Partial, "packetfabric create": exchange.Unknown,
				"packetfabric create between own ports": exchange.Unknown}},
		{name: "a redirect", fault: f(sandbox.Redirect), want: exchange.Unknown},
		{name: "somebody else's 403", fault: f(sandbox.ForeignError), want: exchange.Unknown},
	}
}

// deciding is a call that may create or decide something.
type deciding struct {
	api  account.API
	name string
	at   sandbox.Match // the one request that it makes
	// ready brings about what is decided on, and returns the circuit.
	ready func(t *testing.T, w *world) string
	call  func(ctx context.Context, w *world, id string) exchange.Outcome
	// look says what the exchange shows.
	look func(t *testing.T, w *world, id string) string
}

func (d deciding) String() string { return string(d.api) + " " + d.name }

// measured is what came of one call that went wrong.
type measured struct {
	deciding
	trouble
	out         exchange.Outcome
	requests    int
	effects     int
	soon, later string // what looking showed at once, and some time later
	again       exchange.Outcome
	twice       int // effects after the same call was made again
}

// TestCertainty makes every deciding call of every exchange go wrong in every way: the
// class says no more than is known, nothing is done twice, and looking tells what is so.
func TestCertainty(t *testing.T) {
	var all []measured
	for _, d := range decidings() {
		t.Run(d.String(), func(t *testing.T) {
			shown := map[bool]string{}
			for _, tr := range troubles() {
				if tr.only != "" && !strings.HasPrefix(d.name, tr.only) {
					continue
				}
				m := measure(t, d, tr)
				m.check(t)
				if before, ok := shown[tr.done]; ok && before != m.later {
					t.Errorf("%s: looking shows %q, and after another fault %q; done is %v in both", tr.name, m.later, before, tr.done)
				}
				shown[tr.done] = m.later
				all = append(all, m)
			}
			if shown[true] == shown[false] {
				t.Errorf("looking shows %q whether or not it was done", shown[true])
			}
		})
	}
	t.Log("\n" + everything(all))
	if !t.Failed() {
		compare(t, "../../docs/certainty.md", summary(all))
	}
}

// measure lets a call go wrong in a world of its own.
func measure(t *testing.T, d deciding, tr trouble) measured {
	t.Helper()
	m := measured{deciding: d, trouble: tr}
	inWorldOf(t, d.api, func(t *testing.T, w *world) {
		id := d.ready(t, w)
		before := w.deeds()
		w.sandbox.ResetCalls()
		f := tr.fault
		f.Match = d.at
		w.fault(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		m.out = d.call(ctx, w, id)
		if took := time.Since(start); took > patience {
			t.Errorf("%s, %s: took %v, longer than its deadline", d, tr.name, took)
		}
		m.soon = d.look(t, w, id)
		time.Sleep(lookAfter)
		m.later = d.look(t, w, id)
		m.effects = w.deeds() - before
		if n := w.decisions(); n != 1 {
			t.Errorf("%s, %s: %d requests that decide, want one", d, tr.name, n)
		}
		for _, c := range w.sandbox.Calls().Recent {
			if c.Fault == f.Kind {
				m.requests++
			}
		}
		m.again = d.call(t.Context(), w, id)
		m.twice = w.deeds() - before
	})
	return m
}

// deeds counts what buyers and sellers have ever done to circuits at the exchange.
func (w *world) deeds() int {
	n := 0
	count := func(history []sandbox.Step) {
		for _, s := range history {
			if s.By == "john.doe" || s.By == "grace.hall" {
				n++
			}
		}
	}
	v := w.sandbox.Inventory()
	for _, c := range v.Connections {
		count(c.History)
	}
	for _, c := range v.PacketFabric.Circuits {
		count(c.History)
	}
	return n
}

// decisions counts the requests that were to change something.
func (w *world) decisions() int {
	n := 0
	for _, c := range w.sandbox.Calls().Recent {
		read := strings.HasPrefix(c.Endpoint, "GET ") || strings.HasSuffix(c.Endpoint, "/search")
		if !read && !strings.Contains(c.Endpoint, "/oauth2/") {
			n++
		}
	}
	return n
}

func (m measured) check(t *testing.T) {
	t.Helper()
	class := m.want
	if c, ok := m.but[m.deciding.String()]; ok {
		class = c
	}
	effects, each := 0, 1
	if m.deciding.name == "create a pair" {
		each = 2
	}
	if m.done {
		effects = each
	} else if m.again.Class != exchange.Done || m.twice != each {
		t.Errorf("%s: asked again %+v, %d effects; want it done now", m.trouble.name, m.again, m.twice)
	}
	if m.out.Class != class || m.effects != effects || m.requests != 1 {
		t.Errorf("%s: %+v with %d effects by %d requests; want %s, %d by one", m.trouble.name, m.out, m.effects, m.requests, class, effects)
	}
	if after := m.fault.RetryAfter; class == exchange.Busy && (m.out.After == 0 || after != 0 && m.out.After != after) {
		t.Errorf("%s: stay away for %v, want %v or, if that is 0, anything", m.trouble.name, m.out.After, after)
	}
}

// everything is a table of all that was measured.
func everything(all []measured) string {
	var b strings.Builder
	b.WriteString("| exchange | call | fault | class | answer | effects | looking at once | 30 s later | asked again | effects |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d | %s | %s | %s | %d |\n", m.api, m.deciding.name, m.trouble.name, m.out.Class,
			m.out.Answer, m.effects, m.soon, m.later, m.again.Class, m.twice)
	}
	return b.String()
}

// summary is what the document says: what each fault does to whichever call, and what each
// call's effect looks like.
func summary(all []measured) string { return faultTable(all) + "\n" + callTable(all) }

func faultTable(all []measured) string {
	var b strings.Builder
	b.WriteString("| What goes wrong | At | Is it done? | Class |\n|---|---|---|---|\n")
	for _, tr := range troubles() {
		var classes []exchange.Class
		at := map[exchange.Class][]string{}
		for _, m := range all {
			if m.trouble.name != tr.name {
				continue
			}
			if at[m.out.Class] == nil {
				classes = append(classes, m.out.Class)
			}
			at[m.out.Class] = append(at[m.out.Class], m.deciding.String())
		}
		for _, c := range classes {
			calls := "every call"
			if len(classes) > 1 || tr.only != "" {
				calls = strings.Join(at[c], ", ")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", tr.name, calls, yes(tr.done), c)
		}
	}
	return b.String()
}

func callTable(all []measured) string {
	var b strings.Builder
	b.WriteString("| Exchange | Call | Looking shows, if it was done | and if not | Asked again, if it was done |\n|---|---|---|---|---|\n")
	var calls []string
	shown, again := map[string]string{}, map[string]string{}
	for _, m := range all {
		call := m.deciding.String()
		if !slices.Contains(calls, call) {
			calls = append(calls, call)
		}
		shown[call+yes(m.done)] = m.later
		if m.done {
			again[call] = string(m.again.Class)
		}
		if m.done && m.twice > m.effects {
			again[call] = "**" + string(m.again.Class) + ", a second time**"
		}
	}
	for _, call := range calls {
		api, name, _ := strings.Cut(call, " ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", api, name, shown[call+yes(true)], shown[call+yes(false)], again[call])
	}
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// The lines of a document between which stands what was measured.
const measuredFrom, measuredTo = "<!-- measured by cmd/conformance: go test ./conformance -run Certainty -update -->\n",
	"<!-- end of what is measured -->\n"

// compare holds the part of a document that was measured against what is so.
func compare(t *testing.T, path, is string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), measuredFrom)
	said, tail, closed := strings.Cut(rest, measuredTo)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place for what is measured", path)
	case said == "\n"+is+"\n":
	case *update:
		if err := os.WriteFile(path, []byte(head+measuredFrom+"\n"+is+"\n"+measuredTo+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s says\n%s\nand it is\n%s\nrun with -update if that is as it should be", path, said, is)
	}
}
