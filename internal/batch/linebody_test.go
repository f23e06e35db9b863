package batch

import (
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// What a batch cannot do for a line is refused in that line's answer, not ignored.
func TestBatchLinesThatAskForMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.worker(4)
	r.driver(nil)
	with := func(id, member string) string {
		return strings.Replace(line(id, "hi"), `"model":"m"`, `"model":"m",`+member, 1)
	}
	input := strings.Join([]string{
		with("store", `"store":true`), with("no store", `"store":false`), with("null", `"store":null,"background":null,"stream":null`),
		with("background", `"background":true`), with("foreground", `"background":false`), with("both", `"background":true,"store":true`),
		with("no stream", `"stream":false`), with("tier", `"service_tier":"flex"`), with("metadata", `"metadata":{"a":"b"}`),
	}, "\n")
	b := r.end(r.create(input, nil), patience)
	fates := r.check(b, input)
	for id, want := range map[string]string{
		"store": "ok", "no store": "ok", "null": "ok", "background": "400", "foreground": "ok", "both": "400",
		"no stream": "ok", "tier": "ok", "metadata": "ok",
	} {
		if fates[id] != want {
			t.Errorf("%s: %s, want %s", id, fates[id], want)
		}
	}
	for _, l := range r.lines(b.ErrorFileID) {
		if e := l.Response.Body.Error; e == nil || e.Code != "unsupported_parameter" {
			t.Errorf("%s: %+v", l.CustomID, e)
		}
	}
	input = with("stream", `"stream":true`)
	if b = r.end(r.create(input, nil), patience); b.Status != protocol.BatchFailed || b.Errors[0].Code != "streaming_unsupported" {
		t.Errorf("stream: %s", b.AppendJSON(nil))
	}
}
