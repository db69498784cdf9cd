package intent

import (
	"net/mail"
	"regexp"
	"strings"
)

// The rule of a field that must not be absent.
const required = "required"

// What becomes of the other leg when one fails.
const (
	Keep     = "keep"
	Rollback = "rollback"
)

// rule is what a text must be like. The zero hint says nothing.
type rule struct {
	pattern    *regexp.Regexp
	says, hint string
}

// is returns the rule that a text matches pattern as a whole.
func is(pattern, says, hint string) rule {
	return rule{regexp.MustCompile(`^(?:` + pattern + `)$`), says, hint}
}

// oneOf returns the rule that a text is one of the words.
func oneOf(words ...string) rule {
	return is(strings.Join(words, "|"), "one of "+strings.Join(words, ", "), "")
}

// line returns the rule that a text is at most size characters on one line.
func line(size string) rule {
	return is(`[^\p{Cc}\p{Zl}\p{Zp}]{0,`+size+`}`, "at most "+size+" characters on one line", "")
}

// The rules of texts. Ids of the exchanges are opaque: two ports in the guide of the oldest
// exchange have ids that are no UUIDs, so only a look-up can tell whether one is right.
var (
	circuitName = is(`[A-Za-z0-9_-]{1,24}`, "1 to 24 of A-Z a-z 0-9 _ -", "")
	accountName = is(`[A-Za-z0-9._-]{1,64}`, "1 to 64 of A-Z a-z 0-9 . _ -", "")
	exchangeID  = is(`[A-Za-z0-9-]{1,64}`, "1 to 64 of A-Z a-z 0-9 -", "")
	metroCode   = is(`[A-Z]{2}`, "two capital letters", "as in SV")
	marketCode  = is(`[A-Z0-9]{2,8}`, "2 to 8 of A-Z 0-9", "as in ATL")
	regionName  = is(`[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}`, "1 to 64 of A-Z a-z 0-9 space . _ -", "as in us-sv")
	sharedKey   = is(`[\x21-\x7e]{1,256}`, "1 to 256 visible ASCII characters", "")
	ourID       = is(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "a UUID in lower case", "")
	digestHex   = is(`[0-9a-f]{64}`, "64 of 0-9 a-f", "copy it from the approval")
	eventSource = is(`[^\p{Cc}]{1,255}`, "1 to 255 characters", "")
	peering     = oneOf("PRIVATE", "MICROSOFT", "PUBLIC", "MANUAL")
	legFailure  = oneOf(Keep, Rollback)
	longhaul    = oneOf("dedicated", "usage", "hourly")
	orderKind   = oneOf(Create, Change, Delete)
	notifyType  = oneOf(allNotifications, "NOTIFICATION", "BANDWIDTH_ALERT", "CONNECTION_APPROVAL",
		"PROFILE_LIFECYCLE", "SALES_REP_NOTIFICATIONS", "TECHNICAL", "ORDERING")
	purchaseOrder = line("30")
	person        = line("100")
	remark        = line("255")
)

// endpointRules are the rules of the texts of an endpoint, in the order of the schema.
var endpointRules = []struct {
	field string
	rule  rule
}{
	{"portId", exchangeID},
	{"serviceToken", exchangeID},
	{"profileId", exchangeID},
	{"metro", metroCode},
	{"region", regionName},
	{"authorizationKey", sharedKey},
	{"peering", peering},
	{"routingId", exchangeID},
	{"market", marketCode},
	{"serviceId", exchangeID},
}

// form is one way to name an end of a circuit: the field that makes it, and those that
// may stand beside it. Read a row as "by …, with …".
type form struct {
	by   string
	with string
}

var (
	aSideForms = []form{
		{"portId", "tag"},
		{"serviceToken", ""},
	}
	zSideForms = []form{
		{"profileId", "metro region authorizationKey cTag peering"},
		{"portId", "tag metro"},
		{"serviceToken", ""},
		{"routingId", "market serviceId"},
	}
)

// makers lists the fields of which an end has exactly one.
func makers(forms []form) string {
	var names []string
	for _, f := range forms {
		names = append(names, f.by)
	}
	return strings.Join(names, ", ")
}

// terms are the months one can sign for.
var terms = []int32{1, 12, 24, 36}

// validEmail reports whether s is a bare address, without a name or angle brackets.
func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254
}
