package statuswatcher

import (
	"cmp"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// past is what the journal says of a circuit. The zero past is that of a circuit nobody
// has announced.
type past struct {
	// conn is the connection of its last connection fact; nil for none.
	conn *patchbayv1.Connection
	// change is its last change fact, and newer whether that came after conn's.
	change *patchbayv1.Change
	newer  bool
	// sighted has the accounts that were learned after the first fact, by role.
	sighted map[string]string
}

// newest is the connection as last written down; nil for none.
func (p past) newest() *patchbayv1.Connection {
	if p.newer && p.change.GetConnection() != nil {
		return p.change.GetConnection()
	}
	return p.conn
}

// sight is one look at a circuit.
type sight struct {
	// conn is the circuit as the exchange shows it; nil if it does not.
	conn *patchbayv1.Connection
	// by is sweep, batch, push or command.
	by string
	at time.Time
	// doubt is what an earlier look showed and was not believed; nil for none.
	doubt *status.State
	// direct says that the circuit itself was asked for, not a list.
	direct bool
	// told are the statuses that the exchange says the circuit had since the last look.
	told []status.Status
}

// surroundings is what is known of a circuit besides what it shows.
type surroundings struct {
	order, leg, flow string
	// buyer and seller are accounts of ours; empty if they are not a party.
	buyer, seller string
	// changes are the change orders that are under way on the circuit.
	changes []changeOrder
}

// A verdict says what becomes of a look.
type verdict string

const (
	// taken: the news is all there is to it.
	taken verdict = "taken"
	// stale: the journal knows something newer; the look is thrown away.
	stale verdict = "stale"
	// doubtful: it goes backward, so the circuit has to show it once more.
	doubtful verdict = "doubtful"
)

// news is what a look brings, in the order in which it is to be written.
type news struct {
	sightings   []*patchbayv1.Sighting
	changes     []*patchbayv1.Change
	transitions []*patchbayv1.Transition
}

func (n news) none() bool { return len(n.sightings)+len(n.changes)+len(n.transitions) == 0 }

// observe works out what a look at a circuit adds to the journal. The same look again,
// once its news is written, adds nothing.
//
// Changes come before transitions: should the writer die between the two, the next look
// still finds the transition by comparing states, while a change could no longer be told
// once the transition has carried the new values.
func observe(p past, s sight, around surroundings) (news, verdict) {
	if s.conn == nil && (p.conn == nil || stateOf(p.conn).Status.Ended()) {
		return news{}, taken
	}
	if older(s.conn, p.newest()) {
		return news{}, stale
	}
	whole := complete(p, s, around)
	if p.conn == nil {
		return news{transitions: transitions(nil, whole, s)}, taken
	}
	from, to := stateOf(p.conn), stateOf(whole)
	if (s.conn == nil || status.Backward(from, to)) && !confirmed(s, to) {
		return news{}, doubtful
	}
	return news{
		sightings:   sightings(p, whole, s),
		changes:     changes(p, whole, s, around.changes),
		transitions: transitions(p.conn, whole, s),
	}, taken
}

// confirmed reports whether a direct look shows what an earlier look has shown.
func confirmed(s sight, to status.State) bool {
	return s.direct && s.doubt != nil && *s.doubt == to
}

// older reports whether the exchange says that what it shows is older than what is known.
func older(shown, known *patchbayv1.Connection) bool {
	return shown.GetUpdatedAt() != nil && known.GetUpdatedAt() != nil &&
		shown.GetUpdatedAt().AsTime().Before(known.GetUpdatedAt().AsTime())
}

// complete is the circuit as shown, with what is known of it besides.
func complete(p past, s sight, around surroundings) *patchbayv1.Connection {
	known := p.newest()
	whole := &patchbayv1.Connection{}
	switch {
	case s.conn != nil:
		proto.Merge(whole, s.conn)
	default:
		proto.Merge(whole, known)
		setState(whole, status.Gone())
		whole.ChangePending, whole.PendingBandwidthMbps = false, 0
	}
	whole.BuyerAccount = cmp.Or(known.GetBuyerAccount(), p.sighted[exchange.Buyer], around.buyer)
	whole.SellerAccount = cmp.Or(known.GetSellerAccount(), p.sighted[exchange.Seller], around.seller)
	whole.OrderId, whole.Leg = known.GetOrderId(), known.GetLeg()
	if whole.OrderId == "" {
		whole.OrderId, whole.Leg = around.order, around.leg
	}
	whole.Flow = cmp.Or(known.GetFlow(), whole.GetFlow(), around.flow)
	if whole.GetCreatedAt() == nil {
		whole.CreatedAt = known.GetCreatedAt()
	}
	if whole.GetUpdatedAt() == nil {
		whole.UpdatedAt = known.GetUpdatedAt()
	}
	if len(whole.GetAliases()) == 0 {
		whole.Aliases = known.GetAliases()
	}
	return whole
}

// transitions are the steps from the last connection fact to what is seen now; from is
// nil for a circuit seen for the first time.
func transitions(from, whole *patchbayv1.Connection, s sight) []*patchbayv1.Transition {
	way := path(from, whole, s.told)
	var steps []*patchbayv1.Transition
	var before *patchbayv1.State
	if from != nil {
		before = wire(stateOf(from))
	}
	for i, step := range way.Steps {
		last := i == len(way.Steps)-1
		conn := proto.CloneOf(whole)
		setState(conn, step)
		steps = append(steps, &patchbayv1.Transition{
			Connection: conn, From: before, To: wire(step), ObservedBy: s.by,
			Inferred:     !last,
			Skipped:      last && way.Kind == status.Skipped,
			Unexpected:   last && way.Kind == status.Unexpected,
			First:        i == 0 && from == nil,
			ExchangeTime: exchangeTime(s.conn),
			ObservedAt:   timestamppb.New(s.at),
		})
		before = wire(step)
	}
	return steps
}

// path is what happened from the last connection fact to what is seen now, given what the
// exchange tells of the time between; see [transitions].
func path(from, whole *patchbayv1.Connection, told []status.Status) status.Path {
	api, flow, to := status.API(whole.GetApi()), flowOf(whole), stateOf(whole)
	switch {
	case from != nil:
		return status.Told(api, flow, stateOf(from), to, told)
	case whole.GetOrderId() != "":
		return status.ToldSinceBirth(api, flow, to, told)
	default:
		return status.Between(api, flow, status.State{}, to)
	}
}

// tokenFlow is the flow of a circuit that redeems a service token.
const tokenFlow = "token"

// exchangeTime is when what is seen happened, by the exchange's clock; nil if it does not say.
func exchangeTime(c *patchbayv1.Connection) *timestamppb.Timestamp {
	if c.GetUpdatedAt() != nil {
		return c.GetUpdatedAt()
	}
	return c.GetCreatedAt()
}

// sightings tell of accounts that nobody knew to be a party when the circuit was announced.
func sightings(p past, whole *patchbayv1.Connection, s sight) []*patchbayv1.Sighting {
	var all []*patchbayv1.Sighting
	tell := func(role, known, now string) {
		if now == "" || known != "" || p.sighted[role] != "" {
			return
		}
		conn := proto.CloneOf(whole)
		setState(conn, stateOf(p.conn))
		all = append(all, &patchbayv1.Sighting{
			ConnectionId: whole.GetId(), Role: role, Account: now, Connection: conn,
			ObservedAt: timestamppb.New(s.at),
		})
	}
	tell(exchange.Buyer, p.newest().GetBuyerAccount(), whole.GetBuyerAccount())
	tell(exchange.Seller, p.newest().GetSellerAccount(), whole.GetSellerAccount())
	return all
}

// flowOf is the chart that a connection follows. A circuit bought by token goes the way of
// one between ports of one owner.
func flowOf(c *patchbayv1.Connection) status.Flow {
	if c.GetFlow() == tokenFlow {
		return status.OwnFlow
	}
	return status.Flow(c.GetFlow())
}

// token is a word as it stands in a subject.
func token(word string) string { return strings.ToLower(word) }

func stateOf(c *patchbayv1.Connection) status.State {
	return status.State{
		Status: status.Status(c.GetStatus()), Provider: status.Provider(c.GetProviderStatus()),
		Native: status.Native{
			Status: c.GetNative().GetStatus(), ProviderStatus: c.GetNative().GetProviderStatus(),
			State: c.GetNative().GetState(), Change: c.GetNative().GetChange(),
		},
	}
}

func setState(c *patchbayv1.Connection, s status.State) {
	w := wire(s)
	c.Status, c.ProviderStatus, c.Native = w.GetStatus(), w.GetProviderStatus(), w.GetNative()
}

func wire(s status.State) *patchbayv1.State {
	w := &patchbayv1.State{Status: string(s.Status), ProviderStatus: string(s.Provider)}
	if s.Native != (status.Native{}) {
		w.Native = &patchbayv1.Native{
			Status: s.Native.Status, ProviderStatus: s.Native.ProviderStatus,
			State: s.Native.State, Change: s.Native.Change,
		}
	}
	return w
}
