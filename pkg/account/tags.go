package account

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// maxTag is the highest tag that 802.1Q has for circuits.
const maxTag = 4094

var errRange = fmt.Errorf("is not within 1 and %d", maxTag)

// Tags is a set of tags, such as "100-199,300". The zero Tags is empty.
type Tags struct {
	spans []span // ascending, neither touching nor overlapping
}

// span is a range of tags, both ends included.
type span struct{ low, high int }

// ParseTags reads ranges and single tags with commas between them. A tag that stands
// there twice is an error, because one of the two is a slip.
func ParseTags(text string) (Tags, error) {
	var spans []span
	for part := range strings.SplitSeq(text, ",") {
		s, err := parseSpan(strings.TrimSpace(part))
		if err != nil {
			return Tags{}, err
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	merged := spans[:1]
	for _, s := range spans[1:] {
		last := &merged[len(merged)-1]
		switch {
		case s.low <= last.high:
			return Tags{}, fmt.Errorf("tag %d is there twice", s.low)
		case s.low == last.high+1:
			last.high = s.high
		default:
			merged = append(merged, s)
		}
	}
	return Tags{spans: slices.Clip(merged)}, nil
}

func parseSpan(text string) (span, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	low, err := parseTag(first)
	if err != nil {
		return span{}, err
	}
	high, err := parseTag(last)
	if err != nil {
		return span{}, err
	}
	if low > high {
		return span{}, fmt.Errorf("range %d-%d runs backwards", low, high)
	}
	return span{low, high}, nil
}

func parseTag(text string) (int, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf(`%q is not a tag; write tags like "100-199,300"`, text)
	}
	if n < 1 || n > maxTag {
		return 0, fmt.Errorf("tag %d %w", n, errRange)
	}
	return int(n), nil
}

// String writes the set the shortest way, in ascending order; ParseTags reads it back.
func (t Tags) String() string {
	parts := make([]string, len(t.spans))
	for i, s := range t.spans {
		parts[i] = strconv.Itoa(s.low)
		if s.high > s.low {
			parts[i] += "-" + strconv.Itoa(s.high)
		}
	}
	return strings.Join(parts, ",")
}

// All yields the tags in ascending order.
func (t Tags) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, s := range t.spans {
			for tag := s.low; tag <= s.high; tag++ {
				if !yield(tag) {
					return
				}
			}
		}
	}
}

// Contains tells whether tag is in the set.
func (t Tags) Contains(tag int) bool {
	return slices.ContainsFunc(t.spans, func(s span) bool { return s.low <= tag && tag <= s.high })
}

// Len returns how many tags there are.
func (t Tags) Len() int {
	n := 0
	for _, s := range t.spans {
		n += s.high - s.low + 1
	}
	return n
}

// within tells whether all tags lie between low and high.
func (t Tags) within(low, high int) bool {
	return len(t.spans) == 0 || t.spans[0].low >= low && t.spans[len(t.spans)-1].high <= high
}

// MarshalText returns String.
func (t Tags) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
