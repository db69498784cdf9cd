package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that says what it hears.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // it ends with the test
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // until either end goes
				_ = c.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

func connect(t *testing.T, l *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.addr())
	if err != nil {
		t.Fatal(err)
	}
	return ready(t, c)
}

func ready(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() }) // it may be closed
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// says sends a word and reads it back.
func says(t *testing.T, c net.Conn, word string) error {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		return err
	}
	b := make([]byte, len(word))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != word {
		t.Errorf("the echo of %q is %q", word, b)
	}
	return nil
}

func aLink(t *testing.T) *link {
	t.Helper()
	l, err := newLink("test", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// A link that is cut breaks what there is and takes nothing new, until it is healed.
func TestCut(t *testing.T) {
	l := aLink(t)
	c := connect(t, l)
	if err := says(t, c, "hello"); err != nil {
		t.Fatal(err)
	}
	l.set(weather{cut: true})
	if err := says(t, c, "hello"); err == nil {
		t.Error("a connection outlives the cut")
	}
	if c, err := net.Dial("tcp", l.addr()); err == nil && says(t, ready(t, c), "hello") == nil {
		t.Error("a cut link takes a new connection")
	}
	l.set(weather{})
	if err := says(t, connect(t, l), "hello"); err != nil {
		t.Errorf("once healed: %v", err)
	}
}

// What is held up comes when the link is healed, and not before.
func TestHeld(t *testing.T) {
	l := aLink(t)
	c := connect(t, l)
	if err := says(t, c, "one"); err != nil {
		t.Fatal(err)
	}
	l.set(weather{held: true})
	if _, err := c.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); err == nil {
		t.Errorf("%q passes a link that is held up", b[:n])
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	l.set(weather{})
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "two" {
		t.Errorf("once healed %q comes, %v; want two", b, err)
	}
}

// A delay holds for both ways.
func TestDelayed(t *testing.T) {
	const delay = 60 * time.Millisecond
	l := aLink(t)
	c := connect(t, l)
	l.set(weather{delay: delay})
	start := time.Now()
	if err := says(t, c, "hello"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 2*delay {
		t.Errorf("there and back takes %v, want %v or more", took, 2*delay)
	}
}
