package fabric_test

import (
	"context"
	"fmt"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/fabric"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func Example() {
	client, err := fabric.New(exchange.Config{Account: account.Account{
		Name: "acme-fabric", API: account.Fabric, Role: account.Buyer, BaseURL: "https://exchange.example",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	vlan := int32(640)
	in := &patchbayv1.CreateIntent{
		Name: "JohnDoe",
		Primary: &patchbayv1.Leg{
			ASide: &patchbayv1.Endpoint{PortId: "a867f685", Tag: &patchbayv1.Tag{Vlan: &vlan}},
			ZSide: &patchbayv1.Endpoint{ServiceToken: "20d32a80"},
		},
	}
	fmt.Println(client.Keys(in)[exchange.Primary])

	// What cannot be done is refused without asking the exchange.
	out := client.Reject(context.Background(), "3a58dd05", exchange.Delete, "it is in use")
	fmt.Println(out.Class, "-", out.Message)
	// Output:
	// a867f685/640.0/JohnDoe
	// refused - Fabric v4 has no way to reject a deletion; accept it, or let it wait
}
