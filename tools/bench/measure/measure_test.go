package measure_test

import (
	"testing"
	"time"

	"patchbay.io/tools/bench/measure"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   measure.Spread
		text   string
	}{
		{"nothing", nil, measure.Spread{}, "–"},
		{"one", []float64{12.34}, measure.Spread{Median: 12.34, Min: 12.34, Max: 12.34, N: 1}, "12.3"},
		{"odd", []float64{3, 1, 2}, measure.Spread{Median: 2, Min: 1, Max: 3, N: 3}, "2.00 (1.00–3.00)"},
		{"even", []float64{1000, 4, 2000, 1}, measure.Spread{Median: 502, Min: 1, Max: 2000, N: 4}, "502 (1.00–2,000)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := measure.Of(tt.values)
			if got != tt.want || got.String() != tt.text {
				t.Errorf("got %+v, written %s; want %+v, written %s", got, got, tt.want, tt.text)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.126: "0.13", 45.67: "45.7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -12345: "-12,345",
	} {
		if got := measure.Short(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var delays []time.Duration
	for n := range 100 {
		delays = append(delays, time.Duration(100-n))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := measure.Quantile(delays, q); got != want {
			t.Errorf("quantile %v of 1 to 100 is %d, want %d", q, got, want)
		}
	}
	if got := measure.Quantile(nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing is %d, want 0", got)
	}
}
