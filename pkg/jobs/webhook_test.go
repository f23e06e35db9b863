package jobs

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestWebhookIsCreatedAndListed(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		w := r.webhook("acme", NoticeBatchFailed, NoticeBatchCompleted, NoticeBatchFailed)
		if !slices.Equal(w.Events, []string{NoticeBatchCompleted, NoticeBatchFailed}) {
			t.Errorf("events %v", w.Events)
		}
		encoded, ok := strings.CutPrefix(w.Secret, WebhookSecretPrefix)
		if raw, err := base64.StdEncoding.DecodeString(encoded); !ok || err != nil || len(raw) != webhookSecretBytes {
			t.Errorf("secret has an odd shape (%d characters): %v", len(w.Secret), err)
		}
		second := r.webhook("umbrella")
		if second.Secret == w.Secret || len(second.Events) != len(NoticeTypes()) {
			t.Errorf("second webhook: %d events, same secret: %t", len(second.Events), second.Secret == w.Secret)
		}
		all, err := r.conn.Webhooks(t.Context())
		if err != nil || len(all) != 2 || !slices.ContainsFunc(all, func(x Webhook) bool { return x.ID == w.ID && x.URL == w.URL }) {
			t.Errorf("listed %v, %v", all, err)
		}
		for range maxWebhooks - 1 {
			r.webhook("acme")
		}
		if _, err := r.conn.CreateWebhook(t.Context(), WebhookSpec{URL: "https://example.com", Tenant: "acme"}); err == nil {
			t.Error("one more than a tenant may have was created")
		}
	})
}

func TestBadWebhooks(t *testing.T) {
	t.Parallel()
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	const good = "https://example.com/hook"
	for _, tt := range []struct{ url, tenant, event, want string }{
		{"", "", "", "https://"},
		{"example.com/hook", "", "", "https://"},
		{"//example.com/hook", "", "", "https://"},
		{"ftp://example.com", "", "", "https://"},
		{"file:///etc/passwd", "", "", "https://"},
		{"javascript:alert(1)", "", "", "https://"},
		{"https://", "", "", "no host"},
		{"https://:443/x", "", "", "no host"},
		{"https:example.com", "", "", "no host"},
		{"https://user:hunter2@example.com", "", "", "user or password"},
		{"https://example.com/#x", "", "", "fragment"},
		{"https://exa mple.com/", "", "", "cannot be read"},
		{"https://example.com/\x00", "", "", "cannot be read"},
		{"https://example.com/\r\nX-Injected: 1", "", "", "cannot be read"},
		{"https://[::1", "", "", "cannot be read"},
		{"https://example.com:port/", "", "", "cannot be read"},
		{"https://example.com/%zz", "", "", "cannot be read"},
		{good + strings.Repeat("x", maxWebhookURL), "", "", "longer than"},
		{good, "a.b", "", "tenant"},
		{good, "*", "", "tenant"},
		{good, ">", "", "tenant"},
		{good, strings.Repeat("x", 65), "", "tenant"},
		{good, "", "batch.complete", "batch.completed"},
		{good, "", "Batch.Completed", "event"},
		{good, "", noticeTest, "event"},
		{good, "", "*", "event"},
	} {
		spec := WebhookSpec{URL: tt.url, Tenant: tt.tenant}
		if tt.event != "" {
			spec.Events = []string{tt.event}
		}
		_, err := c.CreateWebhook(t.Context(), spec)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("url %.60q, tenant %.20q, event %q: err = %v, want %q in it", tt.url, tt.tenant, tt.event, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
	if all, err := c.Webhooks(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d webhooks were created, %v", len(all), err)
	}
}

func TestBadNotices(t *testing.T) {
	t.Parallel()
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	good := Notice{Type: NoticeBatchFailed, ObjectID: "batch_1"}
	for name, bad := range map[string]func(tenant *string, e *Notice){
		"no tenant":     func(tenant *string, _ *Notice) { *tenant = "" },
		"wild tenant":   func(tenant *string, _ *Notice) { *tenant = "*" },
		"dotted tenant": func(tenant *string, _ *Notice) { *tenant = "a.b" },
		"no type":       func(_ *string, e *Notice) { e.Type = "" },
		"unknown type":  func(_ *string, e *Notice) { e.Type = "batch.done" },
		"dotted id":     func(_ *string, e *Notice) { e.ID = "evt.1" },
		"no object":     func(_ *string, e *Notice) { e.ObjectID = "" },
		"long object":   func(_ *string, e *Notice) { e.ObjectID = strings.Repeat("x", maxObjectID+1) },
		"no text":       func(_ *string, e *Notice) { e.ObjectID = "\xff" },
	} {
		tenant, e := "acme", good
		bad(&tenant, &e)
		if err := c.Notify(t.Context(), tenant, e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := c.Notify(t.Context(), "acme", good); err != nil {
		t.Error(err)
	}
}

// The schedule of a delivery whose receiver always fails after ten seconds: about
// three days, and whoever makes the attempts comes to the same one.
func TestRetrySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		for more := true; more; {
			age := time.Since(began)
			at = append(at, age.Truncate(time.Second))
			<-time.After(10 * time.Second) // the attempt
			var pause time.Duration
			if pause, more = pauseAfter(deliveryPauses(), age); more {
				<-time.After(jitter(pause))
			}
		}
		if len(at) != len(deliveryPauses())+1 {
			t.Fatalf("attempts at %v", at)
		}
		for i, pause := range deliveryPauses() {
			if gap := at[i+1] - at[i]; gap < pause+9*time.Second || gap > pause+pause/10+12*time.Second {
				t.Errorf("attempt %d came %s after the one before, want %s and a little", i+2, gap, pause)
			}
		}
		if last := at[len(at)-1]; last < 70*time.Hour || last > deliveryAge-time.Hour {
			t.Errorf("last attempt after %s", last)
		}
	})
}

func TestPauseAfter(t *testing.T) {
	pauses := []time.Duration{5 * time.Second, time.Minute, time.Hour}
	for _, tt := range []struct {
		age, want time.Duration
	}{
		{0, 5 * time.Second},
		{4 * time.Second, 5 * time.Second},
		{5 * time.Second, time.Minute},
		{64 * time.Second, time.Minute},
		{65 * time.Second, time.Hour},
		{65*time.Second + time.Hour, 0},
		{1000 * time.Hour, 0},
	} {
		if got, again := pauseAfter(pauses, tt.age); got != tt.want || again != (tt.want > 0) {
			t.Errorf("after %s: %s, %t; want %s", tt.age, got, again, tt.want)
		}
	}
	if _, again := pauseAfter(nil, 0); again {
		t.Error("without pauses there is a second attempt")
	}
}

func TestLanes(t *testing.T) {
	now := time.Unix(1700000000, 0)
	l := newLanes(32) // 2 for an endpoint, 8 for a tenant
	enter := func(hook, tenant string) bool { return l.enter(hook, tenant, now) == 0 }
	for _, hook := range []string{"a", "b", "c", "d"} {
		for range 2 {
			if !enter(hook, "t") {
				t.Fatalf("no place for %s", hook)
			}
		}
		if enter(hook, "t") {
			t.Fatal("want two places for an endpoint")
		}
	}
	if enter("e", "t") || !enter("f", "u") {
		t.Fatal("want eight places for a tenant, and others unaffected")
	}
	// What is put off comes back one after another, as places can be expected.
	l.learn("a", now, 10*time.Second, true)
	first, second := l.enter("a", "t", now), l.enter("a", "t", now)
	if first < 5*time.Second || second < first+5*time.Second {
		t.Errorf("put off by %s and %s", first, second)
	}
	for range 10_000 {
		if d := l.enter("a", "t", now); d <= 0 || d > lanePutOff {
			t.Fatalf("put off by %s", d)
		}
	}
}

// An endpoint that keeps failing is probed by one delivery at a time, more and more
// rarely, and is trusted again when one arrives.
func TestLaneRests(t *testing.T) {
	now := time.Unix(1700000000, 0)
	l := newLanes(64) // 4 for an endpoint
	try := func(ok bool) {
		t.Helper()
		if d := l.enter("a", "t", now); d != 0 {
			t.Fatalf("no place, put off by %s", d)
		}
		l.learn("a", now, time.Second, ok)
		l.leave("a", "t")
	}
	for range laneTrust {
		try(false)
	}
	var rests []string
	for range 8 {
		rest := l.hooks["a"].rest.Sub(now)
		rests = append(rests, fmt.Sprint(rest))
		now = now.Add(rest - time.Nanosecond)
		if d := l.enter("a", "t", now); d == 0 {
			t.Fatal("a place while it rests")
		}
		now = now.Add(time.Nanosecond)
		try(false)
	}
	if want := "[5s 10s 20s 40s 1m20s 2m40s 5m0s 5m0s]"; fmt.Sprint(rests) != want {
		t.Errorf("rests %v, want %s", rests, want)
	}
	now = now.Add(laneRestMax)
	if l.enter("a", "t", now) != 0 || l.enter("a", "t", now) == 0 {
		t.Error("want one probe at a time")
	}
	l.learn("a", now, time.Second, true)
	l.leave("a", "t")
	for range 4 {
		if l.enter("a", "t", now) != 0 {
			t.Error("not trusted again")
		}
	}
	for range 4 {
		l.leave("a", "t")
	}
	if l.sweep(now.Add(time.Hour)); len(l.hooks) != 0 || len(l.tenants) != 0 {
		t.Errorf("%d endpoints and %d tenants are remembered", len(l.hooks), len(l.tenants))
	}
}
