package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// Words of Fabric v4 after which another one follows, for the filters of List.
var (
	movingWords = []string{
		"PENDING_APPROVAL", "PENDING_AUTO_APPROVAL", "PROVISIONING", "NOT_PROVISIONED", "PENDING_BGP_PEERING",
		"PENDING_PROVIDER_VLAN", "PENDING_INTERFACE_CONFIGURATION", "DRAFT", "PENDING_DELETE", "DEPROVISIONING",
		"NOT_DEPROVISIONED",
	}
	// movingProviderWords are those beside PROVISIONED.
	movingProviderWords = []string{
		"NOT_AVAILABLE", "PENDING_APPROVAL", "PENDING_CONFIGURATION", "PROVISIONING", "PENDING_BGP", "ORDERING",
		"DELETING", "DEPROVISIONING", "PENDING DELETE", "ERROR", "FAILED", "REJECTED", "N/A", "DEPROVISIONED",
	}
	movingChanges = []string{"REQUESTED", "SUBMITTED_FOR_APPROVAL"}
)

// Orders of lists. One by creation holds still while circuits change.
var (
	byCreation = []sorting{{"/changeLog/createdDateTime", "ASC"}}
	byUpdate   = []sorting{{"/changeLog/updatedDateTime", "DESC"}}
)

// Get reads one circuit.
func (c *Client) Get(ctx context.Context, exchangeID string) (*patchbayv1.Connection, error) {
	return c.get(ctx, exchangeID, exchange.ForWatch)
}

// List reads the circuits that the account bought or sold.
func (c *Client) List(ctx context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error {
	s := search{path: connections + "/search", purpose: exchange.ForWatch, query: query{Sort: byCreation}}
	if moving {
		s.loose = true // what moved on is not in motion, or will be found next time
		s.query.Filter = &filter{Or: []filter{
			in("/operation/equinixStatus", movingWords...),
			{And: []filter{
				is("/operation/equinixStatus", "PROVISIONED"),
				in("/operation/providerStatus", movingProviderWords...),
			}},
			in("/change/status", movingChanges...),
		}}
	}
	return c.inRoles(ctx, s, role, func(r row) error { return yield(c.taken(r)) })
}

// errEnough ends a list of which the rest is not wanted.
var errEnough = errors.New("enough")

// Changed reads circuits from the newest update down to since. What changes meanwhile moves
// to the front of the list; it is newer than all that was read, so the next call brings it.
func (c *Client) Changed(
	ctx context.Context, role string, since time.Time, yield func(*patchbayv1.Connection) error,
) error {
	s := search{path: connections + "/search", purpose: exchange.ForWatch, query: query{Sort: byUpdate}, loose: true}
	err := c.inRoles(ctx, s, "", func(r row) error {
		if at := wire.Date(r.ChangeLog.Updated); at != nil && at.AsTime().Before(since) {
			return errEnough
		}
		if !c.inRole(r, role) {
			return nil
		}
		return yield(c.taken(r))
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// inRoles hands the circuits that a search brings in a role to use; an empty role is any.
func (c *Client) inRoles(ctx context.Context, s search, role string, use func(row) error) error {
	if role != "" && role != exchange.Buyer && role != exchange.Seller {
		return fmt.Errorf("%q is no role of a list", role)
	}
	if c.cfg.Account.Role.Buys() && c.cfg.Account.Role.Sells() {
		// Where a circuit does not show its direction, the A port tells.
		if _, err := c.Ports(ctx); err != nil {
			return err
		}
	}
	return c.search(ctx, s, func(item json.RawMessage) error {
		shown, err := readRow(item)
		if err != nil {
			return err
		}
		if role != "" && !c.inRole(shown, role) {
			return nil
		}
		return use(shown)
	})
}

// GetAll reads circuits, a hundred a call.
func (c *Client) GetAll(ctx context.Context, exchangeIDs []string, yield func(*patchbayv1.Connection) error) error {
	for _, id := range exchangeIDs {
		if !event.ValidID(id) {
			return fmt.Errorf("%q is no id of a circuit", id)
		}
	}
	for ids := range slices.Chunk(exchangeIDs, pageSize) {
		by := in("/uuid", ids...)
		s := search{path: connections + "/search", purpose: exchange.ForWatch, query: query{Filter: &filter{And: []filter{by}}, Sort: byCreation}}
		err := c.search(ctx, s, func(item json.RawMessage) error {
			shown, err := readRow(item)
			if err != nil {
				return err
			}
			return yield(c.taken(shown))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// The types of Equinix' own events that tell of a circuit's state, as its buyer and as its
// seller are told. Their last word is the state in lower case.
const (
	buyerEvents  = "equinix.fabric.connection.state."
	sellerEvents = "equinix.fabric.service_profile_connection.state."
)

// eventTypes are all types of events about states.
var eventTypes = []string{
	buyerEvents + "pending", buyerEvents + "provisioning", buyerEvents + "provisioned",
	buyerEvents + "reprovisioning", buyerEvents + "deprovisioning", buyerEvents + "deprovisioned",
	buyerEvents + "failed",
	sellerEvents + "pending", sellerEvents + "provisioned", sellerEvents + "deprovisioned", sellerEvents + "failed",
}

// cloudEvent is an event of Equinix' own. Of its data only the resource's state counts,
// which deletion events do not have.
type cloudEvent struct {
	Type    wire.Text `json:"type"`
	Subject wire.Text `json:"subject"`
	Time    wire.Text `json:"time"`
	Data    struct {
		Resource struct {
			State wire.Text `json:"state"`
		} `json:"resource"`
	} `json:"data"`
}

// readEvent reads an event about circuit id; false if it tells nothing of its state.
func readEvent(b []byte, id string) (exchange.PastState, bool) {
	var e cloudEvent
	if decode(b, &e) != nil {
		return exchange.PastState{}, false
	}
	word, of := strings.CutPrefix(string(e.Type), buyerEvents)
	if !of {
		word, of = strings.CutPrefix(string(e.Type), sellerEvents)
	}
	at := wire.Date(e.Time)
	about := string(e.Subject) == "" || strings.Contains(strings.ToLower(string(e.Subject)), strings.ToLower(id))
	if !of || word == "" || at == nil || !about {
		return exchange.PastState{}, false
	}
	state := strings.ToUpper(word)
	if e.Data.Resource.State != "" {
		state = string(e.Data.Resource.State)
	}
	return exchange.PastState{At: at.AsTime(), State: state}, true
}

// Past reads Equinix' own events about a circuit, which it keeps for a year.
func (c *Client) Past(ctx context.Context, exchangeID string, since time.Time) ([]exchange.PastState, error) {
	if !event.ValidID(exchangeID) {
		return nil, fmt.Errorf("%q is no id of a circuit", exchangeID)
	}
	all := []filter{is("/subject", v4+connections+"/"+exchangeID), in("/type", eventTypes...)}
	if !since.IsZero() {
		all = append(all, filter{Property: "/time", Operator: ">=", Values: []string{since.UTC().Format(time.RFC3339)}})
	}
	s := search{path: "/cloudevents/search", purpose: exchange.ForWatch, loose: true, query: query{Filter: &filter{And: all}}}
	var past []exchange.PastState
	err := c.search(ctx, s, func(item json.RawMessage) error {
		if p, ok := readEvent(item, exchangeID); ok && !p.At.Before(since.Truncate(time.Second)) {
			past = append(past, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(past, func(a, b exchange.PastState) int { return a.At.Compare(b.At) })
	return past, nil
}
