// Package policy decides what to do with a request by the rules of a seller's account.
// A rule's condition is an expression in CEL over these variables:
//
//	kind           string  "create", "change" or "delete"
//	buyer          string  organization of the buyer, as the exchange writes it
//	name           string  name of the connection
//	bandwidthMbps  int     speed; of a change the new one; 0 if the exchange did not say
//	currentMbps    int     speed that the circuit has; of a create the same as bandwidthMbps
//	metro          string  where the seller's side is; PacketFabric: the market
//	region         string  the seller's region; empty if there is none
//	market         string  PacketFabric: the same as metro; empty elsewhere
//	profile        string  id of the service profile; PacketFabric: the seller's customer
//	profileName    string  its name; PacketFabric: the service's
//	account        string  name of our account in the accounts file
//	api            string  the account's API: "ecx", "fabric" or "packetfabric"
//	exchange       string  "equinix" or "packetfabric"
//	routingId      string  PacketFabric: where the request was sent, if an order of ours sent it
//	buyerMetro     string  where the buyer's side is; empty if that is not shown
//	buyerPort      string  the buyer's port; empty if that is not shown
//	buyerTag       int     outer tag on it; 0 if there is none or it is not shown
//	buyerAccount   string  the account of ours that is the buyer; empty if none is
//	peering        string  "PRIVATE", "MICROSOFT", "PUBLIC" or "MANUAL"; empty if none
//	redundancy     string  "primary" or "secondary"; empty if it stands alone
//	token          bool    it redeems a service token
//	purchaseOrder  string  the buyer's, if it is shown
//
// The first rule that matches decides; if none does, a person is asked. Approval is never
// an accident: an expression that cannot be evaluated, or costs too much, asks a person
// and says why, and no later rule is tried.
//
// The package is pure: no I/O, no clock, nothing random. A [Policy] may be used by many
// goroutines at once.
package policy

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"patchbay.io/pkg/account"
)

// Limits on what a rule may cost. CEL has no endless loops, but macros can be nested.
const (
	maxCost  = 100_000 // units of CEL, each about one step
	maxDepth = 64      // of nesting
)

// Request is what a rule sees of a request. Package comment explains the fields.
type Request struct {
	Kind          string
	Buyer         string
	Name          string
	BandwidthMbps int
	CurrentMbps   int
	Metro         string
	Region        string
	Profile       string
	ProfileName   string
	Account       string
	API           string
	Exchange      string
	RoutingID     string
	BuyerMetro    string
	BuyerPort     string
	BuyerTag      int
	BuyerAccount  string
	Peering       string
	Redundancy    string
	Token         bool
	PurchaseOrder string
}

// market is the metro by PacketFabric's name.
func (r Request) market() string {
	if r.Exchange == "packetfabric" {
		return r.Metro
	}
	return ""
}

// variables are the names of a request's fields in rules, with their types. Read a row
// as "name is of that type, and this field of the request".
var variables = []struct {
	name  string
	kind  *cel.Type
	value func(Request) any
}{
	{"kind", cel.StringType, func(r Request) any { return r.Kind }},
	{"buyer", cel.StringType, func(r Request) any { return r.Buyer }},
	{"name", cel.StringType, func(r Request) any { return r.Name }},
	{"bandwidthMbps", cel.IntType, func(r Request) any { return r.BandwidthMbps }},
	{"currentMbps", cel.IntType, func(r Request) any { return r.CurrentMbps }},
	{"metro", cel.StringType, func(r Request) any { return r.Metro }},
	{"region", cel.StringType, func(r Request) any { return r.Region }},
	{"profile", cel.StringType, func(r Request) any { return r.Profile }},
	{"profileName", cel.StringType, func(r Request) any { return r.ProfileName }},
	{"account", cel.StringType, func(r Request) any { return r.Account }},
	{"market", cel.StringType, func(r Request) any { return r.market() }},
	{"api", cel.StringType, func(r Request) any { return r.API }},
	{"exchange", cel.StringType, func(r Request) any { return r.Exchange }},
	{"routingId", cel.StringType, func(r Request) any { return r.RoutingID }},
	{"buyerMetro", cel.StringType, func(r Request) any { return r.BuyerMetro }},
	{"buyerPort", cel.StringType, func(r Request) any { return r.BuyerPort }},
	{"buyerTag", cel.IntType, func(r Request) any { return r.BuyerTag }},
	{"buyerAccount", cel.StringType, func(r Request) any { return r.BuyerAccount }},
	{"peering", cel.StringType, func(r Request) any { return r.Peering }},
	{"redundancy", cel.StringType, func(r Request) any { return r.Redundancy }},
	{"token", cel.BoolType, func(r Request) any { return r.Token }},
	{"purchaseOrder", cel.StringType, func(r Request) any { return r.PurchaseOrder }},
}

// Decision is what to do with a request.
type Decision struct {
	Rule     string       // name of the rule; empty if none matched
	Then     account.Verb // Approve, Reject or Ask
	Reason   string       // for people; of an expression that failed, why
	Deadline time.Duration
	Remind   time.Duration
	OnExpiry account.Verb // Approve, Reject or Wait
}

// Policy is a list of compiled rules. The zero Policy always asks.
type Policy struct {
	rules []rule
}

type rule struct {
	account.Rule
	when cel.Program
}

// Compile makes a policy of rules. The error is of type [account.Violations] and has
// everything that is wrong with them, by path: policy[0].when.
func Compile(rules []account.Rule) (Policy, error) {
	p, found, err := compile(rules, "")
	if err != nil {
		return Policy{}, err
	}
	if err := found.Err(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Check compiles the rules of all accounts and returns what is wrong with them as
// [account.Violations], by path in the file: accounts[1].policy[0].when.
func Check(f account.File) error {
	var all account.Violations
	for i, a := range f.Accounts {
		_, found, err := compile(a.Policy, fmt.Sprintf("accounts[%d].", i))
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	return all.Err()
}

// compile returns what is wrong with rules, or an error if CEL itself cannot be had.
func compile(rules []account.Rule, prefix string) (Policy, account.Violations, error) {
	env, err := environment()
	if err != nil {
		return Policy{}, nil, fmt.Errorf("policy: %w", err)
	}
	var p Policy
	var found account.Violations
	for i, r := range rules {
		when, errs := program(env, r.When)
		for _, err := range errs {
			found = append(found, account.Violation{
				Line:    r.Line,
				Path:    fmt.Sprintf("%spolicy[%d].when", prefix, i),
				Message: err.Error(),
			})
		}
		p.rules = append(p.rules, rule{Rule: r, when: when})
	}
	return p, found, nil
}

func environment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals()),
	}
	for _, v := range variables {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	return cel.NewEnv(options...)
}

// tokenSet is what a syntax error says of all that might have stood there instead: tokens of
// the grammar, which nobody writes.
var tokenSet = regexp.MustCompile(` expecting \{.*\}$`)

// program compiles one expression. It returns every error that CEL found.
func program(env *cel.Env, when string) (cel.Program, []error) {
	ast, issues := env.Compile(when)
	if issues.Err() != nil {
		var errs []error
		for _, e := range issues.Errors() {
			where := ""
			if e.Location.Line() > 0 {
				where = fmt.Sprintf("at %d:%d: ", e.Location.Line(), e.Location.Column()+1)
			}
			errs = append(errs, errors.New(where+tokenSet.ReplaceAllString(e.Message, "")))
		}
		return nil, errs
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, []error{fmt.Errorf("must be true or false, not of type %s", ast.OutputType())}
	}
	prg, err := env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, []error{err}
	}
	return prg, nil
}

// Decide returns what the first rule that matches says about r.
func (p Policy) Decide(r Request) Decision {
	vars := make(map[string]any, len(variables))
	for _, v := range variables {
		vars[v.name] = v.value(r)
	}
	for _, rule := range p.rules {
		matches, err := rule.matches(vars)
		if err != nil {
			return Decision{
				Rule:     rule.Name,
				Then:     account.Ask,
				Reason:   fmt.Sprintf("rule %s could not be evaluated: %v", rule.Name, err),
				OnExpiry: account.Wait,
			}
		}
		if matches {
			return rule.decision()
		}
	}
	return Decision{Then: account.Ask, Reason: "no rule matches", OnExpiry: account.Wait}
}

func (r rule) matches(vars map[string]any) (bool, error) {
	out, _, err := r.when.Eval(vars)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, errors.New("neither true nor false")
	}
	return bool(b), nil
}

func (r rule) decision() Decision {
	d := Decision{
		Rule:     r.Name,
		Then:     r.Then,
		Reason:   r.Reason,
		Deadline: r.Deadline,
		Remind:   r.Remind,
		OnExpiry: r.OnExpiry,
	}
	if d.OnExpiry == "" {
		d.OnExpiry = account.Wait
	}
	return d
}
