package statuswatcher

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// States of a change request.
const (
	requested = "REQUESTED"
	submitted = "SUBMITTED_FOR_APPROVAL"
	approved  = "APPROVED"
	rejected  = "REJECTED"
	completed = "COMPLETED"
	failed    = "FAILED"
	unknown   = "UNKNOWN" // a word nobody documented
)

// changeOrder is a change order that is under way on a circuit.
type changeOrder struct {
	id  string
	set *patchbayv1.ChangeSet
	// placed says that the exchange took it; before that, nothing completes it.
	placed bool
	// settled says that a change fact has told its end already.
	settled bool
}

// changes tells what became of the values of a circuit since they were last written down:
// one fact for what differs or for a new word of the exchange's about its change request,
// and one for each change order whose values are reached without a difference that would
// tell so.
func changes(p past, whole *patchbayv1.Connection, s sight, orders []changeOrder) []*patchbayv1.Change {
	if stateOf(whole).Status.Ended() {
		return nil
	}
	was := p.newest()
	diffs := differences(was, whole)
	word := wordOf(p, whole, diffs, orders)
	told := map[string]bool{}
	var all []*patchbayv1.Change
	tell := func(stage, order string, diffs []*patchbayv1.Difference) {
		conn := proto.CloneOf(whole)
		setState(conn, stateOf(p.conn)) // a new state is told by its transition alone
		from := p.change.GetStatus()
		if len(all) > 0 {
			from = all[len(all)-1].GetStatus()
		}
		all = append(all, &patchbayv1.Change{
			ConnectionId: whole.GetId(), Status: stage, Native: whole.GetNative().GetChange(), From: from, Connection: conn,
			Differences: diffs, OrderId: order, ObservedBy: s.by,
			ExchangeTime: exchangeTime(s.conn), ObservedAt: timestamppb.New(s.at),
		})
		told[order] = true
	}
	if len(diffs) > 0 || word != "" {
		order := blame(p.change, whole, diffs, orders)
		if order == "" && (word == rejected || word == failed) {
			order = only(orders)
		}
		tell(stageFor(order, orders, step{cmp.Or(word, stageOf(was, whole)), word != ""}, change{diffs, whole}), order, diffs)
	}
	for _, o := range orders {
		if o.placed && !o.settled && !told[o.id] && ended(whole) && reached(o.set, whole) {
			tell(completed, o.id, nil)
		}
	}
	return all
}

// ended reports whether no change is under way.
func ended(c *patchbayv1.Connection) bool {
	return !c.GetChangePending() && c.GetPendingBandwidthMbps() == 0
}

// final reports whether a change in this state is over.
func final(stage string) bool { return stage == completed || stage == rejected || stage == failed }

// wordOf is what the exchange says of a circuit's change request, where it says something
// new about one or a change is under way; empty otherwise. Fabric calls the creation and
// the deletion of a circuit changes too, and shows their end under the same name: they
// are told by the circuit's status and are no change here. Source: Fabric v4,
// Connection.change.status.
func wordOf(p past, now *patchbayv1.Connection, diffs []*patchbayv1.Difference, orders []changeOrder) string {
	native := now.GetNative().GetChange()
	up := string(status.Provisioned)
	if now.GetApi() != string(status.Fabric) || native == "" || p.conn.GetStatus() != up || now.GetStatus() != up {
		return ""
	}
	word := strings.ToUpper(strings.TrimSpace(native))
	if !slices.Contains([]string{requested, submitted, approved, rejected, completed, failed}, word) {
		word = unknown
	}
	last := p.conn.GetNative().GetChange()
	if p.newer {
		last = p.change.GetNative()
	}
	busy := now.GetChangePending() || p.newest().GetChangePending() || p.change != nil && !final(p.change.GetStatus())
	switch {
	case native == last && (len(diffs) == 0 || !now.GetChangePending()):
		return ""
	case busy, len(diffs) > 0, word == requested, word == submitted:
		return word
	case (word == rejected || word == failed) && only(orders) != "":
		return word
	}
	return ""
}

// only is the one order that the exchange took and whose end was not told; empty if there
// are none or several.
func only(orders []changeOrder) string {
	open := slices.DeleteFunc(slices.Clone(orders), func(o changeOrder) bool { return !o.placed || o.settled })
	if len(open) != 1 {
		return ""
	}
	return open[0].id
}

// stageOf names the step of a change request between two looks that differ.
func stageOf(was, now *patchbayv1.Connection) string {
	before, after := was.GetPendingBandwidthMbps(), now.GetPendingBandwidthMbps()
	switch {
	case after != 0:
		return submitted
	case before != 0 && now.GetChangePending():
		return approved
	case now.GetChangePending():
		return requested
	case before != 0 && now.GetBandwidthMbps() != before && now.GetBandwidthMbps() == was.GetBandwidthMbps():
		return rejected
	default:
		return completed
	}
}

// step is a stage of a change, and whether the exchange itself named it.
type step struct {
	stage string
	named bool
}

// change is what a look shows of one.
type change struct {
	diffs []*patchbayv1.Difference
	now   *patchbayv1.Connection
}

// stageFor mends a stage by what the order asked for: a part of it that came is not the
// end, and an end without what was asked for is a refusal, unless the exchange names it an
// end: then the values are still to show.
func stageFor(id string, orders []changeOrder, s step, c change) string {
	o, ok := find(orders, id)
	switch {
	case !ok || s.stage != completed || reached(o.set, c.now):
		return s.stage
	case changed(o.set, c.diffs):
		return requested
	case s.named:
		return approved
	default:
		return rejected
	}
}

// differences lists what of name, bandwidth, tags and pending changes is another than it
// was. A value that was not shown before is a detail learned, not a change; and tags are
// given while a circuit is built, so they change only on one that stands.
func differences(was, now *patchbayv1.Connection) []*patchbayv1.Difference {
	var all []*patchbayv1.Difference
	add := func(field string, was, now any) {
		all = append(all, &patchbayv1.Difference{Field: field, Was: text(was), Now: text(now)})
	}
	if was.GetName() != now.GetName() && was.GetName() != "" && now.GetName() != "" {
		add("name", was.GetName(), now.GetName())
	}
	if was.GetBandwidthMbps() != now.GetBandwidthMbps() && was.GetBandwidthMbps() != 0 && now.GetBandwidthMbps() != 0 {
		add("bandwidthMbps", was.GetBandwidthMbps(), now.GetBandwidthMbps())
	}
	if stands(was) && stands(now) {
		for _, side := range []struct {
			field    string
			was, now *patchbayv1.Tag
		}{
			{"aSide.tag", was.GetASide().GetTag(), now.GetASide().GetTag()},
			{"zSide.tag", was.GetZSide().GetTag(), now.GetZSide().GetTag()},
		} {
			if side.was != nil && side.now != nil && !proto.Equal(side.was, side.now) {
				add(side.field, tagText(side.was), tagText(side.now))
			}
		}
	}
	if was.GetPendingBandwidthMbps() != now.GetPendingBandwidthMbps() {
		add("pendingBandwidthMbps", was.GetPendingBandwidthMbps(), now.GetPendingBandwidthMbps())
	}
	if was.GetChangePending() != now.GetChangePending() {
		add("changePending", was.GetChangePending(), now.GetChangePending())
	}
	return all
}

// stands reports whether a circuit has been built and not yet taken down.
func stands(c *patchbayv1.Connection) bool {
	s := status.Status(c.GetStatus())
	return s == status.Provisioned || s == status.PendingDelete
}

// text is v as JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // texts, numbers, booleans and maps of numbers always encode
	}
	return string(b)
}

func tagText(t *patchbayv1.Tag) map[string]any {
	m := map[string]any{}
	if t.Vlan != nil {
		m["vlan"] = t.GetVlan()
	}
	if t.STag != nil {
		m["sTag"] = t.GetSTag()
	}
	if t.CTag != nil {
		m["cTag"] = t.GetCTag()
	}
	if t.GetUntagged() {
		m["untagged"] = true
	}
	return m
}

// blame finds the order to which a difference is due; empty if nobody here asked for it.
// A change that goes on belongs to whom it began with.
func blame(last *patchbayv1.Change, now *patchbayv1.Connection, diffs []*patchbayv1.Difference, orders []changeOrder) string {
	var open []changeOrder
	for _, o := range orders {
		if !o.settled {
			open = append(open, o)
		}
	}
	if began := last.GetOrderId(); began != "" && !final(last.GetStatus()) {
		return began
	}
	for _, o := range open {
		if changed(o.set, diffs) || now.GetPendingBandwidthMbps() != 0 && o.set.GetBandwidthMbps() == now.GetPendingBandwidthMbps() {
			return o.id
		}
	}
	if now.GetChangePending() && now.GetPendingBandwidthMbps() == 0 && last.GetOrderId() == "" && len(open) == 1 {
		return open[0].id
	}
	return ""
}

func find(orders []changeOrder, id string) (changeOrder, bool) {
	for _, o := range orders {
		if o.id == id && id != "" {
			return o, true
		}
	}
	return changeOrder{}, false
}

// changed reports whether one of the differences brings a value that the order sets.
func changed(set *patchbayv1.ChangeSet, diffs []*patchbayv1.Difference) bool {
	for _, d := range diffs {
		switch {
		case d.GetField() == "name" && set.GetName() != "" && d.GetNow() == text(set.GetName()),
			d.GetField() == "bandwidthMbps" && set.BandwidthMbps != nil && d.GetNow() == text(set.GetBandwidthMbps()),
			d.GetField() == "aSide.tag" && set.GetTag() != nil && d.GetNow() == text(tagText(set.GetTag())):
			return true
		}
	}
	return false
}

// reached reports whether the circuit has every value that the order sets and the
// exchange shows.
func reached(set *patchbayv1.ChangeSet, c *patchbayv1.Connection) bool {
	return (set.GetName() == "" || set.GetName() == c.GetName()) &&
		(set == nil || set.BandwidthMbps == nil || set.GetBandwidthMbps() == c.GetBandwidthMbps()) &&
		(set.GetTag() == nil || proto.Equal(set.GetTag(), c.GetASide().GetTag()))
}
