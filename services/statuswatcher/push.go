package statuswatcher

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/secret"
)

const (
	// PushPath is where [Watcher.Receiver] takes events.
	PushPath = "/equinix/events"
	// pushLimit bounds the body of a request.
	pushLimit = 1 << 20
	// pushAgain is the least time between two looks at a circuit that events ask for.
	pushAgain = time.Second
	// pushedConnections begins the subject of an event about a circuit.
	pushedConnections = "/fabric/v4/connections/"
	// pushedExchange is whose events they are.
	pushedExchange = "equinix"
)

// Receiver takes what Equinix Fabric pushes to a webhook, single CloudEvents and batches of
// them, from who shows the token in the Authorization header. Both APIs of Equinix show the
// same circuits, so an event is news for accounts at either.
//
// An event is a hint and no more: of all it says only which circuit it is about is read, and
// that circuit is looked at. So events that are repeated, late, out of order or forged add
// nothing but looks: at most one a second of a circuit, and one a second and account of
// circuits that nobody knows, within the account's budget.
func (w *Watcher) Receiver(token secret.Secret) http.Handler {
	p := &pushes{watcher: w, bearer: sha256.Sum256([]byte("Bearer " + string(token))), last: map[string]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PushPath, p.receive)
	return mux
}

// pushes are the events that come to one receiver.
type pushes struct {
	watcher *Watcher
	bearer  [sha256.Size]byte // of the Authorization header, so that comparing takes equally long

	mu   sync.Mutex
	last map[string]time.Time // when the last look of a name is; see turn
}

func (p *pushes) receive(rw http.ResponseWriter, r *http.Request) {
	shown := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	if subtle.ConstantTimeCompare(shown[:], p.bearer[:]) != 1 {
		http.Error(rw, "the Authorization header does not show the token", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, pushLimit))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		http.Error(rw, fmt.Sprintf("at most %d bytes of events are taken at one time", long.Limit), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		return // who sent it has gone
	}
	circuits, err := pushed(body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	for _, id := range circuits {
		p.nudge(id)
	}
	rw.WriteHeader(http.StatusNoContent)
}

// pushed returns the exchange ids of the circuits that a CloudEvent, or each of a batch, is
// about. Events about other things have none.
func pushed(body []byte) ([]string, error) {
	type about struct {
		Subject string `json:"subject"`
	}
	var all []about
	var err error
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		err = json.Unmarshal(body, &all)
	} else {
		all = make([]about, 1)
		err = json.Unmarshal(body, &all[0])
	}
	if err != nil {
		return nil, fmt.Errorf("neither a CloudEvent in JSON nor a batch of them: %w", err)
	}
	var circuits []string
	for _, a := range all {
		if id, ok := strings.CutPrefix(a.Subject, pushedConnections); ok && event.ValidID(id) {
			circuits = append(circuits, event.CanonicalID(id))
		}
	}
	return circuits, nil
}

// nudge has a circuit looked at: now, and once more a little later, since an exchange may tell
// of a change before it shows it. Of one that nobody knows it is not said either whose it is,
// so each account asks, and for no more than one such circuit a second; others are found by
// the next sweep.
func (p *pushes) nudge(exchangeID string) {
	w := p.watcher
	k, _ := w.index.circuit(event.ConnectionID(pushedExchange, exchangeID))
	if k.conn != nil && !k.archived {
		p.pursue(w.watches[w.observer(k)], exchangeID, exchangeID)
		return
	}
	for _, a := range w.watches {
		if exchangeOf(a.account.API) == pushedExchange {
			a.stir()
			p.pursue(a, a.account.Name, exchangeID)
		}
	}
}

// pursue has a circuit looked at by an account, if whoever of a name has his turn. The account
// may be none of this process.
func (p *pushes) pursue(a *watch, name, exchangeID string) {
	if a == nil {
		return
	}
	if at, ok := p.turn(name); ok {
		a.pursue(chase{exchangeID: exchangeID, by: "push", at: at, wait: a.pace.Moving, quick: true})
	}
}

// turn is when the next look of a name may be: a circuit that is known, or an account that
// looks at others. There is none if one is to come anyway.
func (p *pushes) turn(name string) (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for of, at := range p.last {
		if now.Sub(at) >= pushAgain {
			delete(p.last, of)
		}
	}
	at = now
	if last, recent := p.last[name]; recent {
		if at = last.Add(pushAgain); last.After(now) {
			return at, false
		}
	}
	p.last[name] = at
	return at, true
}
