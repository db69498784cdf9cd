package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/peers"
	"patchbay.io/tools/bench/rig"
)

func TestMain(m *testing.M) {
	if posting := os.Getenv(workersEnv); posting != "" {
		if err := labour(context.Background(), posting); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// Every contender orders one circuit for each intent. When answers are lost the product
// still does, and the others do not: that is what the page says of them.
func TestContenders(t *testing.T) {
	t.Parallel() // with those who wait
	temporal, err := filepath.Abs("../../.bin/temporal")
	if err != nil {
		t.Fatal(err)
	}
	const intents = 10
	for i, c := range contenders(temporal) {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(temporal); c.name == "Temporal" && err != nil {
				t.Skip("make bench builds its dev server, and it was not built yet")
			}
			for _, losing := range []int{0, losing} {
				got, err := c.try(t.Context(), trial{api: account.PacketFabric, intents: intents, losing: losing})
				if errors.Is(err, peers.ErrAbsent) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got.intents != intents || got.failed != 0 || got.rate <= 0 || got.calls < 3 || got.writes < 3 {
					t.Errorf("losing %d: got %+v, want %d intents, none given up, and at least three calls and writes for each", losing, got, intents)
				}
				if doubled := got.circuits > intents; got.circuits < intents || doubled != (losing > 0 && i > 0) {
					t.Errorf("losing %d: %d circuits for %d intents", losing, got.circuits, intents)
				}
			}
		})
	}
}

// Workers that are killed before an order is answered leave a circuit that nobody knows of,
// unless somebody looks before he orders again.
func TestKilled(t *testing.T) {
	t.Parallel()
	for i, c := range contenders("")[:2] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.die(t.Context(), account.PacketFabric, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got.failed != 0 || got.left != 0 || got.after <= 0 {
				t.Errorf("got %+v, want every intent done after the restart", got)
			}
			if got.circuits != got.intents+got.unknown || i == 0 && got.unknown != 0 || i > 0 && got.unknown < unanswered {
				t.Errorf("got %+v, want a second circuit for each order not answered of others, and none of the product", got)
			}
		})
	}
}

// Workers that cannot start are an error at once.
func TestHireNobody(t *testing.T) {
	c := contender{name: "nobody"}
	if w, err := c.hire(t.Context(), &rig.Place{}); err == nil || !strings.Contains(err.Error(), c.name) {
		t.Errorf("got error %v, want one that names nobody; and %v", err, w.end())
	}
}

// Workers that have ended by themselves were not killed: a table of kills must not count them.
func TestEndedIsNotKilled(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(out); err != nil { // it is ending when this has ended, and cannot be killed any more
		t.Fatal(err)
	}
	w := &workers{cmd: cmd}
	if err := w.kill(); err == nil {
		t.Error("a process that had ended was killed")
	}
}

// The third table has a column for each contender and says of each what was counted.
func TestTellDeaths(t *testing.T) {
	of := mortality{intents: 60, circuits: 71, unknown: 12, failed: 2, left: 3, after: 12400 * time.Millisecond}
	m := measured{contender: contenders("")[1], mortal: map[account.API]mortality{account.PacketFabric: of, account.ECX: of}}
	var s page.Section
	table := tellDeaths(&s, []measured{m}, 3)
	if got := len(table.Head); got != 2 {
		t.Fatalf("the table has %d columns, want 2: %q", got, table.Head)
	}
	var got []string
	for _, row := range table.Rows[1:6] {
		got = append(got, row[1])
	}
	if want := []string{"71 for 60", "**12**", "2", "3", "12.4"}; !slices.Equal(got, want) {
		t.Errorf("the column is %q, want %q", got, want)
	}
	if v := s.Values["Watermill at packetfabric, killed: circuits that nobody knows of, for each order not answered"]; v.N != 1 || v.Median != 1 {
		t.Errorf("the figure is %+v, want 1; all: %v", v, s.Values)
	}
}
