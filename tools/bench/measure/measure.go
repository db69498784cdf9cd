// Package measure is the arithmetic of the benchmarks: medians with their range, quantiles
// of delays, and what the machine was doing meanwhile. Nothing here says what is fast; a
// time taken on one machine is of use beside another taken in the same minutes on the same
// machine, which is why results are ratios of such pairs.
package measure

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Spread is a median and the range around it.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Of is the spread of values; the zero Spread if there are none.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return Spread{Median: middle, Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// String is the median with its range, in three digits.
func (s Spread) String() string {
	switch s.N {
	case 0:
		return "–"
	case 1:
		return Short(s.Median)
	default:
		return fmt.Sprintf("%s (%s–%s)", Short(s.Median), Short(s.Min), Short(s.Max))
	}
}

// Short writes a number in three digits, and a large one in thousands.
func Short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		whole := fmt.Sprintf("%.0f", v)
		for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
		return whole
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// Quantile is the smallest delay that at least the part q of all do not exceed.
func Quantile(delays []time.Duration, q float64) time.Duration {
	if len(delays) == 0 {
		return 0
	}
	d := slices.Sorted(slices.Values(delays))
	at := int(math.Ceil(q*float64(len(d)))) - 1
	return d[min(max(at, 0), len(d)-1)]
}

// Milliseconds is d as a number.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
