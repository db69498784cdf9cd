package telemetry

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health is the page /healthz.
type Health struct {
	// Status is ok, or degraded if any check is.
	Status string             `json:"status"`
	Checks map[string]Finding `json:"checks"`
}

// Finding is what one check says.
type Finding struct {
	// Status is ok or degraded.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Readiness is the page /readyz.
type Readiness struct {
	Ready bool            `json:"ready"`
	Parts map[string]Part `json:"parts"`
}

// Part is one thing that has to be done before the process is ready, or that is worth
// showing while it goes on.
type Part struct {
	Done   bool `json:"done"`
	Detail any  `json:"detail,omitempty"`
}

// Check registers what /healthz asks about a dependency: nil if it is there, else why
// not. The reason must not hold secrets. A second check of a name replaces the first.
func (t *Telemetry) Check(name string, check func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks[name] = check
}

// Ready registers a part of readiness. The process is ready when every part is done; a
// part that only shows progress is always done. The detail is shown as JSON.
func (t *Telemetry) Ready(name string, part func() (done bool, detail any)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts[name] = part
}

// Handler serves /healthz, /readyz and /metrics.
//
// A process whose dependencies are away is alive and heals by itself, so /healthz answers
// 200 and says "degraded": who restarts it on that would only make things worse.
// /readyz answers 503 until every part is done.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, t.health())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := t.readiness()
		if r.Ready {
			answer(w, http.StatusOK, r)
		} else {
			answer(w, http.StatusServiceUnavailable, r)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	return mux
}

func (t *Telemetry) health() Health {
	t.mu.Lock()
	checks := maps.Clone(t.checks)
	t.mu.Unlock()
	h := Health{Status: "ok", Checks: map[string]Finding{}}
	for name, check := range checks {
		if err := check(); err != nil {
			h.Status = "degraded"
			h.Checks[name] = Finding{Status: "degraded", Reason: err.Error()}
		} else {
			h.Checks[name] = Finding{Status: "ok"}
		}
	}
	return h
}

func (t *Telemetry) readiness() Readiness {
	t.mu.Lock()
	parts := maps.Clone(t.parts)
	t.mu.Unlock()
	r := Readiness{Ready: true, Parts: map[string]Part{}}
	for name, part := range parts {
		done, detail := part()
		r.Ready = r.Ready && done
		r.Parts[name] = Part{done, detail}
	}
	return r
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(body) // the reader may have gone
}
