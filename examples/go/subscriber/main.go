// Command subscriber prints each circuit that begins to carry traffic. It uses nothing of
// Patchbay's but the contract: docs/events.md.
package main

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1)) // nats://127.0.0.1:4222 if unset
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	consumer, err := js.CreateOrUpdateConsumer(context.Background(), "JOURNAL", jetstream.ConsumerConfig{
		Durable: "example-subscriber", FilterSubject: "patchbay.connection.provisioned.available.*",
		AckPolicy: jetstream.AckExplicitPolicy, // what was not acknowledged comes again
	})
	check(err)
	messages, err := consumer.Messages()
	check(err)
	for {
		msg, err := messages.Next()
		check(err)
		e := decode(msg)
		check(e.Validate())
		var data struct {
			Connection struct{ Name, ExchangeID string }
		} // the rest is in proto/
		check(e.DataAs(&data))
		fmt.Println(e.Subject(), e.Extensions()["sequence"], data.Connection.Name, data.Connection.ExchangeID)
		check(msg.Ack()) // after the work is done, never before
	}
}

// decode reads a CloudEvent in binary mode: attributes in headers, percent-encoded.
func decode(msg jetstream.Msg) cloudevents.Event {
	e, version := cloudevents.New(), spec.WithPrefix("ce-").Version("1.0")
	for name, values := range msg.Headers() {
		if value, err := url.PathUnescape(values[0]); err == nil && strings.HasPrefix(name, "ce-") {
			check(version.SetAttribute(e.Context, name, value))
		}
	}
	check(e.SetData(cloudevents.ApplicationJSON, msg.Data()))
	return e
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
