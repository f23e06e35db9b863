package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBreaker plays scripts: each word is something that happens, with what the
// breaker is afterwards.
func TestBreaker(t *testing.T) {
	cfg := Breaker{Failures: 2, Cooldown: 10 * time.Second}
	for name, test := range map[string]struct {
		cfg    Breaker
		script string
	}{
		"opens after failures in a row": {cfg, "fail=closed fail=open"},
		"success forgets failures":      {cfg, "fail=closed ok=closed fail=closed fail=open"},
		"client faults do not count":    {cfg, "refuse=closed refuse=closed refuse=closed fail=closed refuse=closed fail=open"},
		"leaving does not count":        {cfg, "leave=closed leave=closed leave=closed"},
		"open until cooled down":        {cfg, "fail=closed fail=open +9s=open ready:no +1s=open ready:yes"},
		"probe closes":                  {cfg, "fail=closed fail=open +10s=open begin=half-open probe-ok=closed fail=closed"},
		"probe refused closes":          {cfg, "fail=closed fail=open +10s=open begin=half-open probe-refuse=closed"},
		"probe fails":                   {cfg, "fail=closed fail=open +10s=open begin=half-open probe-fail=open ready:no +10s=open ready:yes"},
		"probe abandoned":               {cfg, "fail=closed fail=open +10s=open begin=half-open probe-leave=open ready:yes begin=half-open"},
		"one probe":                     {cfg, "fail=closed fail=open +10s=open begin=half-open ready:no +60s=half-open ready:no"},
		"late results change nothing":   {cfg, "fail=closed fail=open ok=open fail=open +10s=open begin=half-open fail=half-open ok=half-open"},
		"turned off":                    {Breaker{Failures: -1}, "fail=closed fail=closed fail=closed ready:yes"},
	} {
		t.Run(name, func(t *testing.T) {
			var b breaker
			now := time.Unix(0, 0)
			for word := range strings.FieldsSeq(test.script) {
				if want, ok := strings.CutPrefix(word, "ready:"); ok {
					if got, _ := b.ready(now); got != (want == "yes") {
						t.Fatalf("%s: ready is %v", word, got)
					}
					continue
				}
				what, want, _ := strings.Cut(word, "=")
				now = happen(t, &b, test.cfg, what, now)
				if got := b.state.String(); got != want {
					t.Fatalf("after %s the breaker is %s, not %s", what, got, want)
				}
			}
		})
	}
}

func happen(t *testing.T, b *breaker, cfg Breaker, what string, now time.Time) time.Time {
	t.Helper()
	if after, ok := strings.CutPrefix(what, "+"); ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			t.Fatal(err)
		}
		return now.Add(d)
	}
	if what == "begin" {
		if !b.begin() {
			t.Fatal("the call is no probe")
		}
		return now
	}
	how, probe := strings.CutPrefix(what, "probe-")
	r, ok := map[string]result{"ok": succeeded, "fail": failed, "refuse": refused, "leave": abandoned}[how]
	if !ok {
		t.Fatal(fmt.Errorf("unknown word %q", what))
	}
	b.end(cfg, probe, r, now)
	return now
}

func TestBreakerSaysHowLong(t *testing.T) {
	now := time.Unix(100, 0)
	b := breaker{state: open, until: now.Add(7 * time.Second)}
	if ok, wait := b.ready(now); ok || wait != 7*time.Second {
		t.Errorf("open: ready %v, wait %v", ok, wait)
	}
	b.state = halfOpen
	if ok, wait := b.ready(now); ok || wait != probeWait {
		t.Errorf("half-open: ready %v, wait %v", ok, wait)
	}
}
