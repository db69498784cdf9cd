package service_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/service"
)

// What was begun goes on when its handler's time is over, but not for ever, and a stop of a
// whole service is done before an orchestrator kills it.
func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handling, stop := context.WithCancel(t.Context())
		finishing, finished := service.Finish(handling)
		defer finished()
		stop()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if err := finishing.Err(); err != nil {
			t.Errorf("16s after the handler's time was over: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if finishing.Err() == nil {
			t.Error("18s after the handler's time was over it goes on")
		}
		other, done := service.Finish(t.Context())
		done()
		if other.Err() == nil {
			t.Error("what is done goes on")
		}
	})
}
