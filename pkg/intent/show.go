package intent

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// mask stands for a secret, whatever its length.
	mask = "***"
	// maxShown is how many characters of a value or name are shown.
	maxShown = 60
)

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// join returns the path of a field in the object at path.
func join(path, name string) string {
	name = shorten(name)
	switch {
	case !plainName.MatchString(strings.ReplaceAll(strings.TrimSuffix(name, "…"), ".", "_")):
		return path + "[" + quoted(name) + "]"
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// shown is a text as a violation of the field at path shows it.
func shown(path, text string) string {
	if isSecretPath(path) {
		return mask
	}
	return shorten(quoted(text))
}

// quoted is text as JSON has it, and what a terminal would not show, or obey, is escaped as
// well: JSON leaves DEL, the C1 controls and marks of direction as they are.
func quoted(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return mask // every string has a JSON text
	}
	var out strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

func shorten(s string) string {
	n := 0
	for i := range s {
		if n == maxShown {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// ours says in which words of ours the exchanges' own request fields are written. It
// helps people who come with a request of theirs in hand.
var ours = map[string]string{
	"speed": "bandwidthMbps", "bandwidth": "bandwidthMbps", "primaryname": "name",
	"purchaseordernumber": "purchaseOrder", "profileuuid": "primary.zSide.profileId",
	"primaryportuuid": "primary.aSide.portId", "primaryvlanstag": "primary.aSide.tag",
	"primaryvlanctag": "primary.aSide.tag.cTag", "primaryzsidevlanctag": "primary.zSide.cTag",
	"secondaryname": "secondary.name", "secondaryportuuid": "secondary.aSide.portId",
	"secondaryvlanstag": "secondary.aSide.tag", "secondaryvlanctag": "secondary.aSide.tag.cTag",
	"secondaryzsidevlanctag": "secondary.zSide.cTag", "sellermetrocode": "primary.zSide.metro",
	"metrocode": "primary.zSide.metro", "sellerregion": "primary.zSide.region",
	"authenticationkey": "primary.zSide.authorizationKey",
	"namedtag":          "primary.zSide.peering", "peeringtype": "primary.zSide.peering", "vlantag": "vlan", "vlanstag": "sTag", "vlanctag": "cTag",
	"portcircuitid": "portId", "serviceuuid": "primary.zSide.serviceId", "svlan": "sTag", "termlength": "termMonths",
	"subscriptionterm": "termMonths", "emails": "notifications",
	// Fields of ours that only a Z side has, though both sides are of one type.
	"profileid": "primary.zSide.profileId", "metro": "primary.zSide.metro", "region": "primary.zSide.region",
	"authorizationkey": "primary.zSide.authorizationKey", "peering": "primary.zSide.peering",
	"routingid": "primary.zSide.routingId", "market": "primary.zSide.market", "serviceid": "primary.zSide.serviceId",
}

// suggest returns the path of the field that was probably meant by name in the object at
// path, whose type is d; empty if nobody can tell.
func suggest(path, name string, d, root protoreflect.MessageDescriptor) string {
	plain := fold(name)
	if p := locate(d, plain); p != "" {
		return join(path, p)
	}
	if p := near(d, plain); p != "" {
		return join(path, p)
	}
	if path == "" {
		return ""
	}
	return locate(root, plain)
}

// locate returns the path of the field at or below d that is spelt like plain, or that is
// ours for such a field of an exchange.
func locate(d protoreflect.MessageDescriptor, plain string) string {
	own := ours[plain]
	_, below, _ := strings.Cut(own, ".") // within one of the two circuits
	for _, want := range []string{fold(own), fold(below), fold(own[strings.LastIndexByte(own, '.')+1:]), plain} {
		if want == "" {
			continue
		}
		fits := func(path, field string) bool { return fold(field) == want || fold(path) == want }
		if p := find(d, fits); p != "" {
			return p
		}
	}
	return ""
}

// fold makes spellings of one name alike.
func fold(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(name))
}

// find returns the path of the first field at or below d, the nearest level first, that fits.
func find(d protoreflect.MessageDescriptor, fits func(path, field string) bool) string {
	type level struct {
		d    protoreflect.MessageDescriptor
		path string
	}
	for queue := []level{{d, ""}}; len(queue) > 0; queue = queue[1:] {
		for i := range queue[0].d.Fields().Len() {
			f := queue[0].d.Fields().Get(i)
			path := join(queue[0].path, f.JSONName())
			if fits(path, f.JSONName()) {
				return path
			}
			if f.Kind() == protoreflect.MessageKind && !f.IsList() {
				queue = append(queue, level{f.Message(), path})
			}
		}
	}
	return ""
}

// near returns the field of d whose name is one or two slips of the pen away.
func near(d protoreflect.MessageDescriptor, plain string) string {
	best, slips := "", 3
	for i := range d.Fields().Len() {
		name := d.Fields().Get(i).JSONName()
		if n := distance(plain, fold(name)); n < slips && n*2 < len(plain) {
			best, slips = name, n
		}
	}
	return best
}

// distance is the number of bytes to insert, remove or replace that make b of a.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return 3 // far enough; long names cost nothing
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
