package sandbox

import (
	"cmp"
	"slices"

	"patchbay.io/pkg/secret"
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

// holder is what a tag is taken by: a circuit, or a service token that keeps the tag
// for the circuit to come.
type holder interface {
	ident() string // its id
}

// occupancy says who holds which tags of one port. An outer tag is held whole by one
// holder, or by inner tag by several. The zero tag stands for an untagged port.
type occupancy map[int]map[int]holder // outer, then inner; inner 0 is the whole tag

// holder returns who stands in the way of t, or nil.
func (o occupancy) holder(t tag) holder {
	inner := o[t.outer]
	if t.inner == 0 {
		for _, h := range inner {
			return h
		}
		return nil
	}
	if h := inner[0]; h != nil {
		return h
	}
	return inner[t.inner]
}

func (o occupancy) take(t tag, h holder) {
	if o[t.outer] == nil {
		o[t.outer] = make(map[int]holder)
	}
	o[t.outer][t.inner] = h
}

func (o occupancy) free(t tag, h holder) {
	if o[t.outer][t.inner] != h {
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

// TagInUse is a VLAN of a port and the circuit or service token that holds it. On an
// untagged port the VLAN is 0.
type TagInUse struct {
	STag       int    `json:"sTag"`
	CTag       int    `json:"cTag,omitempty"`
	Connection string `json:"connection,omitempty"`
	// Token keeps the VLAN for a circuit to come. Whoever knew it could order that circuit.
	Token secret.Secret `json:"serviceToken,omitempty"`
}

func (o occupancy) list() []TagInUse {
	var out []TagInUse
	for outer, inner := range o {
		for in, h := range inner {
			t := TagInUse{STag: outer, CTag: in}
			if c, ok := h.(*circuit); ok {
				t.Connection = c.id
			} else {
				t.Token = secret.Secret(h.ident())
			}
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b TagInUse) int {
		return cmp.Or(cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag))
	})
	return out
}
