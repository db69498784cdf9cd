package account

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// What a file may say at most.
const (
	maxFile    = 1 << 20
	maxBudget  = 60_000
	maxAttempt = 10 * time.Minute
	maxQuiet   = 24 * time.Hour
	maxWait    = 366 * 24 * time.Hour
	maxWhen    = 4096
	maxReason  = 500
)

// The shapes of texts.
var (
	nameShape   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	portShape   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	metroShape  = regexp.MustCompile(`^[A-Z]{2}$`)
	marketShape = regexp.MustCompile(`^[A-Z0-9]{2,8}$`)
)

// Load reads an accounts file.
func Load(path string) (File, error) {
	data, err := readFile(path)
	if err != nil {
		return File{}, fmt.Errorf("accounts file: %w", err)
	}
	file, err := Parse(data)
	if err != nil {
		return File{}, fmt.Errorf("accounts file %s:\n%w", path, err)
	}
	return file, nil
}

// readFile reads no more than Parse needs to say that it is too much.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return data, errors.Join(err, f.Close())
}

// Parse reads an accounts file. The error is of type [Violations]: everything that is
// wrong, not the first thing.
func Parse(data []byte) (File, error) {
	if len(data) > maxFile {
		return File{}, Violations{{Message: fmt.Sprintf("longer than %d bytes", maxFile)}}
	}
	w := &walker{left: maxValues}
	top := w.document(data)
	var file File
	if len(w.found) == 0 {
		file = w.file(top)
	}
	if err := w.found.Err(); err != nil {
		return File{}, err
	}
	return file, nil
}

func (w *walker) file(v value) File {
	if !v.present() {
		v.path = "accounts"
		w.fail(v, "is missing; the file is empty")
		return File{}
	}
	o, ok := w.object(v, "accounts")
	if !ok {
		return File{}
	}
	items := w.list(o["accounts"])
	if len(items) == 0 && len(w.found) == 0 {
		w.fail(o["accounts"], "must list at least one account")
	}
	var f File
	names := seen{}
	for _, item := range items {
		a, name := w.account(item)
		names.check(w, name, a.Name)
		f.Accounts = append(f.Accounts, a)
	}
	return f
}

// seen knows on which line a name was met.
type seen map[string]int

// check reports a name that was met before.
func (s seen) check(w *walker, v value, name string) {
	if name == "" {
		return
	}
	if line, ok := s[name]; ok {
		w.fail(v, "%q is there already, on line %d", shorten(name), line)
		return
	}
	s[name] = v.line
}

// account reads an account, and returns where its name stands.
func (w *walker) account(v value) (Account, value) {
	o, ok := w.object(v, "name", "api", "role", "baseUrl", "credentials", "budgetPerMinute",
		"attempt", "quiet", "landing", "policy")
	if !ok {
		return Account{}, v
	}
	a := Account{
		Name:            w.shaped(o["name"], nameShape, "1 to 64 letters, digits, - and _"),
		API:             word(w, o["api"], "", ECX, Fabric, PacketFabric),
		Role:            word(w, o["role"], "", Buyer, Seller, Both),
		BaseURL:         w.baseURL(o["baseUrl"]),
		BudgetPerMinute: w.number(o["budgetPerMinute"], DefaultBudget, maxBudget),
		Attempt:         w.duration(o["attempt"], DefaultAttempt, maxAttempt),
		Quiet:           w.duration(o["quiet"], DefaultQuiet, maxQuiet),
	}
	a.Credentials = w.credentials(o["credentials"], a.API)
	a.Landing = w.landings(o["landing"], a.API)
	a.Policy = w.policy(o["policy"])
	if a.Role == Buyer {
		for _, key := range []string{"landing", "policy"} {
			if o[key].present() {
				w.fail(o[key], "is for sellers; the role is buyer")
			}
		}
	}
	return a, o["name"]
}

// baseURL shows nothing of what was written: it may have a password in it.
func (w *walker) baseURL(v value) string {
	if !w.need(v) {
		return ""
	}
	text, ok := w.text(v)
	if !ok {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		w.fail(v, "must be a URL such as https://api.equinix.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		w.fail(v, "must have no user, password, query or fragment")
	}
	return strings.TrimRight(text, "/")
}

func (w *walker) credentials(v value, api API) Credentials {
	v.mute = true
	keys := []string{"clientId", "clientSecret"}
	if api == PacketFabric {
		keys = []string{"login", "password", "apiKey"}
	}
	if api == "" { // wrong already; any will do
		keys = []string{"clientId", "clientSecret", "login", "password", "apiKey"}
	}
	o, ok := w.object(v, keys...)
	if !ok {
		return Credentials{}
	}
	c := Credentials{
		ClientID:     w.ref(o["clientId"]),
		ClientSecret: w.ref(o["clientSecret"]),
		Login:        w.ref(o["login"]),
		Password:     w.ref(o["password"]),
		APIKey:       w.ref(o["apiKey"]),
	}
	switch hasKey := o["apiKey"].present(); {
	case api == "":
	case api != PacketFabric:
		w.need(o["clientId"])
		w.need(o["clientSecret"])
	case hasKey && (o["login"].present() || o["password"].present()):
		w.fail(v, "must be either apiKey, or login and password, not both")
	case !hasKey && !o["login"].present() && !o["password"].present():
		w.fail(v, "must have apiKey, or login and password")
	case !hasKey:
		w.need(o["login"])
		w.need(o["password"])
	}
	return c
}

func (w *walker) ref(v value) Ref {
	text, ok := w.text(v)
	if !ok {
		return Ref{}
	}
	r, err := ParseRef(text)
	if err != nil {
		w.fail(v, "%s", err)
	}
	return r
}

func (w *walker) landings(v value, api API) []Landing {
	var all []Landing
	ports := map[string]Landing{} // the first rule that names a port
	for _, item := range w.list(v) {
		l, list := w.landing(item, api)
		for i, port := range l.Ports {
			first, again := ports[port]
			if !again {
				ports[port] = l
			} else if first.Place() != l.Place() || !together(first.Encapsulation, l.Encapsulation, api) {
				w.fail(list[i], "port %s has another place or encapsulation in an earlier rule", shorten(port))
			}
		}
		all = append(all, l)
	}
	return all
}

// together reports whether two rules may name one port. A port has one encapsulation, but
// at PacketFabric one circuit without a tag besides.
func together(a, b Encapsulation, api API) bool {
	return a == b || api == PacketFabric && (a == Untagged || b == Untagged)
}

// landing reads a landing rule, and returns where its ports stand.
func (w *walker) landing(v value, api API) (Landing, []value) {
	place, other := "metro", "market"
	shape, want := metroShape, "a metro code such as SV"
	if api == PacketFabric {
		place, other = other, place
		shape, want = marketShape, "a market code such as CHI"
	}
	o, ok := w.object(v, "metro", "market", "ports", "encapsulation", "tags")
	if !ok {
		return Landing{}, nil
	}
	kinds := []Encapsulation{Dot1q, QinQ}
	if api != ECX { // its approval names a tag
		kinds = append(kinds, Untagged)
	}
	l := Landing{Encapsulation: word(w, o["encapsulation"], "", kinds...)}
	if api != "" {
		if o[other].present() {
			w.fail(o[other], "is not for api %s; write %s", api, place)
		}
		code := w.shaped(o[place], shape, want)
		if api == PacketFabric {
			l.Market = code
		} else {
			l.Metro = code
		}
	}
	ports := w.list(o["ports"])
	if len(ports) == 0 && (!o["ports"].present() || len(o["ports"].node.Content) == 0) {
		w.fail(o["ports"], "must list at least one port")
	}
	met := seen{}
	for _, p := range ports {
		port := w.shaped(p, portShape, "a port id: 1 to 64 letters, digits and -")
		met.check(w, p, port)
		l.Ports = append(l.Ports, port)
	}
	if l.Encapsulation != Untagged {
		l.Tags = w.tags(o["tags"], api)
	} else if o["tags"].present() {
		w.fail(o["tags"], "is not for ports without tags")
	}
	return l, ports
}

func (w *walker) tags(v value, api API) Tags {
	if !w.need(v) {
		return Tags{}
	}
	text, ok := w.text(v)
	if !ok {
		return Tags{}
	}
	low, high := api.tagLimits()
	t, err := ParseTags(text)
	switch {
	case api != "" && errors.Is(err, errRange):
		w.fail(v, "%s; %s takes tags within %d and %d", err, api, low, high)
	case err != nil:
		w.fail(v, "%s", err)
	case api != "" && !t.within(low, high):
		w.fail(v, "%s takes tags within %d and %d only", api, low, high)
	}
	return t
}

func (w *walker) policy(v value) []Rule {
	var rules []Rule
	names := seen{}
	for _, item := range w.list(v) {
		r, name := w.rule(item)
		names.check(w, name, r.Name)
		rules = append(rules, r)
	}
	return rules
}

// rule reads a rule, and returns where its name stands.
func (w *walker) rule(v value) (Rule, value) {
	o, ok := w.object(v, "name", "when", "then", "reason", "deadline", "remind", "onExpiry")
	if !ok {
		return Rule{}, v
	}
	r := Rule{
		Name:     w.shaped(o["name"], nameShape, "1 to 64 letters, digits, - and _"),
		When:     w.phrase(o["when"], maxWhen),
		Then:     word(w, o["then"], "", Approve, Reject, Ask),
		Reason:   w.phrase(o["reason"], maxReason),
		Deadline: w.duration(o["deadline"], 0, maxWait),
		Remind:   w.duration(o["remind"], 0, maxWait),
		OnExpiry: word(w, o["onExpiry"], Wait, Approve, Reject, Wait),
		Line:     o["when"].line,
	}
	w.need(o["when"])
	if r.Then == Reject && !o["reason"].present() {
		w.fail(o["reason"], "is missing; the buyer is told why")
	}
	if r.Then == Approve || r.Then == Reject {
		for _, key := range []string{"deadline", "remind", "onExpiry"} {
			if o[key].present() {
				w.fail(o[key], "is for rules that ask; this one says %s", r.Then)
			}
		}
		return r, o["name"]
	}
	if (r.OnExpiry == Approve || r.OnExpiry == Reject) && !o["deadline"].present() {
		w.fail(o["onExpiry"], "never happens without a deadline")
	}
	if r.Deadline > 0 && r.Remind >= r.Deadline {
		w.fail(o["remind"], "must be shorter than the deadline, %s", r.Deadline)
	}
	return r, o["name"]
}

// phrase returns a text that is not blank and not too long; empty if v is absent.
func (w *walker) phrase(v value, most int) string {
	text, ok := w.text(v)
	if !ok {
		return ""
	}
	if strings.TrimSpace(text) == "" {
		w.fail(v, "is blank")
	}
	if len(text) > most {
		w.fail(v, "is longer than %d bytes", most)
	}
	return text
}
