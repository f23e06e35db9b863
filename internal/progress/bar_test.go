package progress

import (
	"strings"
	"testing"
	"time"
)

// bars returns a bar whose clock is moved by the test. width 0 is no terminal.
func bars(what string, width int, format func(int64) string) (b *Bar, out *strings.Builder, pass func(time.Duration)) {
	out = &strings.Builder{}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b = New(out, what, format)
	b.now = func() time.Time { return now }
	b.drawn = now
	if width > 0 {
		b.width, b.drawn = func() int { return width }, time.Time{}
	}
	return b, out, func(d time.Duration) { now = now.Add(d) }
}

// A file gets a line every ten seconds, and one at the end.
func TestPlain(t *testing.T) {
	b, out, pass := bars("batch", 0, nil)
	for done := range int64(251) {
		b.Set(done, 250, "")
		pass(100 * time.Millisecond)
	}
	b.Set(250, 250, "")
	b.Notef("it is %s", "completed")
	b.Done()
	want := "batch  100/250  40%  10/s  15s left\nbatch  200/250  80%  10/s  5s left\nbatch  250/250  100%  10/s\nit is completed\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// A terminal gets one line that is drawn over, never wider than itself.
func TestTerminal(t *testing.T) {
	b, out, pass := bars("uploading", 60, Bytes)
	b.Set(0, 2_000_000, "")
	b.Set(1, 2_000_000, "") // too soon
	pass(time.Second)
	b.Set(1_000_000, 2_000_000, "1 failed")
	b.Notef("hm")
	pass(time.Second)
	b.Set(2_000_000, 2_000_000, "")
	b.Done()
	drawn := strings.Split(out.String(), "\r")
	want := []string{
		"", "uploading [                          ] 0 B/2.0 MB  0%\x1b[K",
		"uploading 1.0 MB/2.0 MB  50%  1.0 MB/s  1s left  1 failed\x1b[K",
		"\x1b[Khm\n", "uploading [===========] 2.0 MB/2.0 MB  100%  1.0 MB/s\x1b[K\n",
	}
	for i := range max(len(want), len(drawn)) {
		if i >= len(want) || i >= len(drawn) || len(strings.TrimSuffix(drawn[i], "\x1b[K")) >= 60 && i > 0 && !strings.HasSuffix(drawn[i], "\n") {
			t.Fatalf("%q", drawn)
		}
	}
	if drawn[2] != want[2] || drawn[3] != want[3] || !strings.HasPrefix(drawn[1], "uploading [  ") || !strings.Contains(drawn[4], "[====") {
		t.Errorf("%q", drawn)
	}
}

func TestRate(t *testing.T) {
	var r rate
	now := time.Now()
	if got := r.perSecond(); got != 0 {
		t.Errorf("nothing is known, and yet %f", got)
	}
	for second := range 200 { // slow for 100 s, then fast
		n := int64(second)
		if second > 100 {
			n += int64(second-100) * 9
		}
		r.add(now.Add(time.Duration(second)*time.Second), n)
	}
	if got := r.perSecond(); got < 9.9 || got > 10.1 {
		t.Errorf("%f per second, want the rate of the last half minute, 10", got)
	}
	if len(r.points) > mostPoints+1 {
		t.Errorf("%d points", len(r.points))
	}
	r.add(now.Add(201*time.Second), 0)
	if got := r.perSecond(); got != 0 {
		t.Errorf("after beginning anew %f", got)
	}
}

func TestForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3*time.Hour + 5*time.Minute: "3h05m", 50 * time.Hour: "2d02h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 209_715_200: "209.7 MB", 2_500_000_000: "2.50 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
