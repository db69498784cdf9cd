package sandbox

import (
	"cmp"
	"slices"
)

// Bounds of a VLAN tag. The exchange's guide says 4094, its later documents 4092;
// this exchange refuses what only one of them allows.
const (
	minTag = 2
	maxTag = 4092
)

// tag is how a circuit sits on a port: by its outer tag alone, or by an outer and an
// inner tag. The zero tag is none.
type tag struct{ outer, inner int }

// occupancy says which circuits hold which tags of one port. An outer tag is held
// whole by one circuit, or by inner tag by several.
type occupancy map[int]map[int]*circuit // outer, then inner; inner 0 is the whole tag

// holder returns the circuit that stands in the way of t, or nil.
func (o occupancy) holder(t tag) *circuit {
	inner := o[t.outer]
	if t.inner == 0 {
		for _, c := range inner {
			return c
		}
		return nil
	}
	if c := inner[0]; c != nil {
		return c
	}
	return inner[t.inner]
}

func (o occupancy) take(t tag, c *circuit) {
	if o[t.outer] == nil {
		o[t.outer] = make(map[int]*circuit)
	}
	o[t.outer][t.inner] = c
}

func (o occupancy) free(t tag, c *circuit) {
	if o[t.outer][t.inner] != c {
		return
	}
	delete(o[t.outer], t.inner)
	if len(o[t.outer]) == 0 {
		delete(o, t.outer)
	}
}

// next returns the lowest free outer tag with the given inner tag, and whether there
// is one.
func (o occupancy) next(inner int) (tag, bool) {
	for outer := minTag; outer <= maxTag; outer++ {
		if t := (tag{outer, inner}); o.holder(t) == nil {
			return t, true
		}
	}
	return tag{}, false
}

// TagInUse is a VLAN of a port and the circuit that holds it.
type TagInUse struct {
	STag       int    `json:"sTag"`
	CTag       int    `json:"cTag,omitempty"`
	Connection string `json:"connection"`
}

func (o occupancy) list() []TagInUse {
	var out []TagInUse
	for outer, inner := range o {
		for in, c := range inner {
			out = append(out, TagInUse{STag: outer, CTag: in, Connection: c.id})
		}
	}
	slices.SortFunc(out, func(a, b TagInUse) int {
		return cmp.Or(cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag))
	})
	return out
}
