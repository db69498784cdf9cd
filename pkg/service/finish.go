package service

import (
	"context"
	"time"
)

// finishTime is how much longer than its handler's context a call may take that was begun.
// With what the journal gives handlers after a stop, that is twenty seconds: an orchestrator
// kills what is there after thirty.
const finishTime = 17 * time.Second

// Finish returns a context for a call that decides something at an exchange, and for what
// follows from its answer. It ends finishTime after ctx: who is told to stop finishes what
// he began, since a call that is cut is one whose outcome somebody has to look for.
func Finish(ctx context.Context) (context.Context, context.CancelFunc) {
	finishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(finishTime):
			cancel()
		case <-finishing.Done():
		}
	})
	return finishing, func() {
		stop()
		cancel()
	}
}
