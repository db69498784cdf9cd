// Command publisher hands a connection request to Patchbay. It uses nothing of Patchbay's but
// the contract: docs/events.md.
//
//	publisher ID INTENT.json
//
// ID is your own id of the request, such as a ticket: handed in twice it is ordered once.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: publisher ID INTENT.json")
	}
	data, err := os.ReadFile(os.Args[2])
	check(err)

	e := cloudevents.New()
	e.SetID(os.Args[1])
	e.SetSource("example.com/publisher")
	e.SetType("io.patchbay.intent.create.v1")
	e.SetTime(time.Now())
	check(e.SetData(cloudevents.ApplicationJSON, data))
	check(e.Validate())
	body, err := json.Marshal(e)
	check(err)

	nc, err := nats.Connect(os.Getenv("NATS_URL")) // nats://127.0.0.1:4222 if unset
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ack, err := js.PublishMsg(ctx, &nats.Msg{
		Subject: "patchbay.intent.create", Data: body,
		Header: nats.Header{"Content-Type": {"application/cloudevents+json"}},
	})
	check(err) // on an error publish again: the same source and id are the same order
	fmt.Println("kept as number", ack.Sequence, "of", ack.Stream)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
