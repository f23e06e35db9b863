package protocol

import (
	"slices"
	"strings"
	"testing"
)

func TestFirstLine(t *testing.T) {
	long := `{"a":"` + strings.Repeat("é", 2*firstLineLimit)
	for content, want := range map[string]bool{
		"": true, "\n \r\n": true, "{}": true, "{}\nrubbish": true, "\xef\xbb\xbf{}\r\n": true, "\xef\xbb\xbf\r\n\t\n[1]": true, `{"a":1,"a":2}`: true,
		"x": false, "{}{}": false, "{": false, "\n\n{]": false, "PK\x03\x04": false, "{\"a\":\"\xff\"}": false, "\xff\xfe{\x00}\x00": false,
		long: true, "  " + long: true, "x" + long: false,
	} {
		var l FirstLine
		if n, err := l.Write([]byte(content)); n != len(content) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if l.OK() != want {
			t.Errorf("%.40q: %v, want %v", content, l.OK(), want)
		}
		if cap(l.buf) > 2*firstLineLimit {
			t.Errorf("%.40q: holds %d bytes", content, cap(l.buf))
		}
	}
}

// A file in pieces of any size is judged like the whole.
func FuzzFirstLine(f *testing.F) {
	for _, s := range []string{"{}\n", "\xef\xbb\xbf\n \r\n{\"a\":1}\r\nrubbish", "x", "{} {}", "", "\n\n", "{\"a\":\"\xff\"}\n", `{"a":1,"a":2}`} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		var whole, pieces FirstLine
		_, _ = whole.Write(content)
		for piece := range slices.Chunk(content, max(step, 1)) {
			_, _ = pieces.Write(piece)
		}
		if whole.OK() != pieces.OK() {
			t.Fatalf("%q: %v whole, %v in pieces of %d", content, whole.OK(), pieces.OK(), step)
		}
	})
}
