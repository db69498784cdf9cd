package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func explainCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Tell the life of an order or connection", GroupID: "ask",
		Long: "Tells what happened, by whom, how long each step took, what is waited for now, on whom and\n" +
			"until when, whether a circuit bills, and the trace id. Times are UTC.\n\n" + referenceHelp,
		Args: Usage(cobra.RangeArgs(1, 2)), ValidArgsFunction: completeIDs(&c, event.Order, event.Connection),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				e, err := find(cmd.Context(), j, strings.Join(args, " "))
				if err != nil {
					return err
				}
				facts, err := gather(cmd.Context(), j, e)
				if err != nil {
					return err
				}
				s := story.Tell(e, facts)
				still, err := standstills(cmd.Context(), j, facts)
				if err != nil {
					return err
				}
				s.Waits = append(s.Waits, unsaid(s.Waits, still)...)
				if c.json {
					return printJSON(cmd.OutOrStdout(), s)
				}
				out := newScreen(cmd.OutOrStdout())
				return s.Write(story.Page{W: out, Now: j.Now(), Paint: out.paint})
			})
		},
	}
	return c.register(cmd)
}

// gathering collects the facts of an entity and of all that belongs to it.
type gathering struct {
	j     *journal.Journal
	about event.Entity
	facts []journal.Record
	// orders and connections that belong to the story.
	orders, connections map[string]bool
	holds               map[string]bool
	last                *patchbayv1.Order // of the order the story is about
	began               time.Time
}

// gather reads everything that a story needs, from the journal.
func gather(ctx context.Context, j *journal.Journal, about event.Entity) ([]journal.Record, error) {
	g := gathering{j: j, about: about, orders: map[string]bool{}, connections: map[string]bool{}, holds: map[string]bool{}}
	if about.Noun == event.Order {
		g.orders[about.ID] = true
	} else {
		g.connections[about.ID] = true
		r, err := j.Last(ctx, about)
		if err != nil {
			return nil, err
		}
		t := new(patchbayv1.Transition)
		if r.Into(t) == nil && t.GetConnection().GetOrderId() != "" {
			g.orders[t.GetConnection().GetOrderId()] = true
		}
	}
	if err := g.readOrders(ctx); err != nil {
		return nil, err
	}
	before := len(g.orders)
	for id := range g.connections {
		if err := g.relatedOrders(ctx, id); err != nil {
			return nil, err
		}
	}
	if len(g.orders) > before {
		g.facts = nil
		if err := g.readOrders(ctx); err != nil {
			return nil, err
		}
	}
	return g.facts, g.readRest(ctx)
}

// readOrders reads the orders and what they name.
func (g *gathering) readOrders(ctx context.Context) error {
	var filters []string
	for id := range g.orders {
		filters = append(filters, event.Order.Filter("*", id), event.Refusal.Filter("conflicting", id))
	}
	if len(filters) == 0 {
		return nil
	}
	return g.j.History(ctx, filters, func(r journal.Record) error {
		g.facts = append(g.facts, r)
		o := new(patchbayv1.Order)
		if r.Entity().Noun != event.Order || r.Into(o) != nil {
			return nil
		}
		if o.GetId() == g.about.ID {
			g.last = o
			if g.began.IsZero() {
				g.began = r.Stamp
			}
		}
		if g.about.Noun == event.Order && o.GetId() == g.about.ID {
			for _, l := range o.GetLegs() {
				if l.GetConnectionId() != "" {
					g.connections[l.GetConnectionId()] = true
				}
			}
		}
		g.holdsOf(o)
		return nil
	})
}

// holdsOf notes the holds that a create takes.
func (g *gathering) holdsOf(o *patchbayv1.Order) {
	if o.GetCreate() == nil {
		return
	}
	for _, l := range o.GetLegs() {
		for _, w := range hold.OfLeg(o, l.GetLeg()) {
			g.holds[w.ID()] = true
		}
	}
}

// relatedOrders finds the other orders about a connection: its delete, its changes.
func (g *gathering) relatedOrders(ctx context.Context, connection string) error {
	a, err := askList(ctx, g.j, service.ListRequest{Noun: event.Order, Connection: connection, Limit: 100})
	if err == nil && a.Away == "" {
		for _, s := range a.Snapshots {
			g.orders[s.ID] = true
		}
		return nil
	}
	return g.j.Each(ctx, []string{event.Order.Filter("*", "*")}, func(r journal.Record) error {
		o := new(patchbayv1.Order)
		if r.Into(o) != nil {
			return nil
		}
		about := o.GetChange().GetTarget().GetConnectionId() == connection || o.GetDelete().GetTarget().GetConnectionId() == connection
		if about || slices.ContainsFunc(o.GetLegs(), func(l *patchbayv1.OrderLeg) bool { return l.GetConnectionId() == connection }) {
			g.orders[o.GetId()] = true
		}
		return nil
	})
}

// readRest reads what is about the connections, and the holds.
func (g *gathering) readRest(ctx context.Context) error {
	var filters []string
	for id := range g.connections {
		for _, n := range []event.Noun{event.Connection, event.Sighting, event.Change, event.Approval, event.Landing} {
			filters = append(filters, n.Filter("*", id))
		}
		filters = append(filters, event.Refusal.Filter("decision", id))
	}
	for id := range g.holds {
		filters = append(filters, event.Hold.Filter("*", id))
	}
	if len(filters) == 0 {
		return nil
	}
	var before []journal.Record
	err := g.j.History(ctx, filters, func(r journal.Record) error {
		switch {
		case r.Entity().Noun == event.Hold && !g.orders[event.Ext(r.Event, event.ExtCorrelationID)]:
			// another's turn on the same tag
		case g.partial() && r.Stamp.Before(g.began):
			before = slices.DeleteFunc(before, func(b journal.Record) bool { return b.Entity() == r.Entity() })
			before = append(before, r)
		default:
			g.facts = append(g.facts, r)
		}
		return nil
	})
	for _, r := range before {
		if r.Entity().Noun == event.Connection { // where the circuit stood when the order came
			g.facts = append(g.facts, r)
		}
	}
	return err
}

// partial: a change or delete has its part in the life of a circuit, not all of it.
func (g *gathering) partial() bool {
	return g.about.Noun == event.Order && g.last != nil && g.last.GetKind() != "create"
}

func getCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show an order or connection as it stands", GroupID: "ask",
		Long: "Shows the last fact of an order or connection, which is its state. Of a connection, the name\n" +
			"and bandwidth are those of the last change.\n\n" + referenceHelp,
		Args: Usage(cobra.RangeArgs(1, 2)), ValidArgsFunction: completeIDs(&c, event.Order, event.Connection),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				e, err := find(cmd.Context(), j, strings.Join(args, " "))
				if err != nil {
					return err
				}
				r, err := j.Last(cmd.Context(), e)
				if err != nil {
					return err
				}
				s, err := standing(cmd.Context(), j, r)
				if err != nil {
					return err
				}
				if c.json {
					return printJSON(cmd.OutOrStdout(), s)
				}
				out := newScreen(cmd.OutOrStdout())
				fmt.Fprintf(out, "%s %s  %s for %s\n", e.Noun, e.ID, out.paint(stateOf(s), stateOf(s)), story.Span(j.Now().Sub(s.Stamp)))
				if err := sheet(out, s.Data); err != nil {
					return err
				}
				still, err := standstills(cmd.Context(), j, []journal.Record{r})
				printStandstills(out, still)
				return err
			})
		},
	}
	return c.register(cmd)
}

// standing is an entity as it stands by its last fact; a connection, amended by what has
// changed since.
func standing(ctx context.Context, j *journal.Journal, r journal.Record) (view.Snapshot, error) {
	s, _ := snapshot(r)
	if s.Noun != event.Connection {
		return s, nil
	}
	change, err := j.Last(ctx, event.Entity{Noun: event.Change, ID: s.ID})
	if err != nil || change.None() {
		return s, err
	}
	of, _ := snapshot(change)
	return amended(s, of), nil
}

// stateOf is the word for where something stands: a connection's as everywhere else, and of
// what was archived how it ended.
func stateOf(s view.Snapshot) string {
	a := new(patchbayv1.Archived)
	if strings.HasPrefix(s.Fact, event.Archived) && s.Into(a) == nil {
		return story.Archived(a)
	}
	t := new(patchbayv1.Transition)
	if s.Noun != event.Connection || s.Into(t) != nil {
		return s.Fact
	}
	return t.GetConnection().GetStatus() + "/" + t.GetConnection().GetProviderStatus()
}

// sheet prints JSON as a list of paths and values, in the order in which they stand.
func sheet(out screen, data []byte) error {
	var rows [][2]string
	if err := flatten(json.NewDecoder(bytes.NewReader(data)), "", &rows); err != nil {
		return err
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(out, "  %s%s  %s\n", out.faint(r[0]), strings.Repeat(" ", width-len(r[0])), r[1])
	}
	return nil
}

// flatten reads one value.
func flatten(d *json.Decoder, path string, rows *[][2]string) error {
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		*rows = append(*rows, [2]string{path, fmt.Sprint(token)})
		return nil
	}
	for i := 0; d.More(); i++ {
		below := fmt.Sprintf("%s[%d]", path, i)
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			below = strings.TrimPrefix(path+"."+fmt.Sprint(key), ".")
		}
		if err := flatten(d, below, rows); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing bracket
	return err
}
