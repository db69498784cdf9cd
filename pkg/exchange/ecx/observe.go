package ecx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// Sizes of pages. The API's clients have asked for up to 300 rows.
const (
	listSize = 200
	findSize = 300
)

// movingWords are the statuses of ECX v3 after which another one follows. The list
// endpoints filter by them, so a word of Fabric's is none.
var movingWords = []string{
	"PENDING_APPROVAL", "PENDING_AUTO_APPROVAL", "PROVISIONING", "NOT_PROVISIONED",
	"PENDING_BGP_PEERING", "PENDING_PROVIDER_VLAN", "PENDING_DELETE", "DEPROVISIONING",
}

// row is a circuit as the API shows it. What may hold a secret has no place here.
type row struct {
	UUID            wire.ID     `json:"uuid"`
	Name            wire.Text   `json:"name"`
	Buyer           wire.Text   `json:"buyerOrganizationName"`
	PortUUID        wire.ID     `json:"portUUID"`
	PortName        wire.Text   `json:"portName"`
	VlanSTag        wire.Number `json:"vlanSTag"`
	VlanCTag        wire.Number `json:"vlanCTag"`
	AEncapsulation  wire.Text   `json:"asideEncapsulation"`
	Metro           wire.Text   `json:"metroCode"`
	ZPortUUID       wire.ID     `json:"zSidePortUUID"`
	ZPortName       wire.Text   `json:"zSidePortName"`
	ZVlanSTag       wire.Number `json:"zSideVlanSTag"`
	ZVlanCTag       wire.Number `json:"zSideVlanCTag"`
	ZEncapsulation  wire.Text   `json:"zsideEncapsulation"`
	WishedPrimary   wire.Number `json:"suggestedPrimaryZSideVlanCTag"`
	WishedSecondary wire.Number `json:"suggestedSecondaryZSideVlanCTag"`
	ProfileUUID     wire.ID     `json:"sellerServiceUUID"`
	ProfileName     wire.Text   `json:"sellerServiceName"`
	Seller          wire.Text   `json:"sellerOrganizationName"`
	SellerMetro     wire.Text   `json:"sellerMetroCode"`
	SellerRegion    wire.Text   `json:"sellerRegion"`
	NamedTag        wire.Text   `json:"namedTag"`
	Status          wire.Text   `json:"status"`
	ProviderStatus  wire.Text   `json:"providerStatus"`
	Updating        wire.Flag   `json:"updateInProgress"`
	WaitsForSpeed   wire.Text   `json:"sellerApprovalPendingForBandwidth"` // a boolean or a speed
	WantedSpeed     wire.Number `json:"requestedSpeed"`
	WantedSpeedUnit wire.Text   `json:"requestedSpeedUnit"`
	RejectComment   wire.Text   `json:"rejectComment"`
	Speed           wire.Number `json:"speed"`
	SpeedUnit       wire.Text   `json:"speedUnit"`
	PurchaseOrder   wire.Text   `json:"purchaseOrderNumber"`
	Redundancy      wire.Text   `json:"redundancyType"`
	RedundancyGroup wire.ID     `json:"redundancyGroup"`
	Created         wire.Text   `json:"createdDate"`
	Updated         wire.Text   `json:"lastUpdatedDate"`
}

// errRow reports something that should be a circuit and is none.
var errRow = errors.New("a circuit without a usable id")

// readRow reads a circuit. Fields it does not know, or that have an odd form, are left
// out; only an id it must have.
func readRow(b []byte) (row, error) {
	var r row
	if err := json.Unmarshal(b, &r); err != nil {
		return row{}, errRow
	}
	if !event.ValidID(string(r.UUID)) {
		return row{}, errRow
	}
	return r, nil
}

// connection puts a circuit into our words. Which accounts of ours are a party is for
// the caller to say, who knows them all.
func (r row) connection() *patchbayv1.Connection {
	state := status.Normalise(status.ECX, status.Native{
		Status: string(r.Status), ProviderStatus: string(r.ProviderStatus)})
	pending, waits := r.pendingSpeed()
	return &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", string(r.UUID)), Exchange: "equinix", Api: string(status.ECX),
		ExchangeId: string(r.UUID), Name: string(r.Name), BandwidthMbps: mbps(r.Speed, r.SpeedUnit),
		Status: string(state.Status), ProviderStatus: string(state.Provider),
		Native:            &patchbayv1.Native{Status: state.Native.Status, ProviderStatus: state.Native.ProviderStatus},
		BuyerOrganization: string(r.Buyer), SellerOrganization: string(r.Seller),
		ASide: &patchbayv1.Side{
			PortId: string(r.PortUUID), PortName: string(r.PortName),
			Encapsulation: encapsulation(r.AEncapsulation), Metro: string(r.Metro),
			Tag: tag(r.AEncapsulation, r.VlanSTag, r.VlanCTag),
		},
		ZSide: &patchbayv1.Side{
			PortId: string(r.ZPortUUID), PortName: string(r.ZPortName),
			Encapsulation: encapsulation(r.ZEncapsulation), Metro: string(r.SellerMetro),
			Tag:       tag(r.ZEncapsulation, r.ZVlanSTag, cmp.Or(r.ZVlanCTag, r.WishedPrimary, r.WishedSecondary)),
			ProfileId: string(r.ProfileUUID), ProfileName: string(r.ProfileName),
			Region: string(r.SellerRegion), Peering: strings.ToUpper(string(r.NamedTag)),
		},
		Redundancy: strings.ToLower(string(r.Redundancy)), RedundancyGroup: string(r.RedundancyGroup),
		PurchaseOrder: string(r.PurchaseOrder), RejectComment: string(r.RejectComment),
		ChangePending: bool(r.Updating) || waits, PendingBandwidthMbps: pending,
		CreatedAt: wire.Date(r.Created), UpdatedAt: wire.Date(r.Updated),
	}
}

// pendingSpeed is the speed that waits for the seller, and whether one does. The API
// says so by a boolean or by the speed itself.
func (r row) pendingSpeed() (int32, bool) {
	var yes wire.Flag
	var speed wire.Number
	_ = yes.UnmarshalJSON([]byte(r.WaitsForSpeed)) // never fails
	_ = speed.UnmarshalJSON([]byte(r.WaitsForSpeed))
	wanted := mbps(r.WantedSpeed, cmp.Or(r.WantedSpeedUnit, r.SpeedUnit))
	switch {
	case bool(yes) && speed <= 1:
		return wanted, true
	case speed > 0:
		return cmp.Or(wanted, int32(speed)), true
	}
	return 0, false
}

// encapsulation writes Dot1q and Qinq in lower case.
func encapsulation(t wire.Text) string { return strings.ToLower(strings.TrimSpace(string(t))) }

// tag is what is shown of a tag; nil if nothing is. On the Z side an inner tag may stand
// alone: it is the buyer's wish until the seller has landed the circuit.
func tag(encap wire.Text, s, c wire.Number) *patchbayv1.Tag {
	if s == 0 && c == 0 {
		return nil
	}
	t := &patchbayv1.Tag{}
	if s != 0 && encapsulation(encap) == dot1q {
		t.Vlan = (*int32)(&s)
	} else if s != 0 {
		t.STag = (*int32)(&s)
	}
	if c != 0 {
		t.CTag = (*int32)(&c)
	}
	return t
}

// read makes a call that changes nothing and wants a 2xx.
func (c *Client) read(ctx context.Context, k wire.Call) (wire.Reply, error) {
	r, err := c.wire.Send(ctx, c.login, k)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("%s ecx %s: %w", k.Method, k.Name, err)
	}
	if r.OK() {
		return r, nil
	}
	if r.Status == http.StatusTooManyRequests {
		return r, exchange.Throttled{After: r.RetryAfter()}
	}
	if list, own := complaints(r.Body); own {
		return r, &refused{name: k.Method + " ecx " + k.Name, status: r.Status,
			code: wire.Scrub(string(list[0].Code), k.Secrets), words: wire.Scrub(list[0].words(), k.Secrets)}
	}
	return r, fmt.Errorf("%s ecx %s: %s", k.Method, k.Name, r.Words())
}

// refused is an answer in the exchange's own form to a call that changes nothing.
type refused struct {
	name, code, words string
	status            int
}

func (e *refused) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.name, e.status, e.code, e.words)
}

// Get reads one circuit.
func (c *Client) Get(ctx context.Context, exchangeID string) (*patchbayv1.Connection, error) {
	return c.get(ctx, exchangeID, exchange.ForWatch)
}

func (c *Client) get(ctx context.Context, id string, p exchange.Purpose) (*patchbayv1.Connection, error) {
	if !event.ValidID(id) {
		return nil, fmt.Errorf("%q is no id of a circuit", id)
	}
	k := v3Call(http.MethodGet, connections+"/{id}", id)
	k.Purpose = p
	r, err := c.read(ctx, k)
	if own := new(refused); errors.As(err, &own) && own.code == codeUnknown {
		return nil, fmt.Errorf("circuit %s: %w", id, exchange.ErrGone)
	}
	if err != nil {
		return nil, err
	}
	shown, err := readRow(r.Body)
	if err != nil {
		return nil, fmt.Errorf("circuit %s: %w", id, err)
	}
	if shown.UUID != wire.ID(id) {
		return nil, fmt.Errorf("circuit %s: the exchange answered with %s", id, shown.UUID)
	}
	return c.flowed(shown.connection()), nil
}

// flowed adds the flow where it is known without asking.
func (c *Client) flowed(conn *patchbayv1.Connection) *patchbayv1.Connection {
	z := conn.GetZSide()
	if flow, ok := c.flows.Get(z.GetProfileId()); ok {
		conn.Flow = flow
	} else if z.GetProfileId() == "" && z.GetPortId() != "" {
		conn.Flow = string(status.OwnFlow)
	}
	return conn
}

// List reads the circuits that the account bought or sold.
func (c *Client) List(ctx context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error {
	l := listing{role: role, size: listSize, purpose: exchange.ForWatch}
	if moving {
		l.status = strings.Join(movingWords, ",")
	}
	return c.list(ctx, l, yield)
}

// listing is a list that is to be read whole.
type listing struct {
	role    string
	status  string // comma list; empty for all
	size    int
	purpose exchange.Purpose
	ahead   *time.Duration // where to put the clock's offset; nil if nobody asks
}

func (c *Client) list(ctx context.Context, l listing, yield func(*patchbayv1.Connection) error) error {
	if l.role != exchange.Buyer && l.role != exchange.Seller {
		return fmt.Errorf("%q is no role of a list", l.role)
	}
	k := v3Call(http.MethodGet, "/l2/"+l.role+"/connections")
	k.Purpose, k.Query = l.purpose, url.Values{}
	if l.status != "" {
		k.Query.Set("status", l.status)
	}
	return c.pages(ctx, k, l.size, func(r wire.Reply, item json.RawMessage) error {
		if l.ahead != nil {
			*l.ahead = r.Ahead()
		}
		shown, err := readRow(item)
		if err != nil {
			return err
		}
		return yield(c.flowed(shown.connection()))
	})
}
