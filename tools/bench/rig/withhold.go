package rig

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
)

// withheld are the answers that are not given.
type withheld struct {
	spare  int           // orders whose answers are given first
	want   int           // orders that are carried out and not answered then
	enough chan struct{} // closed when those were carried out

	mu   sync.Mutex
	done int // orders carried out
}

// Withhold lets the exchange, from now on, carry out and answer so many orders as are spared,
// carry out the wanted number of others without an answer, and do nothing about any more: who
// has ordered waits until he goes. The channel is closed when the wanted orders wait.
func (x *Exchange) Withhold(spare, want int) <-chan struct{} {
	w := &withheld{spare: spare, want: want, enough: make(chan struct{})}
	x.withheld.Store(w)
	return w.enough
}

// Answer carries out and answers orders again.
func (x *Exchange) Answer() { x.withheld.Store(nil) }

// withholding keeps back answers.
func (x *Exchange) withholding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := x.withheld.Load()
		if now == nil || r.Method != http.MethodPost || r.URL.Path != x.orders() {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body) // to its end, else nobody would notice that the client goes
		if err != nil {
			return // it has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := now.carryOut(next, r)
		if answer == nil {
			<-r.Context().Done()
			return
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
	})
}

// carryOut returns the answer to an order, or nil if there shall be none. What is refused is no
// order. One is carried out after the other, so that it is certain how many are.
func (w *withheld) carryOut(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == w.spare+w.want {
		return nil
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	if answer.Code >= http.StatusMultipleChoices {
		return answer
	}
	w.done++
	if w.done == w.spare+w.want {
		close(w.enough)
	}
	if w.done > w.spare {
		return nil
	}
	return answer
}
