package sandbox_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay.io/services/sandbox"
)

// BenchmarkServe asks for one circuit over real connections of the loopback that are kept
// open, by so many clients at once. They do no more than is needed to send requests and to
// find the ends of the answers, since they share the processor with the exchange.
func BenchmarkServe(b *testing.B) {
	x := sandbox.New(sandbox.Config{Seed: 1})
	defer x.Close()
	h := x.Handler()
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(serve(b, h, ask{"", http.MethodPost, "/oauth2/v1/token", object{
		"grant_type": "client_credentials", "client_id": "acme-client", "client_secret": "acme-secret"}}), &granted); err != nil {
		b.Fatal(err)
	}
	var v3 struct{ PrimaryConnectionID string }
	var v4 struct{ UUID string }
	if err := json.Unmarshal(serve(b, h, ask{granted.Token, http.MethodPost, connections, single()}), &v3); err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(serve(b, h, ask{granted.Token, http.MethodPost, fabricBase, toOpen(200)}), &v4); err != nil {
		b.Fatal(err)
	}
	var pf struct {
		ID string `json:"vc_request_uuid"`
	}
	if err := json.Unmarshal(serve(b, h, ask{acmeKey, http.MethodPost, pfThirdParty, pfOrder()}), &pf); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		_ = server.Close() // nobody is in the middle of anything
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	}()
	for _, api := range []struct{ name, token, path string }{
		{"ecx", granted.Token, connections + "/" + v3.PrimaryConnectionID},
		{"fabric", granted.Token, fabricBase + "/" + v4.UUID},
		{"packetfabric", acmeKey, pfRequests + "/" + pf.ID},
	} {
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: sandbox.test\r\nAuthorization: Bearer %s\r\n\r\n", api.path, api.token)
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", api.name, clients), func(b *testing.B) {
				askAll(b, l.Addr().String(), request, clients)
			})
		}
	}
}

// askAll sends b.N requests by several clients.
func askAll(b *testing.B, address, request string, clients int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var conns []net.Conn
	for range clients {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }() // nothing is left to be said
		conns = append(conns, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			r := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				if err := askOnce(c, r, request); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// askOnce sends a request and reads its answer.
func askOnce(c net.Conn, r *bufio.Reader, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	status, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return fmt.Errorf("answered %q", status)
	}
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
		if line == "\r\n" {
			_, err := r.Discard(length)
			return err
		}
	}
}
