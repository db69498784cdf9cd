package simulation

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// base is where the exchange is; nobody resolves it.
const base = "http://exchange.example"

// accounts are those of the sandbox, with a policy that names decide; see the constants
// in wish_test.go.
func (w *world) setAccounts(deadline time.Duration) {
	f := account.Sandbox(base)
	for i := range f.Accounts {
		a := &f.Accounts[i]
		a.Attempt, a.Quiet = 20*time.Second, 40*time.Second
		if !a.Role.Sells() {
			continue
		}
		a.Policy = []account.Rule{
			{Name: "ok", When: `name.startsWith("ok") || name.startsWith("stranger") || market == "NYC"`, Then: account.Approve},
			{Name: "no", When: `kind == "create" && (name.startsWith("no") || market == "CHI")`, Then: account.Reject, Reason: "not in this metro"},
			{
				Name: "exp", When: `kind == "create" && (name.startsWith("exp") || market == "LAX")`, Then: account.Ask,
				Deadline: deadline, Remind: deadline / 3, OnExpiry: account.Approve,
			},
		}
	}
	w.accounts = f
}

// drama is what happens in a world beside the wishes.
type drama struct {
	wishes   int           // how many creates
	span     time.Duration // in which everything happens
	crashes  int
	faults   int
	upsets   int // Redis, NATS, connections
	portal   int // edits behind our back
	delays   sandbox.Delays
	deadline time.Duration // of the seller's "exp" rule
	copies   int           // instances of each service
}

// dramaOf draws the drama of a seed.
func dramaOf(w func(int) int) drama {
	some := func(n int) int { return w(n + 1) }
	d := drama{
		wishes: 2 + w(9), span: []time.Duration{time.Minute, 3 * time.Minute, 10 * time.Minute, 10 * time.Minute, 2 * time.Hour}[w(5)],
		crashes: some(16), faults: some(20), upsets: some(6), portal: some(3),
		deadline: time.Duration(1+w(48)) * time.Hour, copies: 1 + w(2),
	}
	d.delays = sandbox.Delays{
		Provision:   []time.Duration{0, time.Second, 5 * time.Second, 3 * time.Minute}[w(4)],
		Deprovision: []time.Duration{0, 5 * time.Second, time.Minute}[w(3)],
		Visible:     []time.Duration{0, 0, 10 * time.Second, 30 * time.Second}[w(4)],
		Answer:      []time.Duration{0, 200 * time.Millisecond, 3 * time.Second}[w(3)],
		History:     []time.Duration{0, time.Minute}[w(2)],
	}
	return d
}

// play lets everything happen, heals the world and waits until it is quiet. It returns
// the wishes.
func (w *world) play(d drama) []wish {
	w.setAccounts(d.deadline)
	w.launch(d.copies)
	var acts sync.WaitGroup
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	acts.Go(func() { w.person(ctx) })

	wishes := w.wishes(d.wishes)
	var names []string // of the circuits to be
	for _, x := range wishes {
		if x.kind == "create" {
			names = append(names, x.intent().GetName())
		}
		acts.Go(func() { w.make(x, d.span) })
	}
	for range d.crashes {
		acts.Go(func() { w.plotCrash(d.span) })
	}
	for range d.faults {
		acts.Go(func() { w.plotFault(d.span, names) })
	}
	for range d.upsets {
		acts.Go(func() { w.upset(d.span) })
	}
	for i := range d.portal {
		acts.Go(func() {
			time.Sleep(w.upTo(d.span))
			w.portal(i)
		})
	}
	time.Sleep(d.span + time.Minute)
	w.heal()
	w.quiet(wishes)
	cancel()
	acts.Wait()
	return wishes
}

// wishes draws intents of every kind, at each of the three APIs.
func (w *world) wishes(creates int) []wish {
	var all []wish
	sellers := []string{approved, approved, approved, rejected, asked, expiring}
	for n := range creates {
		c := w.create(n, w.chance(2), sellers[w.pick(len(sellers))])
		all = append(all, c)
		if w.chance(3) {
			all = append(all, change(c, w.pick(3)))
		}
		if w.chance(2) {
			all = append(all, remove(c))
		}
		if w.chance(3) {
			all = append(all, c.rival(w.chance(3)))
		}
		if w.chance(3) {
			all = append(all, c.broken(creates+n))
		}
	}
	return all
}

// create draws the n-th create of the world.
func (w *world) create(n int, pair bool, seller string) wish {
	switch w.pick(3) {
	case 0:
		return w.packetFabricCreate(n, pair, seller)
	case 1:
		return w.fabricCreate(n, pair, seller)
	default:
		return create(n, ways()[w.pick(4)], pair, seller)
	}
}

// make publishes x, perhaps several times, perhaps with a conflicting payload among them.
func (w *world) make(x wish, span time.Duration) {
	at := w.upTo(span)
	if x.target != nil && w.chance(3) {
		at = min(at, 5*time.Second) // soon, while the target is still on its way
	}
	if x.after != nil {
		at = 0
		w.awaitOrder(x.after.orderID())
		time.Sleep(w.upTo(5 * time.Second))
	}
	time.Sleep(at)
	if x.target != nil {
		w.awaitOrder(x.target.orderID())
	}
	w.note("%s %s", x.kind, x.id)
	w.publish(x)
	for range w.pick(3) {
		time.Sleep(w.upTo(time.Minute))
		again := x
		if x.kind == "create" && x.raw == nil && w.chance(3) {
			w.note("conflicting %s", x.id)
			again = x.again()
		}
		w.publish(again)
	}
}

// awaitOrder waits until the order is known; a change of what is unknown is refused.
func (w *world) awaitOrder(id string) {
	for {
		last, err := w.own.Last(w.t.Context(), event.Entity{Noun: event.Order, ID: id})
		if err == nil && !last.None() {
			return
		}
		time.Sleep(time.Second)
	}
}

// publish hands x to upstream's stream, as often as it takes.
func (w *world) publish(x wish) {
	e, err := x.event()
	if err != nil {
		w.t.Fatal(err)
	}
	w.submit(event.IntentSubject(event.Intent, x.kind), e)
}

func (w *world) submit(subject string, e ce.Event) {
	for {
		if _, err := w.own.Submit(w.t.Context(), subject, e); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// plotCrash has a process crash at one of its next effects.
func (w *world) plotCrash(span time.Duration) {
	time.Sleep(w.upTo(span))
	p := w.procs[w.pick(len(w.procs))]
	p.crashAt.Store(p.effects.Load() + 1 + int64(w.pick(25)))
}

// plotFault has the exchange misbehave. What it commits late is to be seen within D + Q,
// the attempt's and the quiet time, together with the delay until it is visible: that is
// what the promise of one circuit rests on.
func (w *world) plotFault(span time.Duration, names []string) {
	time.Sleep(w.upTo(span))
	paths := []string{"/ecx/v3/l2/connections", "/fabric/v4/connections", "/fabric/v4/connections", "/v2/services", "/v2/services",
		"/v2.1/services"}
	kinds := []sandbox.Fault{
		{Kind: sandbox.LostAnswer}, {Kind: sandbox.LostAnswer}, {Kind: sandbox.ResetBefore},
		{Kind: sandbox.ErrorBefore}, {Kind: sandbox.ErrorAfter, Status: 502}, {Kind: sandbox.Throttle},
		{Kind: sandbox.Throttle, RetryAfter: 10 * time.Second},
		{Kind: sandbox.Slow, Delay: 30 * time.Second}, {Kind: sandbox.SlowCommit, Delay: 25 * time.Second},
		{Kind: sandbox.SlowAnswer, Delay: 30 * time.Second}, {Kind: sandbox.Garbage},
		{Kind: sandbox.Partial, Match: sandbox.Match{Method: http.MethodPost}},
		{Kind: sandbox.ForeignError}, {Kind: sandbox.Redirect},
		{Kind: sandbox.Hide, Delay: 25 * time.Second, Match: sandbox.Match{Method: http.MethodPost}},
		{Kind: sandbox.ShowStatus, Value: "ON_THE_MOON"},
	}
	f := kinds[w.pick(len(kinds))]
	f.Match.Path = paths[w.pick(len(paths))]
	if f.Match.Method == "" && f.Kind != sandbox.ShowStatus {
		f.Match.Method = []string{http.MethodPost, http.MethodPost, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodGet}[w.pick(6)]
	}
	if f.Match.Path == "/v2.1/services" && f.Match.Method != "" {
		f.Match.Method = http.MethodGet // there is nothing else
	}
	if len(names) > 0 && w.chance(2) {
		f.Match.Path, f.Match.Name = "", names[w.pick(len(names))]
	}
	f.Times = 1 + w.pick(4)
	id, err := w.exchange.AddFault(f)
	if err != nil {
		w.t.Errorf("fault %+v: %v", f, err)
		return
	}
	w.note("fault %s on %s %s%s ×%d", f.Kind, f.Match.Method, f.Match.Path, f.Match.Name, f.Times)
	time.Sleep(w.upTo(span))
	w.exchange.ClearFaults(id)
}

// upset shakes what the services stand on.
func (w *world) upset(span time.Duration) {
	time.Sleep(w.upTo(span))
	switch w.pick(7) {
	case 6:
		w.note("NATS restarts")
		w.restartNATS(w.upTo(30 * time.Second))
	case 0:
		w.note("redis flushed")
		w.redis.Flush()
	case 1:
		w.note("redis away")
		w.away.Store(true)
		for _, p := range w.procs {
			p.cut(1)
		}
		time.Sleep(w.upTo(3 * time.Minute))
		w.away.Store(false)
	case 2:
		w.note("NATS held up")
		w.setHoldUp(time.Duration(1+w.pick(8)) * time.Second)
		time.Sleep(w.upTo(time.Minute))
		w.setHoldUp(0)
	default:
		for range 1 + w.pick(5) {
			p, which := w.procs[w.pick(len(w.procs))], w.pick(3)
			w.note("%s loses line %d", p.name, which)
			p.cut(which)
			time.Sleep(w.upTo(20 * time.Second))
		}
	}
}

// person answers what waits for one, sooner or later.
func (w *world) person(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute + w.upTo(10*time.Minute)):
		}
		for _, a := range w.waiting() {
			kind, verb := a.GetKind(), "approve"
			if w.chance(4) {
				verb = "reject"
			}
			if kind == "create" && (strings.HasPrefix(a.GetConnection().GetName(), expiring) || a.GetConnection().GetZSide().GetMetro() == marketOf(expiring)) && !w.healed.Load() {
				continue // the deadline is to decide
			}
			w.note("person: %s %s of %s", verb, kind, a.GetConnection().GetName())
			w.decide(a, verb)
		}
	}
}

// decide publishes a person's decision on a.
func (w *world) decide(a *patchbayv1.Approval, verb string) {
	data, err := event.Marshal(&patchbayv1.Decision{
		ConnectionId: a.GetConnectionId(), Kind: a.GetKind(), Digest: a.GetDigest(), By: "person", Reason: "because",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	e := ce.New(ce.CloudEventsVersionV1)
	e.SetID(fmt.Sprintf("%s-%s-%d", verb, a.GetConnectionId(), time.Now().UnixNano()))
	e.SetSource("simulation/person")
	e.SetType(event.IntentType(event.Decision, verb))
	e.DataEncoded = data
	e.SetDataContentType("application/json")
	w.submit(event.IntentSubject(event.Decision, verb), e)
}

// waiting lists the requests that wait for a person.
func (w *world) waiting() []*patchbayv1.Approval {
	var all []*patchbayv1.Approval
	for _, r := range w.each(event.Approval) {
		a := new(patchbayv1.Approval)
		if err := r.Into(a); err != nil {
			w.t.Error(err)
		}
		switch a.GetFact() {
		case "requested", "reminded":
			all = append(all, a)
		case "expired":
			if a.GetWait() != nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// each returns the last fact of every entity of a noun.
func (w *world) each(n event.Noun) []journal.Record {
	for {
		var all []journal.Record
		err := w.own.Each(w.t.Context(), []string{n.Filter(">", "")[:len("patchbay.")+len(n)+2]}, func(r journal.Record) error {
			all = append(all, r)
			return nil
		})
		if err == nil {
			return all
		}
		if w.t.Context().Err() != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// heal ends every misbehaviour and brings every process and every name back: a circuit that
// is renamed before its order has found it is found no more.
func (w *world) heal() {
	w.note("healed")
	w.healed.Store(true)
	w.setHoldUp(0)
	w.away.Store(false)
	w.exchange.ClearFaults()
	for _, p := range w.procs {
		p.crashAt.Store(0)
	}
	w.mu.Lock()
	renamed := maps.Clone(w.renamed)
	w.mu.Unlock()
	for id, name := range renamed {
		w.note("portal: %s is named %s again: %v", id, name, w.exchange.Edit(sandbox.Edit{Connection: id, Kind: "rename", Name: name}))
	}
}

// patience is how long a healed world may take to be quiet. The slowest thing in it is
// the person, who now answers everything.
const patience = 6 * time.Hour

// quiet waits until every order has ended, nobody waits for a person, and the journal
// says of every circuit what the exchange says.
func (w *world) quiet(wishes []wish) {
	start := time.Now()
	for step := 30 * time.Second; ; step = min(2*step, 30*time.Minute) {
		time.Sleep(step)
		open := w.unsettled(wishes)
		if len(open) == 0 {
			w.note("quiet after %v", time.Since(start))
			return
		}
		if time.Since(start) > patience {
			for _, o := range open {
				w.t.Errorf("after %v still unsettled: %s", patience, o)
			}
			return
		}
	}
}
