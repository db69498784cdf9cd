package ecx

import patchbayv1 "patchbay.io/proto/patchbay/v1"

// cTag is the inner tag asked for on a Z side, nil if none is.
func cTag(z *patchbayv1.Endpoint) *int32 {
	if z == nil {
		return nil
	}
	return z.CTag
}
