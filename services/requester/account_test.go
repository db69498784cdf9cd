package requester_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// checkup is the answer to the verb "check".
type checkup struct {
	Account    string
	Unasked    string
	Notes      []string
	Violations []struct{ Field, Value, Hint string }
	Conflict   *struct{ Differences []struct{ Field string } }
}

func (w *world) check(kind, data string) checkup {
	w.t.Helper()
	return w.checkOf(kind, "", data)
}

// checkOf asks about an intent that has an id.
func (w *world) checkOf(kind, id, data string) checkup {
	w.t.Helper()
	q, err := json.Marshal(map[string]any{"kind": kind, "source": "test", "id": id, "data": json.RawMessage(data)})
	if err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Second) // it may have just begun to listen
	b, err := w.j.Ask(w.t.Context(), "check", q)
	if err != nil {
		w.t.Fatal(err)
	}
	var a checkup
	if err := json.Unmarshal(b, &a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// company has accounts at all three APIs, and a second one at Fabric. ECX and the first
// Fabric account show the same ports. The one that is away does not tell its own.
func company(w *world, away string) {
	w.stop()
	add := func(name string, api account.API, ports ...string) {
		w.acc = append(w.acc, account.Account{Name: name, API: api, Role: account.Buyer,
			Attempt: account.DefaultAttempt, Quiet: account.DefaultQuiet})
		w.others[name] = &exchangetest.Fake{API: string(api), Belongs: exchange.Parties{Ports: ports}}
	}
	w.others = map[string]*exchangetest.Fake{}
	w.fake.Belongs = exchange.Parties{Ports: []string{"port-1", "port-2"}}
	add("acme-fabric", account.Fabric, "port-1", "port-3")
	add("acme-fabric-2", account.Fabric, "port-4")
	add("acme-packetfabric", account.PacketFabric, "pf-1")
	if away != "" {
		w.others[away].Fault = func(call string, _ int) exchangetest.Fault {
			if call == "Parties" {
				return exchangetest.Fault{Err: errors.New("away")}
			}
			return exchangetest.Fault{}
		}
	}
	w.run(nil)
}

// An intent without an account is for the one that has its port; where nobody can tell,
// those who might be meant are named.
func TestWhichAccount(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		away           string
		want           string
		hint           []string
	}{
		{name: "only the oldest API has the port", old: "port-1", new: "port-2", want: "acme"},
		{name: "only Fabric has it", old: "port-1", new: "port-3", want: "acme-fabric"},
		{name: "the other Fabric account has it", old: "port-1", new: "port-4", want: "acme-fabric-2"},
		{name: "two have it", hint: []string{"acme,", "acme-fabric"}},
		{name: "two have it and one is named", old: `{"name"`, new: `{"account":"acme-fabric","name"`, want: "acme-fabric"},
		{name: "nobody has it", old: "port-1", new: "port-9", hint: []string{"acme", "acme-fabric-2", "acme-packetfabric"}},
		{name: "a token", old: `"portId":"port-1","tag":{"vlan":100}`, new: `"serviceToken":"t"`, hint: []string{"acme-fabric,", "acme-fabric-2"}},
		{name: "another exchange is away", old: "port-1", new: "port-3", away: "acme-packetfabric", want: "acme-fabric"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, new(exchangetest.Fake), func(w *world) {
				company(w, tt.away)
				got := w.check("create", strings.Replace(single("one", 100), tt.old, tt.new, min(len(tt.old), 1)))
				if got.Account != tt.want {
					t.Fatalf("account %q %v, want %q", got.Account, got.Violations, tt.want)
				}
				for _, name := range tt.hint {
					if len(got.Violations) == 0 || got.Violations[0].Field != "account" || !strings.Contains(got.Violations[0].Hint, name) {
						t.Errorf("violations %v, want one of the account with %s in its hint", got.Violations, name)
					}
				}
			})
		})
	}
}

// A check of an intent says why the exchange could not be asked: about it, or whose port it is.
func TestCheckOfNobody(t *testing.T) {
	fake := &exchangetest.Fake{Fault: func(call string, _ int) exchangetest.Fault {
		if call == "Check" {
			return exchangetest.Fault{Err: errors.New("not sent: connection refused")}
		}
		return exchangetest.Fault{}
	}}
	bubble(t, fake, func(w *world) {
		if got := w.check("create", single("one", 100)); !strings.Contains(got.Unasked, "connection refused") || got.Account != "acme" {
			t.Errorf("check = %+v, want why the exchange of acme was not asked", got)
		}
		company(w, "acme-fabric")
		if got := w.check("create", single("one", 100)); !strings.Contains(got.Unasked, "acme-fabric") {
			t.Errorf("check = %+v, want which account could not tell whose port it is", got)
		}
	})
}

// What an account's API does not have is a violation, even while the exchange is away, and
// so is a change of what cannot be changed there.
func TestRulesOfTheAPI(t *testing.T) {
	fields := func(c checkup) (all []string) {
		for _, v := range c.Violations {
			all = append(all, v.Field)
		}
		return all
	}
	fake := &exchangetest.Fake{API: "fabric", Fault: on("Check", exchangetest.Fault{Err: errors.New("away")})}
	bubble(t, fake, func(w *world) {
		got := fields(w.check("create", requests("one", 100, false)))
		for _, want := range []string{"billing.accountId", "primary.zSide.routingId", "primary.zSide.market"} {
			if !slices.Contains(got, want) {
				t.Errorf("violations of %q, want %s too", got, want)
			}
		}
		w.ready(w.fact(w.submit("create", "1", single("one", 100)), order.Placed))
		tag := w.submit("change", "2", `{"target":{"source":"test","id":"1"},"set":{"tag":{"vlan":7}}}`)
		if o := w.ended(tag); o.GetOutcome() != order.Invalid || len(o.GetViolations()) != 1 || o.GetViolations()[0].GetField() != "set.tag" {
			t.Errorf("%s %v, want invalid for set.tag", o.GetOutcome(), o.GetViolations())
		}
	})
}

// A check says who has the tag or token, and orders nothing.
func TestCheckOfWhatIsHeld(t *testing.T) {
	bubble(t, &exchangetest.Fake{API: "fabric"}, func(w *world) {
		w.fact(w.submit("create", "1", spending("one", 100, "token-1")), order.Placed)
		got := w.check("create", spending("two", 101, "token-1"))
		if len(got.Violations) != 1 || got.Violations[0].Field != "primary.zSide.serviceToken" || len(w.fake.Circuits()) != 1 {
			t.Errorf("violations %v and %d circuits, want one about the token, and one", got.Violations, len(w.fake.Circuits()))
		}
	})
}

// An intent that is an order already does not stand in its own way, and is told from another
// under the same identity.
func TestCheckOfWhatIsOrdered(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", single("one", 100))
		w.fact(id, order.Placed)
		if got := w.checkOf("create", "1", single("one", 100)); len(got.Violations) != 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], id) {
			t.Errorf("check of the same = %+v, want no violation and a note of order %s", got, id)
		}
		if got := w.checkOf("create", "1", single("two", 100)); got.Conflict == nil || len(got.Conflict.Differences) != 1 || got.Conflict.Differences[0].Field != "name" {
			t.Errorf("check of other data under the id = %+v, want a conflict about the name", got)
		}
		got := w.checkOf("create", "2", single("one", 100))
		if len(got.Violations) != 1 || got.Violations[0].Value != "100" || !strings.Contains(got.Violations[0].Hint, id) {
			t.Errorf("check of the same under another id = %+v, want the tag 100, held by order %s", got, id)
		}
	})
}

// A change is checked against the circuit and against what its seller sells.
func TestCheckOfChange(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", single("one", 100))
		w.ready(w.fact(id, order.Placed))
		o := w.ended(id)
		change := `{"target":{"orderId":"` + id + `"},"set":{"bandwidthMbps":70}}`
		if got := w.check("change", change); len(got.Violations) != 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "PROVISIONED/AVAILABLE") {
			t.Errorf("check = %+v, want a note of what would be changed", got)
		}
		w.stop()
		w.fake.Checked = exchange.Checked{Violations: []*patchbayv1.Violation{
			{Field: "bandwidthMbps", Value: "70", Hint: "50, 200"}, {Field: "primary.aSide.tag", Value: "100"}}}
		w.run(nil)
		if got := w.check("change", change); len(got.Violations) != 1 || got.Violations[0].Field != "set.bandwidthMbps" || got.Violations[0].Hint != "50, 200" {
			t.Errorf("check of a speed that nobody sells = %+v, want one violation, of the speed", got)
		}
		w.observe(o.GetLegs()[0].GetExchangeId(), status.Deprovisioned, status.NotAvailable)
		if got := w.check("change", change); len(got.Violations) != 1 || got.Violations[0].Field != "target" {
			t.Errorf("check of a change of what is no more = %+v, want one violation, of the target", got)
		}
		if got := w.check("delete", `{"target":{"orderId":"`+id+`"}}`); len(got.Violations) != 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "nothing to delete") {
			t.Errorf("check of a delete of what is no more = %+v, want a note", got)
		}
		if w.fake.Calls("Alter")+w.fake.Calls("Remove") != 0 {
			t.Error("a check changed something")
		}
	})
}

// A delete goes out through the account that ordered the circuit, whoever else is shown it.
func TestDeleteThroughWhoOrdered(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		company(w, "")
		create := w.submit("create", "1", strings.Replace(single("one", 100), `{"name"`, `{"account":"acme-fabric","name"`, 1))
		o := w.fact(create, order.Placed)
		circuit := o.GetLegs()[0]
		w.announce(circuit.GetExchangeId(), func(t *patchbayv1.Transition) {
			t.Connection.Status, t.Connection.ProviderStatus = string(status.Provisioned), string(status.Available)
			t.Connection.OrderId, t.Connection.BuyerAccount = create, "acme"
		})
		w.ended(create)
		del := w.submit("delete", "2", `{"target":{"connectionId":"`+event.ConnectionID("equinix", circuit.GetExchangeId())+`"}}`)
		o = w.fact(del, order.Placed)
		if o.GetAccount() != "acme-fabric" || w.others["acme-fabric"].Calls("Remove") != 1 {
			t.Errorf("account %q and %d calls of its Remove, want acme-fabric and 1", o.GetAccount(), w.others["acme-fabric"].Calls("Remove"))
		}
		time.Sleep(time.Second)
		if n := w.fake.Calls("Remove"); n != 0 {
			t.Errorf("%d calls of Remove through the other account, want none", n)
		}
	})
}
