package ecx

import (
	"math"
	"strings"

	"patchbay.io/pkg/exchange/wire"
)

// mbps is a speed in Mbit/s; 0 if it is none.
func mbps(speed wire.Number, unit wire.Text) int32 {
	n := int64(speed)
	if strings.EqualFold(string(unit), "GB") {
		n *= 1000
	}
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return int32(n)
}
