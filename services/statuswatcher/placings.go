package statuswatcher

import (
	"iter"
	"slices"
	"time"
)

// placing is one leg of a `placing` fact: the licence to make a call that may create a
// circuit which shows its key.
type placing struct {
	order, leg, event string
	stamp             time.Time
}

// placings are those whose circuits may still turn up. A key may be that of any number of
// orders, as of those that wanted one tag of a port one after the other.
type placings struct {
	byKey map[string]map[string][]placing // by look-up key and order
	keys  map[string]map[string]bool      // by order, those under which its placings are
}

func newPlacings() placings {
	return placings{byKey: map[string]map[string][]placing{}, keys: map[string]map[string]bool{}}
}

// add adds a placing, once. Without a key no circuit can show it.
func (p placings) add(key string, one placing) {
	known := func(q placing) bool { return q.event == one.event && q.leg == one.leg }
	if key == "" || slices.ContainsFunc(p.byKey[key][one.order], known) {
		return
	}
	put(p.keys, one.order, key)
	if p.byKey[key] == nil {
		p.byKey[key] = map[string][]placing{}
	}
	p.byKey[key][one.order] = append(p.byKey[key][one.order], one)
}

// drop drops all of an order.
func (p placings) drop(order string) {
	for key := range p.keys[order] {
		delete(p.byKey[key], order)
		if len(p.byKey[key]) == 0 {
			delete(p.byKey, key)
		}
	}
	delete(p.keys, order)
}

// of are those with a key.
func (p placings) of(key string) iter.Seq[placing] {
	return func(yield func(placing) bool) {
		for _, all := range p.byKey[key] {
			for _, one := range all {
				if !yield(one) {
					return
				}
			}
		}
	}
}
