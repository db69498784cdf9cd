package packetfabric

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// Encapsulations of ports. An ENNI port carries two tags.
const (
	dot1q    = "dot1q"
	qinq     = "qinq"
	untagged = "untagged"
)

// customer is a side of a request. What it tells of people has no place here.
type customer struct {
	UUID   wire.ID   `json:"customer_uuid"`
	Name   wire.Text `json:"name"`
	Market wire.Text `json:"market"`
}

// paid is what of a bandwidth object matters.
type paid struct {
	Longhaul wire.Text `json:"longhaul_type"`
	Speed    wire.Text `json:"speed"`
}

// request is a request for a circuit as the API shows it.
type request struct {
	UUID           wire.ID     `json:"vc_request_uuid"`
	Circuit        wire.ID     `json:"vc_circuit_id"`
	From           customer    `json:"from_customer"`
	To             customer    `json:"to_customer"`
	Status         wire.Text   `json:"status"`
	Bandwidth      paid        `json:"bandwidth"`
	RateIn         wire.Number `json:"rate_limit_in"`
	RateOut        wire.Number `json:"rate_limit_out"`
	Service        wire.Text   `json:"service_name"`
	AllowUntaggedZ wire.Flag   `json:"allow_untagged_z"`
	Created        wire.Text   `json:"time_created"`
	Updated        wire.Text   `json:"time_updated"`
}

// is reports whether the request has a status, whatever its spelling.
func (r request) is(word string) bool { return strings.EqualFold(string(r.Status), word) }

// waiting reports whether the circuit, if there is one already, has no say yet or any more.
func (r request) waiting() bool { return r.is("pending") || r.is("rejected") }

// end is an end of a circuit.
type end struct {
	Port     wire.ID     `json:"port_circuit_id"`
	Vlan     wire.Number `json:"vlan"`
	Svlan    wire.Number `json:"svlan"`
	Untagged wire.Flag   `json:"untagged"`
	Customer wire.ID     `json:"customer_uuid"`
	Owner    wire.Text   `json:"customer_name"`
	Cloud    wire.Flag   `json:"is_cloud"`
}

// circuit is a virtual circuit as the API shows it.
type circuit struct {
	ID          wire.ID     `json:"vc_circuit_id"`
	Customer    wire.ID     `json:"customer_uuid"`
	State       wire.Text   `json:"state"`
	Bandwidth   paid        `json:"bandwidth"`
	Description wire.Text   `json:"description"`
	RateIn      wire.Number `json:"rate_limit_in"`
	RateOut     wire.Number `json:"rate_limit_out"`
	Order       wire.Text   `json:"po_number"`
	Ends        []end       `json:"interfaces"`
	Created     wire.Text   `json:"time_created"`
	Updated     wire.Text   `json:"time_updated"`

	// failed is the last word of a workflow that came to a bad end; empty for none.
	failed string
}

// Errors of things that are not what they should be.
var (
	errRequest = errors.New("a request without a usable uuid")
	errCircuit = errors.New("a circuit without a usable id")
)

// decode reads a JSON object. A field of an odd form is left out: it must not hide the rest.
func decode(b []byte, v any) bool {
	err := json.Unmarshal(b, v)
	var odd *json.UnmarshalTypeError
	return err == nil || errors.As(err, &odd) && odd.Field != ""
}

func readRequest(b []byte) (request, error) {
	var r request
	if !decode(b, &r) || !event.ValidID(string(r.UUID)) || isCircuit(string(r.UUID)) {
		return request{}, errRequest
	}
	if !event.ValidID(string(r.Circuit)) {
		r.Circuit = ""
	}
	return r, nil
}

func readCircuit(b []byte) (circuit, error) {
	var v circuit
	if !decode(b, &v) || !event.ValidID(string(v.ID)) {
		return circuit{}, errCircuit
	}
	return v, nil
}

// readAll reads a list, which is a bare array. It is whole or an error.
func readAll[T any](r wire.Reply, read func([]byte) (T, error)) ([]T, error) {
	if r.Status == http.StatusNoContent {
		return nil, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(r.Body, &items) != nil || items == nil {
		return nil, errors.New("a list in a form that is not the exchange's")
	}
	all := make([]T, 0, len(items))
	for _, item := range items {
		x, err := read(item)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

// isCircuit tells ids of circuits and ports, which begin with PF-, from uuids of requests.
func isCircuit(id string) bool { return strings.HasPrefix(id, "PF-") }

// mbps is the bandwidth that rate limits and speed stand for; 0 if none of them is shown.
func mbps(in, out wire.Number, b paid) int32 {
	switch {
	case in > 0 && out > 0:
		return int32(min(in, out))
	case in > 0 || out > 0:
		return int32(max(in, out))
	}
	return readSpeed(string(b.Speed))
}

// readSpeed reads a speed as in 50Mbps or 1Gbps; 0 if it is none.
func readSpeed(text string) int32 {
	low := strings.ToLower(strings.TrimSpace(text))
	unit := int64(1)
	digits, ok := strings.CutSuffix(low, "mbps")
	if !ok {
		if digits, ok = strings.CutSuffix(low, "gbps"); !ok {
			return 0
		}
		unit = 1000
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
	if err != nil || n <= 0 || n*unit > 1<<31-1 {
		return 0
	}
	return int32(n * unit)
}

// later is the later of two times, each of which may be absent.
func later(a, b *timestamppb.Timestamp) *timestamppb.Timestamp {
	if a == nil || b != nil && b.AsTime().After(a.AsTime()) {
		return b
	}
	return a
}

// tag is what is shown of the tag of an end; nil if nothing is.
func (e end) tag() *patchbayv1.Tag {
	vlan, svlan := int32(e.Vlan), int32(e.Svlan)
	switch {
	case svlan > 0 && vlan > 0:
		return &patchbayv1.Tag{STag: &svlan, CTag: &vlan}
	case svlan > 0:
		return &patchbayv1.Tag{STag: &svlan}
	case vlan > 0:
		return &patchbayv1.Tag{Vlan: &vlan}
	case bool(e.Untagged):
		return &patchbayv1.Tag{Untagged: true}
	}
	return nil
}

func (e end) encapsulation() string {
	switch {
	case e.Svlan > 0:
		return qinq
	case e.Vlan > 0:
		return dot1q
	case bool(e.Untagged):
		return untagged
	}
	return ""
}

// show writes the end into a side.
func (e end) show(s *patchbayv1.Side) {
	s.PortId, s.Tag, s.Encapsulation = string(e.Port), e.tag(), e.encapsulation()
}

// ends returns the end of a customer, and the other one. Where nothing tells whose they
// are, the first one is the customer's.
func (v circuit) ends(buyer, seller wire.ID) (a, z end) {
	at := func(i int) end {
		if i < len(v.Ends) {
			return v.Ends[i]
		}
		return end{}
	}
	a, z = at(0), at(1)
	if a.Customer == z.Customer {
		return a, z
	}
	if z.Customer != "" && z.Customer == buyer || a.Customer != "" && a.Customer == seller {
		return z, a
	}
	return a, z
}

// shared reports whether the circuit may be one between two customers: it is not if every
// end bears the same one.
func (v circuit) shared() bool {
	if len(v.Ends) == 0 {
		return true
	}
	for _, e := range v.Ends {
		if e.Customer == "" || e.Customer != v.Ends[0].Customer || bool(e.Cloud) {
			return true
		}
	}
	return false
}

// moves reports whether more is to come of the circuit.
func (v circuit) moves() bool {
	return status.Normalise(status.PacketFabric, status.Native{State: string(v.State)}).InMotion()
}

// put writes a state into conn.
func put(conn *patchbayv1.Connection, n status.Native) {
	s := status.Normalise(status.PacketFabric, n)
	conn.Status, conn.ProviderStatus = string(s.Status), string(s.Provider)
	conn.Native = &patchbayv1.Native{Status: n.Status, State: n.State, Change: n.Change}
}

func named(id string) *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: event.ConnectionID(name, id), Exchange: name, Api: string(status.PacketFabric), ExchangeId: id,
		ASide: &patchbayv1.Side{}, ZSide: &patchbayv1.Side{},
	}
}

// connection puts a request into our words, with the circuit that it has become; v is nil
// if there is none to be seen. Which accounts of ours are a party is for the caller to say,
// who knows them all.
func (r request) connection(v *circuit) *patchbayv1.Connection {
	conn := named(string(r.UUID))
	conn.Flow = string(status.ApprovalFlow)
	conn.BuyerOrganization, conn.SellerOrganization = string(r.From.Name), string(r.To.Name)
	conn.ASide.Metro, conn.ZSide.Metro = string(r.From.Market), string(r.To.Market)
	conn.ZSide.ProfileId, conn.ZSide.ProfileName = string(r.To.UUID), string(r.Service)
	conn.BandwidthMbps = mbps(r.RateIn, r.RateOut, r.Bandwidth)
	conn.CreatedAt, conn.UpdatedAt = wire.Date(r.Created), wire.Date(r.Updated)
	if r.Circuit != "" {
		conn.Aliases = []string{string(r.Circuit)}
	}
	n := status.Native{Status: string(r.Status)}
	if v != nil {
		n.State, n.Change = string(v.State), v.failed
		v.fill(conn, r.From.UUID, r.To.UUID)
	}
	put(conn, n)
	return conn
}

// fill writes what only the circuit shows into conn.
func (v circuit) fill(conn *patchbayv1.Connection, buyer, seller wire.ID) {
	a, z := v.ends(buyer, seller)
	a.show(conn.ASide)
	z.show(conn.ZSide)
	conn.Name, conn.PurchaseOrder = string(v.Description), string(v.Order)
	conn.BandwidthMbps = cmp.Or(mbps(v.RateIn, v.RateOut, v.Bandwidth), conn.BandwidthMbps)
	conn.UpdatedAt = later(conn.UpdatedAt, wire.Date(v.Updated))
}

// connection puts a circuit into our words whose request, if it had one, is not shown.
func (v circuit) connection(request string) *patchbayv1.Connection {
	conn := named(cmp.Or(request, string(v.ID)))
	if request != "" {
		conn.Aliases, conn.Flow = []string{string(v.ID)}, string(status.ApprovalFlow)
	} else if !v.shared() {
		conn.Flow = string(status.OwnFlow)
	}
	conn.CreatedAt = wire.Date(v.Created)
	v.fill(conn, v.Customer, "")
	a, z := v.ends(v.Customer, "")
	conn.BuyerOrganization, conn.SellerOrganization = string(a.Owner), string(z.Owner)
	if z.Customer != v.Customer {
		conn.ZSide.ProfileId = string(z.Customer)
	}
	put(conn, status.Native{State: string(v.State), Change: v.failed})
	return conn
}

// kind names what an answer was about, in errors.
func kind(k wire.Call) string { return k.Method + " " + name + " " + k.Name }

func malformed(k wire.Call, err error) error { return fmt.Errorf("%s: %w", kind(k), err) }

// call returns a call to a path; each id fills the next {id} of path.
func call(method, prefix, path string, p exchange.Purpose, ids ...string) wire.Call {
	k := wire.NewCall(method, prefix, path, ids...)
	k.Purpose = p
	return k
}
