package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The workflows. The name of the second is inferred from that of another kind of circuit.
const (
	pfProvisionWorkflow = "vc/workflow/provision/master"
	pfDeleteWorkflow    = "vc/workflow/delete/master"
)

// pfSteps is how many steps a workflow has, and pfEnd where it stands in the end: the
// exchange counts beyond its own steps.
const (
	pfSteps = 8
	pfEnd   = 10
)

// pfWorkState is a state of a workflow.
type pfWorkState struct {
	State       string `json:"state"`
	Description string `json:"description"`
}

// states are those of w, in order; the last is its end.
func (w pfWorkflow) states() []pfWorkState {
	end := pfWorkState{"COMPLETE", "Complete"}
	if w.Name == pfDeleteWorkflow {
		return []pfWorkState{{"DELETE_VC", "Deleting virtual circuit"}, end}
	}
	return []pfWorkState{
		{"WORKFLOW_OBJECT_XREF", "Creating workflow"},
		{"CREATE_INTERFACES", "Creating interfaces"},
		{"CREATE_INTERFACES_CLEANUP", "Cleaning up interfaces"},
		{"BILLING_ADD:BILLING_ADD_WORKFLOW", "Adding billing"},
		{"NOTIFY_RESELLER_PROVISION_WORKFLOW", "Notifying"},
		end,
	}
}

// at says where w stands: its position, from 1, and the index of its state.
func (w pfWorkflow) at(now time.Time) (position, state int) {
	last := len(w.states()) - 1
	if w.Done {
		return pfEnd, last
	}
	const working = pfSteps - 1
	position = max(1, w.Failed)
	if whole := w.To.Sub(w.From); whole > 0 && w.Failed == 0 {
		position = min(working, 1+int(now.Sub(w.From)*working/whole))
	}
	return position, (position - 1) * last / working
}

// pfStatusView is the status object of a circuit or port.
type pfStatusView struct {
	CircuitID string `json:"circuit_id"`
	Status    struct {
		Object struct {
			State   string `json:"state"`
			Deleted bool   `json:"deleted"`
		} `json:"object"`
		Current struct {
			pfWorkState
			Warning bool `json:"warning"`
		} `json:"current"`
		LastWorkflow *pfWorkflowView `json:"last_workflow,omitempty"`
	} `json:"status"`
}

// pfWorkflowView has the state under both names that clients know.
type pfWorkflowView struct {
	Name         string   `json:"name"`
	Root         string   `json:"root"`
	Current      string   `json:"current"`
	State        string   `json:"state"`
	CurrentState string   `json:"current_state"`
	CurrentName  string   `json:"current_name"`
	PrevState    string   `json:"prev_state"`
	IsFinal      bool     `json:"is_final"`
	Failures     []string `json:"failures"`
	Progress     struct {
		Position int `json:"position"`
		Steps    int `json:"steps"`
	} `json:"progress"`
	States []pfWorkState `json:"states"`
}

// pfServiceStatus shows the last workflow of a circuit until its history is erased.
func (x *Exchange) pfServiceStatus(q *request) answer {
	now := x.lock()
	defer x.unlock()
	v := x.pfServiceOf(q, now)
	if v == nil || v.work.Done && !now.Before(v.work.Erased) {
		return pfNoSuchURL(q)
	}
	out := pfStatusView{CircuitID: v.circuitID}
	// While it is being created the object is active already.
	out.Status.Object.State = vcActive
	switch v.state {
	case vcDeleting:
		out.Status.Object.State = "deleting"
	case vcDeleted:
		out.Status.Object.State, out.Status.Object.Deleted = "deleted", true
	}
	if q.show.status != "" && q.show.fits(v) {
		out.Status.Object.State = q.show.word(q.show.status)
	}
	position, i := v.work.at(now)
	states := v.work.states()
	w := &pfWorkflowView{Name: v.work.Name, Root: v.work.Root, Current: v.work.Now, State: states[i].State,
		CurrentState: states[i].State, CurrentName: states[i].State, IsFinal: v.work.Done, Failures: []string{},
		States: states}
	if i > 0 {
		w.PrevState = states[i-1].State
	}
	if v.work.Failed != 0 {
		w.IsFinal, w.Failures = true, []string{states[i].Description + " failed"}
	}
	w.Progress.Position, w.Progress.Steps = position, pfSteps
	out.Status.Current.pfWorkState = states[i]
	out.Status.LastWorkflow = w
	return answer{status: http.StatusOK, body: out}
}

// pfPortStatus shows a port, whose history was erased long ago.
func (x *Exchange) pfPortStatus(q *request) answer {
	return x.pfPort(q, func(p *pfPort, _ time.Time) answer {
		out := pfStatusView{CircuitID: p.id}
		out.Status.Object.State = vcActive
		out.Status.Current.pfWorkState = pfWorkState{"ACTIVE", "Active"}
		return answer{status: http.StatusOK, body: out}
	})
}

// pfLogLength is how many entries the activity log shows.
const pfLogLength = 100

type pfLogView struct {
	LogUUID     string `json:"log_uuid"`
	User        string `json:"user"`
	Level       int    `json:"level"`
	Category    string `json:"category"`
	Event       string `json:"event"`
	Message     string `json:"message"`
	TimeCreated string `json:"time_created"`
	LevelName   string `json:"log_level_name"`
}

// pfActivity lists what was done to the tenant's circuits of late, the newest first.
func (x *Exchange) pfActivity(q *request) answer {
	x.lock()
	defer x.unlock()
	type line struct {
		v *vc
		n int
	}
	var lines []line
	c := x.pf.customers[q.who]
	for _, v := range slices.Concat(c.sent, c.received) {
		for n := range v.history {
			lines = append(lines, line{v, n})
		}
	}
	at := func(l line) Step { return l.v.history[l.n] }
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(at(b).At.Compare(at(a).At), cmp.Compare(b.n, a.n))
	})
	out := []pfLogView{}
	for _, l := range lines[:min(len(lines), pfLogLength)] {
		step := at(l)
		id := uuid.NewSHA1(uuid.Nil, []byte(l.v.id()+step.At.String()+step.What))
		out = append(out, pfLogView{LogUUID: id.String(), User: step.By, Level: 6, Category: "virtual_circuit",
			Event: step.Status, Message: l.v.id() + ": " + step.What, TimeCreated: pfTime(step.At), LevelName: "info"})
	}
	return answer{status: http.StatusOK, body: out}
}
