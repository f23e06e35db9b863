// Package progress shows people how far a long operation is: as a line that is drawn
// over on a terminal, as plain lines elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	redraw     = 100 * time.Millisecond // how often a terminal's line is drawn
	plainEvery = 10 * time.Second       // how often a file gets a line
	memory     = 30 * time.Second       // the rate is that of so long
	narrowest  = 40
	widest     = 100
)

// Bar is one operation. It belongs to one goroutine.
type Bar struct {
	w      io.Writer
	width  func() int // columns of the terminal; nil: no terminal
	what   string
	format func(n int64) string
	now    func() time.Time

	rate  rate
	drawn time.Time // when it was last; zero: draw at once
	full  bool      // it was drawn complete
	line  bool      // an unfinished line is on the terminal
}

// New returns a bar that writes to w. what names the operation; format writes its
// numbers, nil is plain digits.
func New(w io.Writer, what string, format func(n int64) string) *Bar {
	if format == nil {
		format = func(n int64) string { return strconv.FormatInt(n, 10) }
	}
	b := &Bar{w: w, what: what, format: format, now: time.Now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.width = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return narrowest
			}
			return columns
		}
	} else {
		b.drawn = b.now() // what is over soon needs no line on the way
	}
	return b
}

// Set shows that done of total is done, with a note behind it; total 0 is not known.
// Calls that follow fast are not all drawn.
func (b *Bar) Set(done, total int64, note string) {
	now := b.now()
	b.rate.add(now, done)
	every := plainEvery
	if b.width != nil {
		every = redraw
	}
	complete := total > 0 && done >= total
	if complete && b.full || !complete && !b.drawn.IsZero() && now.Sub(b.drawn) < every {
		return
	}
	b.full = complete
	b.draw(now, done, total, note)
}

// Notef writes a line of its own, such as a change of state.
func (b *Bar) Notef(format string, args ...any) {
	b.clear()
	fmt.Fprintf(b.w, format+"\n", args...)
}

// Done ends the bar: what follows begins on a new line.
func (b *Bar) Done() {
	if b.line {
		fmt.Fprintln(b.w)
		b.line = false
	}
}

func (b *Bar) clear() {
	if b.line {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.line = false
	}
}

func (b *Bar) draw(now time.Time, done, total int64, note string) {
	b.drawn = now
	text := b.text(done, total)
	if note != "" {
		text += "  " + note
	}
	if b.width == nil {
		fmt.Fprintf(b.w, "%s  %s\n", b.what, text)
		return
	}
	width := min(max(b.width(), narrowest), widest) - 1
	graph := ""
	if room := width - len(b.what) - len(text) - 4; total > 0 && room >= 10 {
		full := int(int64(room) * min(done, total) / total)
		graph = "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "] "
	}
	line := b.what + " " + graph + text
	fmt.Fprint(b.w, "\r"+line[:min(len(line), width)]+"\x1b[K")
	b.line = true
}

// text is "120/500  24%  12.5/s  30s left", as far as it is known.
func (b *Bar) text(done, total int64) string {
	if total == 0 {
		return b.format(done)
	}
	text := fmt.Sprintf("%s/%s  %d%%", b.format(done), b.format(total), 100*done/total)
	perSecond := b.rate.perSecond()
	if perSecond <= 0 {
		return text
	}
	speed := b.format(int64(perSecond + 0.5))
	if perSecond < 10 && speed == strconv.FormatInt(int64(perSecond+0.5), 10) {
		speed = fmt.Sprintf("%.1f", perSecond)
	}
	text += "  " + speed + "/s"
	if left := total - done; left > 0 {
		text += "  " + Duration(time.Duration(float64(left)/perSecond*float64(time.Second))) + " left"
	}
	return text
}

// Duration writes d for people: two units at most.
func Duration(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Bytes writes a size for people.
func Bytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
