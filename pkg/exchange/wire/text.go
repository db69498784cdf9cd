package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
)

// Text is a JSON string, or a number or boolean as it is written. What is neither is
// empty. Control characters are read as spaces: the other company chose the text, and it
// ends up on terminals and in logs.
type Text string

// UnmarshalJSON never fails.
func (t *Text) UnmarshalJSON(b []byte) error {
	*t = ""
	var s string
	switch {
	case len(b) == 0, b[0] == '{', b[0] == '[', string(b) == "null":
	case b[0] != '"':
		*t = Text(b)
	case json.Unmarshal(b, &s) == nil:
		*t = Text(strings.Map(printable, s))
	}
	return nil
}

func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// ID is a [Text] that is the id of something at the exchange, in its one spelling
// ([event.CanonicalID]): what an exchange writes in another case is no other thing.
type ID string

// UnmarshalJSON never fails.
func (id *ID) UnmarshalJSON(b []byte) error {
	var t Text
	_ = t.UnmarshalJSON(b) // never fails
	*id = ID(event.CanonicalID(string(t)))
	return nil
}

// Number is a whole JSON number, or a string that holds one. What is neither, or does not
// fit, is 0.
type Number int32

// UnmarshalJSON never fails.
func (n *Number) UnmarshalJSON(b []byte) error {
	*n = 0
	var t Text
	_ = t.UnmarshalJSON(b) // never fails
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32 {
		*n = Number(f)
	}
	return nil
}

// Flag is a JSON boolean, or a string that names one; anything else is false.
type Flag bool

// UnmarshalJSON never fails.
func (f *Flag) UnmarshalJSON(b []byte) error {
	var t Text
	_ = t.UnmarshalJSON(b) // never fails
	yes, err := strconv.ParseBool(strings.ToLower(string(t)))
	*f = Flag(err == nil && yes)
	return nil
}

// dateForms are the ways in which exchanges write a time. Without a zone it is UTC.
var dateForms = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999Z0700",
	"2006-01-02 15:04:05.999999999",
	time.DateOnly,
}

// Date reads a time in any of the ways in which exchanges write one; nil if it is none.
func Date(t Text) *timestamppb.Timestamp {
	for _, form := range dateForms {
		at, err := time.Parse(form, strings.TrimSpace(string(t)))
		if err != nil {
			continue
		}
		if ts := timestamppb.New(at); ts.IsValid() {
			return ts
		}
		return nil
	}
	return nil
}
