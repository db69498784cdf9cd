package event

import (
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Headers are the headers of a NATS message. Names are kept as written; we write lower
// case and read any case.
type Headers = map[string][]string

const (
	attributePrefix = "ce-"
	structuredType  = "application/cloudevents"
)

// Encode writes e in binary mode: every attribute, datacontenttype included, as a
// percent-encoded header, and the data as body.
//
// Source: CloudEvents NATS Protocol Binding 1.0.3-wip, section 3.1.
func Encode(e ce.Event) (Headers, []byte) {
	h := Headers{}
	set := func(name, value string) {
		if value != "" {
			h[attributePrefix+name] = []string{percentEncode(value)}
		}
	}
	set("specversion", e.SpecVersion())
	set("id", e.ID())
	set("source", e.Source())
	set("type", e.Type())
	set("subject", e.Subject())
	set("datacontenttype", e.DataContentType())
	set("dataschema", e.DataSchema())
	if !e.Time().IsZero() {
		set("time", types.FormatTime(e.Time()))
	}
	for name, value := range e.Extensions() {
		set(name, fmt.Sprint(value))
	}
	return h, e.Data()
}

// Decode reads a message in binary mode, or in structured mode if its Content-Type says
// so. It returns [ErrMalformed] with the reason for anything that is not a CloudEvent
// 1.0 with id, source and type. The data is not looked at.
func Decode(h Headers, body []byte) (ce.Event, error) {
	if mediaType, _, err := mime.ParseMediaType(header(h, "content-type")); err == nil &&
		strings.HasPrefix(mediaType, structuredType) {
		return decodeStructured(mediaType, body)
	}
	e := ce.New(ce.CloudEventsVersionV1)
	if header(h, attributePrefix+"specversion") == "" {
		return e, fmt.Errorf("%w: no ce-specversion header", ErrMalformed)
	}
	for name, values := range h {
		attr, is := strings.CutPrefix(strings.ToLower(name), attributePrefix)
		if !is || len(values) == 0 {
			continue
		}
		value, err := percentDecode(values[0])
		if err != nil {
			return e, fmt.Errorf("%w: header %s: %w", ErrMalformed, name, err)
		}
		if err := setAttribute(&e, attr, value); err != nil {
			return e, fmt.Errorf("%w: header %s: %w", ErrMalformed, name, err)
		}
	}
	if len(body) > 0 {
		e.DataEncoded = body
	}
	return e, complete(e)
}

func decodeStructured(mediaType string, body []byte) (ce.Event, error) {
	var e ce.Event
	if mediaType != structuredType+"+json" {
		return e, fmt.Errorf("%w: %s: only the JSON format is read", ErrMalformed, mediaType)
	}
	if !utf8.Valid(body) {
		return e, fmt.Errorf("%w: the event is not UTF-8", ErrMalformed)
	}
	if err := e.UnmarshalJSON(body); err != nil {
		return e, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, complete(e)
}

// complete reports what a CloudEvent must have and e has not.
func complete(e ce.Event) error {
	if e.SpecVersion() != ce.CloudEventsVersionV1 {
		return fmt.Errorf("%w: specversion %q, want 1.0", ErrMalformed, e.SpecVersion())
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func setAttribute(e *ce.Event, name, value string) (err error) {
	// The SDK's setters panic on values they refuse to hold.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	switch name {
	case "specversion":
		if value != ce.CloudEventsVersionV1 {
			return fmt.Errorf("specversion %q, want 1.0", value)
		}
	case "id":
		return e.Context.SetID(value)
	case "source":
		return e.Context.SetSource(value)
	case "type":
		return e.Context.SetType(value)
	case "subject":
		return e.Context.SetSubject(value)
	case "datacontenttype":
		return e.Context.SetDataContentType(value)
	case "dataschema":
		return e.Context.SetDataSchema(value)
	case "time":
		t, err := types.ParseTime(value)
		if err != nil {
			return err
		}
		return e.Context.SetTime(t)
	default:
		return e.Context.SetExtension(name, value)
	}
	return nil
}

func header(h Headers, name string) string {
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

const hexDigits = "0123456789ABCDEF"

// percentEncode encodes space, double quote, percent and everything outside U+0021 to
// U+007E, as the binding asks.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// percentDecode undoes percentEncode once. A percent sign that starts no code stands for
// itself, since writers exist that do not encode.
func percentDecode(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	if !utf8.ValidString(b.String()) {
		return "", fmt.Errorf("not UTF-8: %q", s)
	}
	return b.String(), nil
}

func unhex(c byte) int { return strings.IndexByte(hexDigits, upper(c)) }

func upper(c byte) byte {
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}
