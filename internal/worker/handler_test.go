package worker

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// TestOperatorIsCalledOnce: one line per target and minute, without what is secret.
func TestOperatorIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := provider.Error{Public: protocol.ErrUpstream("cannot answer"), Operator: "the server refused the key"}
		p := &scripted{script: []act{failing(refused)}}
		w := serve(t, p)
		w.cfg.Breaker.Failures = -1
		var log bytes.Buffer
		w.log = logTo(&log)
		for range 4 {
			if _, _, err := ask(t.Context(), w, jobs.Job{}); protocol.AsError(err).Status != 502 {
				t.Errorf("error is %v", err)
			}
		}
		if got := strings.Count(log.String(), "level=ERROR"); got != 1 || !strings.Contains(log.String(), "refused the key") {
			t.Errorf("%d error lines: %s", got, log.String())
		}
		pass(operatorPause)
		_, _, _ = ask(t.Context(), w, jobs.Job{})
		if got := strings.Count(log.String(), "level=ERROR"); got != 2 {
			t.Errorf("%d error lines after the pause", got)
		}
	})
}

func TestEnvelope(t *testing.T) {
	id := jobs.NewID()
	for asked, want := range map[string]string{"": "", "auto": "default", "default": "default", "flex": "flex"} {
		got := envelope(&jobs.Job{ID: id, Created: 7, Model: "m", ServiceTier: asked})
		if got != (protocol.Envelope{ID: "chatcmpl-" + id.String(), Created: 7, Model: "m", ServiceTier: want}) {
			t.Errorf("%q: %+v", asked, got)
		}
	}
}
