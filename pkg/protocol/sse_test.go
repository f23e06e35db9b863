package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDecoder(t *testing.T) {
	for _, test := range []struct{ name, stream, want string }{
		{"lf", "data: a\n\ndata: b\n\n", "a|b"},
		{"crlf", "data: a\r\n\r\ndata: b\r\n\r\n", "a|b"},
		{"cr", "data: a\r\rdata: b\r\r", "a|b"},
		{"mixed", "data: a\n\r\ndata: b\r\n\rdata: c\r\n\n", "a|b|c"},
		{"no space", "data:a\n\ndata:  b\n\n", "a| b"},
		{"lines", "data: a\ndata\ndata: b\n\n", "a\n\nb"},
		{"comments", ": x\n\n:\ndata: a\n: y\n\n: z\n\n", "a"},
		{"mark", "\xef\xbb\xbfdata: a\n\n", "a"},
		{"leading blanks", "\n\n\r\n\ndata: a\n\n", "a"},
		{"empty data", "data:\n\ndata: \n\ndata\n\nevent: x\n\ndata: a\n\n", "a"},
		{"other fields", "id: 1\nretry: 5\nfoo: bar\ndatax: y\ndata: a\n\nid: 2\n\ndata: b\n\ndata: c\nid: 3\n\n", "a#1|b|c#3"},
		{"no blank line at the end", "data: a\n\ndata: b\n", "a|b"},
		{"no line end at the end", "data: a\n\ndata: [DONE]", "a|[DONE]"},
		{"event name", "event: ping\ndata: a\n\ndata: b\n\n", "ping=a|b"},
		{"error field", "error: {\"code\":1}\n\ndata: b\n\n", "!{\"code\":1}|b"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for n := 1; n <= 8; n++ {
				events, err := decodeAll(NewDecoder(&cutReader{[]byte(test.stream), n}, 1<<10))
				var all []string
				for _, ev := range events {
					text := string(ev.Data)
					if ev.Name != "" {
						text = ev.Name + "=" + text
					}
					if ev.Error {
						text = "!" + text
					}
					if len(ev.ID) > 0 {
						text += "#" + string(ev.ID)
					}
					all = append(all, text)
				}
				if got := strings.Join(all, "|"); got != test.want || err != nil {
					t.Errorf("%d bytes at a time: %q, %v; want %q", n, got, err, test.want)
				}
			}
		})
	}
}

// Rule: the limit bounds memory, whatever the line, and has an error of its own.
func TestDecoderLimit(t *testing.T) {
	for _, head := range []string{"data: ", ": ", "x", "data: a\n:"} {
		d := NewDecoder(&endless{head: []byte(head)}, 100<<10)
		if _, err := d.Next(); !errors.Is(err, ErrLineTooLong) {
			t.Errorf("%q: %v, want ErrLineTooLong", head, err)
		}
		if _, err := d.Next(); !errors.Is(err, ErrLineTooLong) {
			t.Errorf("%q again: %v", head, err)
		}
		if len(d.buf) > 200<<10 {
			t.Errorf("%q: a buffer of %d bytes", head, len(d.buf))
		}
	}
}

// endless is one line without an end.
type endless struct{ head []byte }

func (e *endless) Read(p []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	for i := range p {
		p[i] = 'y'
	}
	return len(p), nil
}

func TestDecoderKeepsReaderErrors(t *testing.T) {
	d := NewDecoder(io.MultiReader(strings.NewReader("data: a\n\ndata: half\n"), brokenReader{}), 1<<10)
	if ev, err := d.Next(); err != nil || string(ev.Data) != "a" {
		t.Fatalf("%q, %v", ev.Data, err)
	}
	for range 2 {
		if ev, err := d.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v: want the reader's error", ev.Data, err)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestDecoderLongLineThenShort(t *testing.T) {
	long := bytes.Repeat([]byte("z"), 5<<20)
	stream := AppendEvent(AppendEvent(nil, long), []byte("short"))
	d := NewDecoder(&small{bytes.NewReader(stream)}, 32<<20)
	if ev, err := d.Next(); err != nil || !bytes.Equal(ev.Data, long) {
		t.Fatalf("%d bytes, %v", len(ev.Data), err)
	}
	if ev, err := d.Next(); err != nil || string(ev.Data) != "short" {
		t.Fatalf("%q, %v", ev.Data, err)
	}
	if _, err := d.Next(); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

func TestAppendEvent(t *testing.T) {
	for data, want := range map[string]string{
		"{}":       "data: {}\n\n",
		"a\nb\r\n": "data: a\ndata: b\ndata: \n\n",
		"":         "data: \n\n",
	} {
		if got := string(AppendEvent([]byte("x"), []byte(data))); got != "x"+want {
			t.Errorf("%q gives %q, want %q", data, got, want)
		}
	}
}
