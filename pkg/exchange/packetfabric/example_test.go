package packetfabric_test

import (
	"context"
	"fmt"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/packetfabric"
)

// What PacketFabric has no call for is refused without asking it.
func ExampleClient() {
	c, err := packetfabric.New(exchange.Config{Account: account.Account{
		Name: "acme-pf", API: account.PacketFabric, Role: account.Both, BaseURL: "https://api.example.com",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	mbps := int32(50)
	keys := c.Keys(&patchbayv1.CreateIntent{Name: "JohnDoe", BandwidthMbps: &mbps, Primary: &patchbayv1.Leg{
		ZSide: &patchbayv1.Endpoint{RoutingId: "TR-1RI-OQ85", Market: "CHI"},
	}})
	fmt.Println(keys[exchange.Primary])
	out := c.Reject(context.Background(), "1b074b22-0a81-4189-a05c-12bdbd964728", exchange.Delete, "no")
	fmt.Println(out.Class, "-", out.Message)
	// Output:
	// acme-pf/TR-1RI-OQ85/CHI/50
	// refused - PacketFabric asks a seller about new circuits only, never about a delete
}
