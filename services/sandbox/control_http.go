package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// routeControl adds the control API. It needs no token and no fault touches it.
func (x *Exchange) routeControl(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/inventory", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, x.inventory(filter(r.URL.Query().Get), pfFilter(r.URL.Query().Get)))
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
		d := x.Delays()
		if readControl(w, r, &d) {
			x.SetDelays(d)
			writeJSON(w, http.StatusOK, d)
		}
	})
	mux.HandleFunc("POST /sandbox/edits", func(w http.ResponseWriter, r *http.Request) {
		var e Edit
		if !readControl(w, r, &e) {
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
		if !readControl(w, r, &f) {
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
		if !readControl(w, r, &robot) {
			return
		}
		if err := x.SetRobot(robot); err != nil {
			refuseControl(w, http.StatusBadRequest, err)
			return
		}
		writeJSON(w, http.StatusOK, x.Robots())
	})
}

// readControl decodes the body into v, or answers what is wrong with it.
func readControl(w http.ResponseWriter, r *http.Request, v any) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		if u, ok := v.(json.Unmarshaler); ok {
			err = u.UnmarshalJSON(b)
		} else {
			err = strict(b, v)
		}
	}
	if err != nil {
		refuseControl(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

func refuseControl(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}
