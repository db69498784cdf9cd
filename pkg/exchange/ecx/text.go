package ecx

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// text is a JSON string, or a number or boolean as it is written. What is neither is
// empty: one odd field of an answer must not hide the rest.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	var s string
	switch {
	case len(b) == 0, b[0] == '{', b[0] == '[', string(b) == "null":
	case b[0] != '"':
		*t = text(b)
	case json.Unmarshal(b, &s) == nil:
		*t = text(s)
	}
	return nil
}

// number is a JSON number, or a string that holds one. What is neither, or does not fit,
// is 0.
type number int32

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = 0
	var t text
	_ = t.UnmarshalJSON(b) // never fails
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32 {
		*n = number(f)
	}
	return nil
}

// flag is a JSON boolean, or a string that names one; anything else is false.
type flag bool

// UnmarshalJSON never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	var t text
	_ = t.UnmarshalJSON(b) // never fails
	yes, err := strconv.ParseBool(strings.ToLower(string(t)))
	*f = flag(err == nil && yes)
	return nil
}

// dateForms are the ways in which ECX writes a time. Without a zone it is UTC.
var dateForms = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999Z0700",
	"2006-01-02 15:04:05.999999999",
	time.DateOnly,
}

// date reads a time in any of the forms; nil if it is none.
func date(t text) *timestamppb.Timestamp {
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

// mbps is a speed in Mbit/s; 0 if it is none.
func mbps(speed number, unit text) int32 {
	n := int64(speed)
	if strings.EqualFold(string(unit), "GB") {
		n *= 1000
	}
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return int32(n)
}
