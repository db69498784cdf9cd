package service_test

import (
	"errors"
	"testing"
	"time"

	"patchbay.io/pkg/service"
)

func TestLanes(t *testing.T) {
	l := service.NewLanes()
	var full service.LaneFull
	var leave []func()
	for {
		out, err := l.Enter("hung")
		if errors.As(err, &full) {
			break
		}
		leave = append(leave, out)
		if len(leave) > service.Handlers(1) {
			t.Fatalf("%d handlers are in one lane, and a service with one has %d", len(leave), service.Handlers(1))
		}
	}
	if full.Lane != "hung" || full.After != time.Second {
		t.Errorf("the first that is turned away is told %v, want a second", full)
	}
	out, err := l.Enter("fine")
	if err != nil {
		t.Fatalf("another account's lane: %v", err)
	}
	out()
	for range 1000 {
		_, err = l.Enter("hung")
	}
	if !errors.As(err, &full) || full.After != 30*time.Second {
		t.Errorf("the thousandth is told %v, want half a minute: a crowd must not come each second", err)
	}
	leave[0]()
	if out, err = l.Enter("hung"); err != nil {
		t.Fatalf("a place that was given back: %v", err)
	}
	if _, err = l.Enter("hung"); !errors.As(err, &full) || full.After != time.Second {
		t.Errorf("after somebody got in, the next is told %v, want a second again", err)
	}
	out()
}
