package provisioner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at is a state whose connection has a status and asks for a kind of consent, which is
// approved; edits are applied to it.
func at(status string, l *patchbayv1.Landing, edits ...func(*state)) state {
	c := &patchbayv1.Connection{Id: "c-1", ExchangeId: "x-1", Exchange: "equinix", Status: status, BandwidthMbps: 50}
	s := state{sight: approval.Sight{Connection: c, Kind: approval.Kind(c)}, landing: l}
	kind := s.sight.Kind
	s.approval = &patchbayv1.Approval{ConnectionId: "c-1", Fact: approval.Approved, Kind: kind, Account: "cloud",
		Digest: approval.Digest(c, kind)}
	for _, edit := range edits {
		edit(&s)
	}
	return s
}

func landing(fact, kind string, edits ...func(*patchbayv1.Landing)) *patchbayv1.Landing {
	l := &patchbayv1.Landing{ConnectionId: "c-1", Fact: fact, Kind: kind, Account: "cloud", Exchange: "equinix",
		PortId: "p-1", Tag: &patchbayv1.Tag{Vlan: proto.Int32(100)}, HoldId: "h"}
	for _, edit := range edits {
		edit(l)
	}
	return l
}

func until(d time.Duration) func(*patchbayv1.Landing) {
	return func(l *patchbayv1.Landing) { l.Wait = &patchbayv1.Wait{Until: timestamppb.New(noon.Add(d))} }
}

func noPort(l *patchbayv1.Landing) { l.PortId, l.Tag, l.HoldId = "", nil, "" }
func fresh(s *state)               { s.fresh = true }
func inferred(s *state)            { s.inferred = true }
func unasked(s *state)             { s.approval = nil }
func waiting(s *state)             { s.approval.Fact = approval.Requested }
func faster(s *state)              { s.sight.Connection.BandwidthMbps = 500 }

func TestNext(t *testing.T) {
	tests := []struct {
		name   string
		s      state
		want   deed
		reason string
	}{
		{"nothing", state{}, nothing, "nobody has seen it"},
		{"approved", at("PENDING_APPROVAL", nil), choose, ""},
		{"not approved", at("PENDING_APPROVAL", nil, waiting), nothing, "a person is to decide"},
		{"never asked", at("PENDING_APPROVAL", nil, unasked), nothing, ""},
		{"changed since", at("PENDING_APPROVAL", nil, faster), nothing, "what was approved is not what is there"},
		{"inferred", at("PENDING_APPROVAL", nil, inferred), nothing, "nothing is done upon a conclusion"},
		{"unknown", at("UNKNOWN", landing(accepting, "create")), nothing, "a word nobody documented says nothing"},
		{"reserved", at("PENDING_APPROVAL", landing(reserved, "create")), take, ""},
		{"accepting", at("PENDING_APPROVAL", landing(accepting, "create", until(time.Second))), await, "somebody is calling"},
		{"accepting too long", at("PENDING_APPROVAL", landing(accepting, "create", until(0))), take, "whoever called is dead"},
		{"accepting, void", at("PENDING_APPROVAL", landing(accepting, "create", until(0)), waiting), nothing, "it is asked anew"},
		{"accepted", at("PENDING_APPROVAL", landing(accepted, "create")), nothing, "the watcher will see"},
		{"no tag", at("PENDING_APPROVAL", landing(failed, "create", noPort, until(time.Second))), await, ""},
		{"no tag, later", at("PENDING_APPROVAL", landing(failed, "create", noPort, until(0))), choose, "one may be free now"},
		{"no tag, approved again", at("PENDING_APPROVAL", landing(failed, "create", noPort, until(time.Hour)), fresh), choose, ""},
		{"refused", at("PENDING_APPROVAL", landing(failed, "create", until(time.Second))), await, ""},
		{"refused, later", at("PENDING_APPROVAL", landing(failed, "create", until(0))), take, "it keeps its port and tag"},
		{"refused, approved again", at("PENDING_APPROVAL", landing(failed, "create", until(time.Hour)), fresh), take, ""},
		{"moved on", at("PROVISIONING", landing(accepting, "create", until(time.Hour))), look, "at once, whoever called"},
		{"reserved, accepted in the portal", at("PROVISIONED", landing(reserved, "create")), look, ""},
		{"failed, accepted in the portal", at("PROVISIONED", landing(failed, "create", until(time.Hour))), look, "its wait is over"},
		{"provisioned", at("PROVISIONED", landing(accepted, "create")), nothing, ""},
		{"given up", at("PROVISIONED", landing(failed, "delete")), nothing, "nobody waits"},
		{"delete", at("PENDING_DELETE", landing(accepted, "create")), accept, ""},
		{"delete, landed before us", at("PENDING_DELETE", nil), accept, "there is nothing to free later"},
		{"delete again", at("PENDING_DELETE", landing(failed, "delete"), fresh), accept, "the first was taken back"},
		{"delete, create unfinished", at("PENDING_DELETE", landing(accepting, "create", until(time.Hour))), look, "first things first"},
		{"ended", at("DEPROVISIONED", landing(accepted, "delete")), release, ""},
		{"rejected", at("REJECTED", landing(reserved, "create")), release, ""},
		{"released", at("DEPROVISIONED", landing(released, "create")), release, "the hold may not be freed yet"},
		{"ended, never landed", at("DEPROVISIONED", nil), nothing, ""},
		{"ended, inferred", at("DEPROVISIONED", landing(accepted, "create"), inferred), nothing, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := next(tt.s, noon); got != tt.want {
				t.Errorf("next = %s, want %s: %s", got, tt.want, tt.reason)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	tests := []struct {
		kind, status string
		edit         func(*patchbayv1.Connection)
		want         progress
	}{
		{"create", "PENDING_APPROVAL", nil, pending},
		{"create", "PROVISIONING", nil, moved},
		{"create", "PENDING_DELETE", nil, moved},
		{"create", "REJECTED", nil, ended},
		{"create", "UNKNOWN", nil, unclear},
		{"delete", "PENDING_DELETE", nil, pending},
		{"delete", "DEPROVISIONING", nil, moved},
		{"delete", "DEPROVISIONED", nil, moved},
		{"delete", "PROVISIONED", nil, withdrawn},
		{"change", "PROVISIONED", func(c *patchbayv1.Connection) { c.PendingBandwidthMbps = 5 }, pending},
		{"change", "PROVISIONED", func(c *patchbayv1.Connection) { c.Native = &patchbayv1.Native{Change: approval.Submitted} }, pending},
		{"change", "PROVISIONED", func(c *patchbayv1.Connection) { c.ChangePending = true }, maybe},
		{"change", "PROVISIONED", nil, moved},
		{"change", "DEPROVISIONED", nil, ended},
	}
	for _, tt := range tests {
		c := &patchbayv1.Connection{Status: tt.status}
		if tt.edit != nil {
			tt.edit(c)
		}
		if got := progressOf(tt.kind, c); got != tt.want {
			t.Errorf("%s of %v = %s, want %s", tt.kind, c, got, tt.want)
		}
	}
	for class, want := range map[exchange.Class]progress{
		exchange.Done: moved, exchange.Over: moved, exchange.Refused: moved,
		exchange.Unknown: unclear, exchange.NotSent: unclear, exchange.Busy: unclear,
	} {
		if got := after(maybe, class); got != want {
			t.Errorf("a change that may wait, after %s = %s, want %s", class, got, want)
		}
		if got := after(pending, class); got != pending {
			t.Errorf("what is seen pending, after %s = %s: the look counts, not the answer", class, got)
		}
	}
}

func rules(t testing.TB) []account.Landing {
	t.Helper()
	tags := func(text string) account.Tags {
		parsed, err := account.ParseTags(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	return []account.Landing{
		{Metro: "SV", Ports: []string{"d1", "d2", "d3"}, Encapsulation: account.Dot1q, Tags: tags("100-101")},
		{Metro: "SV", Ports: []string{"q1", "q2"}, Encapsulation: account.QinQ, Tags: tags("7")},
		{Metro: "SV", Ports: []string{"d1"}, Encapsulation: account.Dot1q, Tags: tags("900")},
		{Metro: "DC", Ports: []string{"gone"}, Encapsulation: account.Dot1q, Tags: tags("100")},
	}
}

func portsOf(rules []account.Landing) []exchange.Port {
	var ports []exchange.Port
	for _, r := range rules {
		for _, id := range r.Ports {
			if id != "gone" {
				ports = append(ports, exchange.Port{ID: id, Metro: r.Metro, Encapsulation: string(r.Encapsulation)})
			}
		}
	}
	return ports
}

func TestPlaces(t *testing.T) {
	tests := []struct {
		name   string
		r      request
		want   []string // ports
		words  bool
		reason string
	}{
		{"dot1q", request{metro: "SV", encapsulation: "dot1q"}, []string{"d1", "d2", "d3", "d1"}, false, "rules, then ports, as written"},
		{"qinq", request{metro: "SV", encapsulation: "qinq"}, []string{"q1", "q2"}, false, ""},
		{"any", request{metro: "SV"}, []string{"d1", "d2", "d3", "q1", "q2", "d1"}, false, "the rule's own encapsulation"},
		{"secondary", request{metro: "SV", encapsulation: "qinq", secondary: true}, []string{"q2", "q1"}, false, "not where the primary goes"},
		{"secondary, primary elsewhere", request{metro: "SV", encapsulation: "dot1q", secondary: true, avoid: []string{"d2"}},
			[]string{"d3", "d1", "d2", "d1"}, false, "the primary's port comes last"},
		{"no metro", request{metro: "SE", encapsulation: "dot1q"}, nil, true, ""},
		{"untagged", request{metro: "SV", encapsulation: "untagged"}, nil, true, ""},
		{"no port", request{metro: "DC", encapsulation: "dot1q"}, nil, true, "the exchange does not know it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			where, why := places(rules(t), portsOf(rules(t)), tt.r)
			var got []string
			for _, p := range where {
				got = append(got, p.port)
			}
			if !slices.Equal(got, tt.want) || (why != "") != tt.words {
				t.Errorf("places = %q, %q; want %q: %s", got, why, tt.want, tt.reason)
			}
		})
	}
}

// A port that a rule names in another case than the exchange is the same port.
func TestPlacesInAnotherCase(t *testing.T) {
	const id = "1902767c-2e77-41de-a7cb-bc9db91651a2"
	rules := []account.Landing{{Metro: "SV", Encapsulation: account.Dot1q, Ports: []string{strings.ToUpper(id)}}}
	ports := []exchange.Port{{ID: id, Metro: "SV", Encapsulation: string(account.Dot1q)}}
	where, why := places(rules, ports, request{metro: "SV"})
	if len(where) != 1 || where[0].port != id {
		t.Errorf("places = %v, %q; want %s", where, why, id)
	}
}

// Whatever is taken, what is picked is not, fits the request, and is the first in order;
// and nothing is picked only if nothing is left.
func TestPick(t *testing.T) {
	all := rules(t)
	rapid.Check(t, func(t *rapid.T) {
		r := request{metro: "SV", encapsulation: rapid.SampledFrom([]string{"", "dot1q", "qinq"}).Draw(t, "encapsulation"),
			secondary: rapid.Bool().Draw(t, "secondary")}
		where, _ := places(all, portsOf(all), r)
		taken := map[spotKey]bool{}
		for range 12 {
			s, ok := pick(where, func(port string, outer int32) bool { return taken[spotKey{port, outer}] })
			left := 0
			for _, p := range where {
				for tag := range p.rule.Tags.All() {
					if !taken[spotKey{p.port, int32(tag)}] {
						left++
					}
				}
			}
			if ok != (left > 0) {
				t.Fatalf("picked %t with %d left", ok, left)
			}
			if !ok {
				return
			}
			if taken[spotKey{s.port, s.outer}] || !s.rule.Tags.Contains(int(s.outer)) {
				t.Fatalf("picked %s, which is taken or not in the rule", s)
			}
			taken[spotKey{s.port, s.outer}] = true
			if rapid.Bool().Draw(t, "more") {
				taken[spotKey{"d2", 100}] = true
			}
		}
	})
}

type spotKey struct {
	port  string
	outer int32
}

// News that needs no further reading is news upon which nothing would be done.
func TestQuiet(t *testing.T) {
	kinds := []string{exchange.Create, exchange.Change, exchange.Delete}
	found := 0
	for _, status := range []string{"PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "PENDING_DELETE", "DEPROVISIONING", "DEPROVISIONED", "REJECTED", "FAILED", "UNKNOWN"} {
		for _, fact := range []string{reserved, accepting, accepted, failed, released} {
			for _, kind := range kinds {
				for _, approvedKind := range kinds {
					for _, edits := range [][]func(*state){nil, {fresh}, {inferred}, {waiting}} {
						s := at(status, landing(fact, kind, until(time.Minute)), edits...)
						if s.approval.Kind = approvedKind; s.sight.Kind == "" && approvedKind == exchange.Change {
							s.sight.Kind = approvedKind // a change that came after the news asks for it
						}
						s.approval.Digest = approval.Digest(s.sight.Connection, approvedKind)
						if !quiet(s, s.sight.Connection) {
							continue
						}
						found++
						if got := next(s, noon); got != nothing {
							t.Errorf("%s, %s %s, approved %s: next = %s upon news that is said to leave nothing to do", status, fact, kind, approvedKind, got)
						}
					}
				}
			}
		}
	}
	if found == 0 || !quiet(at("PROVISIONED", landing(accepted, exchange.Create), func(s *state) { s.approval.Kind = exchange.Create }),
		&patchbayv1.Connection{Status: "PROVISIONED"}) {
		t.Errorf("%d cases are quiet; a circuit that was landed and is PROVISIONED has to be", found)
	}
	if quiet(state{}, &patchbayv1.Connection{Status: "PROVISIONED"}) {
		t.Error("quiet without a landing; an approval may wait for one")
	}
}

func TestReserve(t *testing.T) {
	l := &patchbayv1.Landing{ConnectionId: "c-1", Exchange: "equinix", Account: "cloud"}
	wish := proto.Int32(421)
	q := reserve(l, spot{place{"q1", rules(t)[1]}, 7}, wish, noon)
	if q.GetTag().GetSTag() != 7 || q.GetTag().GetCTag() != 421 || q.GetTag().Vlan != nil {
		t.Errorf("qinq tag = %v, want S 7 and the inner tag that was asked for", q.GetTag())
	}
	d := reserve(l, spot{place{"d1", rules(t)[0]}, 100}, wish, noon)
	if d.GetTag().GetVlan() != 100 || d.GetTag().CTag != nil || d.GetHoldId() == q.GetHoldId() || d.GetWait() == nil {
		t.Errorf("dot1q landing = %v, want VLAN 100 alone, a hold and a wait", d)
	}
	again := tried(d)
	if again.GetPortId() != "" || !slices.Equal(again.GetTaken(), []string{"d1/100"}) {
		t.Errorf("tried = %v, want d1/100 among the taken", again)
	}
}

// Where the first of a pair lands is remembered while its twin may come, and no longer.
func TestTwinsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tags := newTags(nil)
		for day := range 365 {
			group := fmt.Sprint("group-", day)
			tags.pair(group, "p-1")
			tags.pair(group, "p-1") // it lands anew on the same port
			if got := tags.ports(group); !slices.Equal(got, []string{"p-1"}) {
				t.Fatalf("%s lands on %q, want p-1", group, got)
			}
			time.Sleep(24 * time.Hour)
		}
		if n := len(tags.twins); n != 31 {
			t.Errorf("after a year of one group a day %d are known, want those of 30 days and today's", n)
		}
		if tags.part("group-364"); len(tags.ports("group-364")) != 0 || len(tags.ports("group-340")) != 1 {
			t.Error("want the group that was given up forgotten, and another of this month known")
		}
	})
}
