package sandbox

import "encoding/json"

func (x *Exchange) fabricConnectionOps() map[string]op { return map[string]op{} }

// fabricNames are the names of the circuits that a call is about.
func (x *Exchange) fabricNames(q *request) []string {
	if id := q.PathValue("uuid"); id != "" {
		x.lock()
		defer x.unlock()
		if c := x.circuits[id]; c != nil {
			return []string{c.name}
		}
		return nil
	}
	var named struct{ Name string }
	// A body that is no JSON has no name; the operation says what is wrong with it.
	_ = json.Unmarshal(q.body, &named)
	return []string{named.Name}
}

func fabricPartial(body any) any { return body }
