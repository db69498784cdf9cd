package statuswatcher

import (
	"context"
	"fmt"
	"slices"

	"patchbay.io/pkg/status"
)

// Of fewer circuits than fewest nothing can be concluded. Of at least many, fewer than
// half is too few.
const (
	fewest = 3
	many   = 10
)

// eclipse is what an account's exchange does not show any more.
//
// An exchange that suddenly shows nothing of what there was is more likely the wrong
// exchange than an empty one: another base URL, another company's credentials, a sandbox
// that was started anew. So an absence is believed only on the strength of a sweep over
// everything that showed the rest, and where almost all is absent, not at all: the news is
// held back and said in the log, the health page and the metrics until the circuits are
// shown again, or somebody confirms that they are gone, see [Pace.Gone].
//
// Not held back is what was expected to vanish: a circuit that was being taken down, or
// whose deletion was placed from here.
type eclipse struct{ known, shown int }

func (e eclipse) Error() string {
	return fmt.Sprintf("the exchange shows %d of %d circuits that were there; nothing is announced as gone: "+
		"check baseUrl and credentials of the account, or confirm that they are gone", e.shown, e.known)
}

// dark reports whether so few are shown that it is not to be believed.
func (e eclipse) dark() bool {
	return e.known >= fewest && e.shown == 0 || e.known >= many && 2*e.shown < e.known
}

// judge holds what a sweep over everything showed against what was known before it.
func (a *watch) judge(ctx context.Context, before uint64, seen map[string]bool) {
	var now eclipse
	for _, k := range a.index.alive() {
		if a.observes(k) && k.version <= before && !a.leaving(k) {
			now.known++
			if seen[k.conn.GetId()] {
				now.shown++
			}
		}
	}
	dark := now.dark() && !a.confirmed
	a.mu.Lock()
	was := a.eclipse
	a.demanded = false
	a.eclipse = nil
	if dark {
		a.eclipse = &now
	}
	a.mu.Unlock()
	held := 0
	if dark {
		held = now.known - now.shown
	}
	a.meters.held(ctx, a.account.Name, held)
	switch {
	case dark && was == nil:
		a.rt.Log.Warn().Str("account", a.account.Name).Int("known", now.known).Int("shown", now.shown).
			Msg("the exchange does not show circuits that were there; they are not announced as gone: " +
				"check baseUrl and credentials, or confirm with --gone")
	case !dark && was != nil:
		a.rt.Log.Info().Str("account", a.account.Name).Int("known", now.known).Int("shown", now.shown).
			Msg("the exchange shows the circuits again")
	}
}

// Healthy reports an account whose exchange does not show what there was; nil while all
// is well.
func (a *watch) Healthy() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.eclipse == nil {
		return nil
	}
	return fmt.Errorf("account %s: %w", a.account.Name, *a.eclipse)
}

// Healthy reports the accounts whose exchanges do not show what there was.
func (w *Watcher) Healthy() error {
	for _, acc := range w.rt.Accounts.Accounts {
		if a := w.watches[acc.Name]; a != nil {
			if err := a.Healthy(); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaving reports whether a circuit is expected to vanish.
func (a *watch) leaving(k circuit) bool {
	return status.Status(k.newest().GetStatus()) == status.Deprovisioning || a.index.deleting(k.conn.GetId())
}

// unbelievable reports whether an absence is to be taken for gone only after a sweep over
// everything, and demands one.
func (a *watch) unbelievable(k circuit, c chase) bool {
	if k.conn == nil || c.checked || a.confirmed || stateOf(k.conn).Status.Ended() || a.leaving(k) {
		return false
	}
	known := slices.DeleteFunc(a.index.alive(), func(k circuit) bool { return !a.observes(k) || a.leaving(k) })
	if len(known) < fewest {
		return false
	}
	a.mu.Lock()
	news := !a.demanded && a.eclipse == nil
	a.demanded = true
	a.mu.Unlock()
	if news {
		a.stir()
	}
	return true
}

// wantsAll reports whether a sweep over everything should not wait for its time.
func (a *watch) wantsAll() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.demanded || a.eclipse != nil
}
