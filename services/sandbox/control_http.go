package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"go.yaml.in/yaml/v3"
)

// routeControl adds the control API. It needs no token and no fault touches it.
func (x *Exchange) routeControl(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/inventory", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if err := x.checkFilter(q).err(); err != nil {
			refuseControl(w, http.StatusBadRequest, err)
			return
		}
		writeJSON(w, http.StatusOK, x.inventory(filter(q.Get), pfFilter(q.Get)))
	})
	mux.HandleFunc("GET /sandbox/connections/{id}", func(w http.ResponseWriter, r *http.Request) {
		if v, ok := x.PFCircuit(r.PathValue("id")); ok {
			writeJSON(w, http.StatusOK, v)
			return
		}
		c, ok := x.Connection(r.PathValue("id"))
		if !ok {
			refuseControl(w, http.StatusNotFound, fmt.Errorf("no connection %q", r.PathValue("id")))
			return
		}
		writeJSON(w, http.StatusOK, c)
	})
	mux.HandleFunc("GET /sandbox/calls", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, x.Calls())
	})
	mux.HandleFunc("DELETE /sandbox/calls", func(w http.ResponseWriter, _ *http.Request) {
		x.ResetCalls()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /sandbox/delays", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, x.Delays())
	})
	mux.HandleFunc("PUT /sandbox/delays", func(w http.ResponseWriter, r *http.Request) {
		var d *Delays
		if x.readControl(w, r, func(in *reader) field { return in.delays(&d) }) {
			x.SetDelays(*d)
			writeJSON(w, http.StatusOK, d)
		}
	})
	mux.HandleFunc("POST /sandbox/edits", func(w http.ResponseWriter, r *http.Request) {
		var e Edit
		if !x.readControl(w, r, func(in *reader) field { return func(n *yaml.Node) { e = in.edit(n) } }) {
			return
		}
		if err := x.Edit(e); err != nil {
			refuseControl(w, http.StatusBadRequest, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	x.routeFaults(mux)
	x.routeRobots(mux)
}

func (x *Exchange) routeFaults(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, x.Faults())
	})
	mux.HandleFunc("POST /sandbox/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if !x.readControl(w, r, func(in *reader) field { return func(n *yaml.Node) { f = in.fault(n) } }, "id", "seen", "applied") {
			return
		}
		id, err := x.AddFault(f)
		if err != nil {
			refuseControl(w, http.StatusBadRequest, err)
			return
		}
		writeJSON(w, http.StatusCreated, map[string]string{"id": id})
	})
	mux.HandleFunc("DELETE /sandbox/faults", func(w http.ResponseWriter, r *http.Request) {
		x.ClearFaults(r.URL.Query()["id"]...)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (x *Exchange) routeRobots(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/robots", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, x.Robots())
	})
	mux.HandleFunc("PUT /sandbox/robots", func(w http.ResponseWriter, r *http.Request) {
		var robot Robot
		if !x.readControl(w, r, func(in *reader) field { return func(n *yaml.Node) { robot = in.robot(n) } }) {
			return
		}
		if err := x.SetRobot(robot); err != nil {
			refuseControl(w, http.StatusBadRequest, err)
			return
		}
		writeJSON(w, http.StatusOK, x.Robots())
	})
}

// readControl has read what the body says, or answers all that is wrong with it. What the
// exchange itself says of a thing may come back to it, and means nothing.
func (x *Exchange) readControl(w http.ResponseWriter, r *http.Request, read func(*reader) field, itsOwn ...string) bool {
	n, err := controlBody(w, r, itsOwn)
	if err == nil {
		x.lock()
		in := &reader{exchange: x, delayed: x.delays}
		read(in)(n)
		x.unlock()
		for i := range in.wrong {
			in.wrong[i].Line = 0 // of a text that nobody has seen
		}
		err = in.wrong.err()
	}
	if err != nil {
		refuseControl(w, http.StatusBadRequest, err)
	}
	return err == nil
}

// controlBody is the JSON of a body as the reader takes it, without the named fields.
func controlBody(w http.ResponseWriter, r *http.Request, without []string) (*yaml.Node, error) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the body must be a JSON object of at most %d bytes: %w", maxBody, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body must be one JSON object, and more follows it")
	}
	if fields, ok := v.(map[string]any); ok {
		for _, name := range without {
			delete(fields, name)
		}
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	return n, nil
}

// refusal is the answer to what cannot be done, with what is wrong by field where it is known.
type refusal struct {
	Error      string    `json:"error"`
	Violations []Mistake `json:"violations,omitempty"`
}

func refuseControl(w http.ResponseWriter, status int, err error) {
	var wrong Mistakes
	_ = errors.As(err, &wrong)
	writeJSON(w, status, refusal{err.Error(), wrong})
}
