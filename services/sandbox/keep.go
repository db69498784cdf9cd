package sandbox

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Open is [New] with circuits and service tokens that outlive the process: it reads them from the file
// state, or makes it, and writes every change there before anybody is told of it. An
// empty state is New.
//
// What was under way goes on as if the exchange had never been away. Access tokens, faults,
// robots, delays and calls begin anew. A killed process loses nothing; a power cut
// may, since nothing here is worth waiting for a disk.
func Open(cfg Config, state string) (*Exchange, error) {
	x := New(cfg)
	if state == "" {
		return x, nil
	}
	if err := x.recall(state); err != nil {
		return nil, fmt.Errorf("circuits in %s: %w", state, err)
	}
	if cfg.Scenario != nil {
		x.step(ScenarioStep{Robots: cfg.Scenario.Robots}, time.Now()) // for what is pending in the file
	}
	file, err := x.rewrite(state)
	if err != nil {
		return nil, fmt.Errorf("circuits in %s: %w", state, err)
	}
	x.kept = &keeper{file: file}
	return x, nil
}

// keeper appends to the file of circuits.
type keeper struct{ file *os.File }

// record is a circuit as the file has it, one in a line; the last of an id counts.
// Secrets of the API's users are in it, so the file is for its owner only.
type record struct {
	ID             string      `json:"id"`
	Gone           bool        `json:"gone,omitempty"`
	API            string      `json:"api,omitempty"` // viaECX if empty
	Seller         string      `json:"seller,omitempty"`
	Name           string      `json:"name,omitempty"`
	Buyer          string      `json:"buyer,omitempty"`
	Profile        string      `json:"profile,omitempty"`
	A              *Side       `json:"a,omitempty"`
	Z              *Side       `json:"z,omitempty"`
	Suggested      int         `json:"suggested,omitempty"`
	Speed          int         `json:"speed,omitempty"`
	Unit           string      `json:"unit,omitempty"`
	Wanted         int         `json:"wanted,omitempty"`
	WantedUnit     string      `json:"wantedUnit,omitempty"`
	WantsConsent   bool        `json:"wantsConsent,omitempty"`
	Consented      bool        `json:"consented,omitempty"`
	Leg            string      `json:"leg,omitempty"`
	Group          string      `json:"group,omitempty"`
	Twin           string      `json:"twin,omitempty"`
	Metro          string      `json:"metro,omitempty"`
	Region         string      `json:"region,omitempty"`
	Key            string      `json:"key,omitempty"`
	NamedTag       string      `json:"namedTag,omitempty"`
	Info           []infoField `json:"info,omitempty"`
	Notifications  []string    `json:"notifications,omitempty"`
	PurchaseOrder  string      `json:"purchaseOrder,omitempty"`
	Status         string      `json:"status,omitempty"`
	ProviderStatus string      `json:"providerStatus,omitempty"`
	RejectComment  string      `json:"rejectComment,omitempty"`
	Acknowledged   bool        `json:"acknowledged,omitempty"`
	Forced         bool        `json:"forced,omitempty"`
	Fabric         fabricOrder `json:"fabric,omitzero"`
	Change         change      `json:"change,omitzero"`
	Created        time.Time   `json:"created,omitzero"`
	Updated        time.Time   `json:"updated,omitzero"`
	Deleted        time.Time   `json:"deleted,omitzero"`
	Visible        time.Time   `json:"visible,omitzero"`
	UpdatedBy      []string    `json:"updatedBy,omitempty"`
	DeletedBy      []string    `json:"deletedBy,omitempty"`
	History        []Step      `json:"history,omitempty"`
	Next           step        `json:"next,omitempty"`
	Due            time.Time   `json:"due,omitzero"`

	PacketFabric *pfRecord `json:"packetfabric,omitempty"` // a circuit there, and nothing of the above but its id

	Pass *passRecord `json:"serviceToken,omitempty"`   // a service token, and nothing of the above but its id
	Sold *soldRecord `json:"serviceProfile,omitempty"` // a profile made by its seller, and nothing of the above but its id
}

func (c *circuit) record() record {
	if c.gone {
		return record{ID: c.id, Gone: true}
	}
	a := c.a.side()
	r := record{
		ID: c.id, API: c.api, Name: c.name, Buyer: c.buyer.org, A: &a, Suggested: c.suggested,
		Speed: c.speed.value, Unit: c.speed.unit, WantsConsent: c.wantsConsent, Consented: c.consented,
		Leg: c.leg, Group: c.group, Metro: c.metro, Region: c.region, Key: c.key, NamedTag: c.namedTag,
		Info: c.info, Notifications: c.notifications, PurchaseOrder: c.purchaseOrder,
		Status: c.status, ProviderStatus: c.providerStatus, RejectComment: c.rejectComment,
		Created: c.created, Updated: c.updated, Deleted: c.deleted, Visible: c.visible,
		UpdatedBy: c.updatedBy.words(), DeletedBy: c.deletedBy.words(),
		History: c.history, Next: c.next, Due: c.due,
		Acknowledged: c.acknowledged, Forced: c.forced, Fabric: c.fabric, Change: c.change,
	}
	if c.seller != nil {
		r.Seller = c.seller.org
	}
	if c.profile != nil {
		r.Profile = c.profile.id
	}
	if c.z.port != nil {
		z := c.z.side()
		r.Z = &z
	}
	if c.wanted != nil {
		r.Wanted, r.WantedUnit = c.wanted.value, c.wanted.unit
	}
	if c.twin != nil {
		r.Twin = c.twin.id
	}
	return r
}

func (u user) words() []string {
	if u == (user{}) {
		return nil
	}
	return []string{u.login, u.fullName, u.email}
}

func asUser(words []string) user {
	if len(words) != 3 {
		return user{}
	}
	return user{words[0], words[1], words[2]}
}

// circuit makes a circuit of r, without its twin.
func (x *Exchange) circuit(r record) (*circuit, error) {
	c := &circuit{
		id: r.ID, name: r.Name, suggested: r.Suggested, speed: speed{r.Speed, r.Unit},
		wantsConsent: r.WantsConsent, consented: r.Consented, leg: r.Leg, group: r.Group,
		metro: r.Metro, region: r.Region, key: r.Key, namedTag: r.NamedTag, info: r.Info,
		notifications: r.Notifications, purchaseOrder: r.PurchaseOrder,
		status: r.Status, providerStatus: r.ProviderStatus, rejectComment: r.RejectComment,
		created: r.Created, updated: r.Updated, deleted: r.Deleted, visible: r.Visible,
		updatedBy: asUser(r.UpdatedBy), deletedBy: asUser(r.DeletedBy), history: r.History,
		api: cmp.Or(r.API, viaECX), acknowledged: r.Acknowledged, forced: r.Forced,
		fabric: r.Fabric, change: r.Change,
		buyer: x.tenant(r.Buyer), seller: x.tenant(r.Seller),
	}
	if c.group == "" { // written before every circuit had one
		c.group = derivedID(c.id, "group")
	}
	if c.change.ID == "" {
		c.begin(c.created, creation, requested)
	}
	var ok bool
	if c.a, ok = x.end(r.A); !ok || c.buyer == nil {
		return nil, fmt.Errorf("circuit %s is of another inventory", r.ID)
	}
	if r.Profile != "" {
		if c.profile = x.profiles[r.Profile]; c.profile == nil {
			return nil, fmt.Errorf("circuit %s: no profile %s", r.ID, r.Profile)
		}
		c.seller = c.profile.seller
	}
	if r.Z != nil {
		if c.z, ok = x.end(r.Z); !ok {
			return nil, fmt.Errorf("circuit %s: no port %s", r.ID, r.Z.Port)
		}
	}
	if r.Wanted != 0 {
		c.wanted = &speed{r.Wanted, r.WantedUnit}
	}
	return c, nil
}

// tenant returns the organization of that name, or nil.
func (x *Exchange) tenant(org string) *tenant {
	for _, t := range x.tenants {
		if t.org == org {
			return t
		}
	}
	return nil
}

func (x *Exchange) end(s *Side) (end, bool) {
	if s == nil || x.ports[s.Port] == nil {
		return end{}, false
	}
	return end{x.ports[s.Port], tag{s.STag, s.CTag}}, true
}

// recall reads the circuits of a file, if there is one.
func (x *Exchange) recall(state string) error {
	order, last, err := readRecords(state)
	if err != nil {
		return err
	}
	for _, id := range order {
		r := last[id]
		x.used[r.ID], x.used[r.Group] = true, true
		if r.Gone {
			continue
		}
		if r.Sold != nil {
			if err := x.recallProfile(r); err != nil {
				return err
			}
			continue
		}
		if r.Pass != nil {
			if err := x.recallPass(r); err != nil {
				return err
			}
			continue
		}
		if r.PacketFabric != nil {
			if err := x.pfRecall(r.PacketFabric); err != nil {
				return err
			}
			continue
		}
		c, err := x.circuit(r)
		if err != nil {
			return err
		}
		x.enroll(c)
		if r.Next != "" {
			x.later(c, r.Due, r.Next)
		}
	}
	changes := slices.SortedStableFunc(slices.Values(x.all), func(a, b *circuit) int { return a.updated.Compare(b.updated) })
	for _, c := range changes {
		c.show()
	}
	for _, c := range x.all {
		x.used[c.group] = true
		c.twin = x.circuits[last[c.id].Twin]
	}
	return nil
}

// readRecords returns the ids in the file by first appearance, and the last record of
// each. A last line that a crash cut off is as if it had not been begun.
func readRecords(state string) ([]string, map[string]record, error) {
	b, err := os.ReadFile(state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	var order []string
	last := make(map[string]record)
	lines := bufio.NewReader(bytes.NewReader(b))
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return order, last, nil
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := last[r.ID]; !ok {
			order = append(order, r.ID)
		}
		last[r.ID] = r
	}
}

// rewrite replaces the file by one that has each circuit once, and opens it.
func (x *Exchange) rewrite(state string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(state+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(slices.Concat(profileLines(x.madeProfiles()), lines(x.all), passLines(x.allPasses()), pfLines(x.pf.all))); err == nil {
		err = os.Rename(state+".new", state)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// profileLines are the records of service profiles.
func profileLines(profiles []*profile) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, p := range profiles {
		if err := enc.Encode(record{ID: p.id, Sold: p.record()}); err != nil {
			panic(err) // a record of ours that is no JSON
		}
	}
	return b.Bytes()
}

// passLines are the records of service tokens.
func passLines(passes []*serviceToken) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, t := range passes {
		if err := enc.Encode(record{ID: t.id, Pass: t.record()}); err != nil {
			panic(err) // a record of ours that is no JSON
		}
	}
	return b.Bytes()
}

// lines are the records of circuits, each once.
func lines(circuits []*circuit) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	written := make(map[*circuit]bool)
	for _, c := range circuits {
		if written[c] {
			continue
		}
		written[c] = true
		if err := enc.Encode(c.record()); err != nil {
			panic(err) // a record of ours that is no JSON
		}
	}
	return b.Bytes()
}

// keep writes what has changed, in one piece: both legs of a pair or neither, and a
// circuit with the service tokens it was ordered with.
func (x *Exchange) keep() {
	if x.kept != nil && len(x.changed)+len(x.spent)+len(x.sold)+len(x.pf.changed) > 0 {
		if _, err := x.kept.file.Write(slices.Concat(profileLines(x.sold), lines(x.changed), passLines(x.spent),
			pfLines(x.pf.changed))); err != nil {
			x.log.Error().Err(err).Msg("circuits are not kept")
		}
	}
	for _, t := range x.spent {
		t.stock = false
	}
	clear(x.changed)
	clear(x.pf.changed)
	x.pf.changed = x.pf.changed[:0]
	clear(x.spent)
	x.sold = nil
	x.changed, x.spent = x.changed[:0], x.spent[:0]
}
