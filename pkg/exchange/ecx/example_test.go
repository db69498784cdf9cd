package ecx_test

import (
	"context"
	"fmt"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
)

// What may not be done at ECX is refused without asking the exchange.
func ExampleClient() {
	c, err := ecx.New(exchange.Config{Account: account.Account{
		Name: "acme-ecx", API: account.ECX, Role: account.Buyer, BaseURL: "https://api.example.com",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	vlan := int32(640)
	keys := c.Keys(&patchbayv1.CreateIntent{Name: "JohnDoe", Primary: &patchbayv1.Leg{
		ASide: &patchbayv1.Endpoint{PortId: "4f891d3b", Tag: &patchbayv1.Tag{Vlan: &vlan}},
	}})
	fmt.Println(keys[exchange.Primary])
	out := c.Alter(context.Background(), "9b1da3b0", &patchbayv1.ChangeSet{Tag: &patchbayv1.Tag{Vlan: &vlan}})
	fmt.Println(out.Class, "-", out.Message)
	// Output:
	// 4f891d3b/640.0/JohnDoe
	// refused - ECX v3 cannot change a tag
}
