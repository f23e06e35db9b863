package batchfile

import (
	"encoding/json"
	"strings"
	"testing"
)

// Whatever a table holds, what is made of it passes the check, one request for each
// row, or the fault is told.
func FuzzFromCSV(f *testing.F) {
	f.Add("prompt\nHello\n", "")
	f.Add("\ufeffa,b,custom_id\n1,\"x\ny\",z\n,,\n", "{a} {{b}} {b}")
	f.Add("prompt,prompt\n\"\",x\n", "{prompt}")
	f.Add("prompt\n\"un\nclosed", "{")
	f.Fuzz(func(t *testing.T, table, template string) {
		var out strings.Builder
		n, err := FromCSV(&out, strings.NewReader(table), Recipe{
			Model: "echo", Template: template, Options: map[string]json.RawMessage{"temperature": json.RawMessage("0.5")},
		})
		if err != nil {
			return
		}
		summary, err := Check(strings.NewReader(out.String()), false, nil)
		if err != nil || summary.Requests != n {
			t.Fatalf("%d requests, checked %+v, %v", n, summary, err)
		}
		for _, fault := range summary.Faults {
			if fault.Code != "duplicate_custom_id" && fault.Code != "empty_file" {
				t.Fatalf("%+v in %s", fault, &out)
			}
		}
	})
}

func TestTemplate(t *testing.T) {
	columns := []string{"a", "long name"}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "{a}": "1", "{a}{a}": "11", "x {long name} y": "x 2 y", "{{a}}": "{a}", "{ a }": "1", "{{{a}}}": "{1}",
		"{b}": `no column "b"`, "{a": "not closed", "a}": "without its {",
	} {
		got, err := parseTemplate(text, columns)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", text, err, want)
			}
			continue
		}
		if filled := got.fill([]string{"1", "2"}); filled != want {
			t.Errorf("%q: %q, want %q", text, filled, want)
		}
	}
}

// Another model changes the body and nothing else, and lines stay where they are.
func TestWithModel(t *testing.T) {
	const line = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[],"model":"x","n":1}}`
	var out strings.Builder
	if err := WithModel(&out, strings.NewReader("\ufeff"+line+"\r\n\nnot JSON\n{\"body\":1}\n"+strings.Replace(line, `"model":"x",`, "", 1)), "b\"c"); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(line, `"x"`, `"b\"c"`, 1) + "\n\nnot JSON\n{\"body\":1}\n" +
		strings.Replace(line, `"model":"x","n":1`, `"n":1,"model":"b\"c"`, 1) + "\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func TestCheckBoundsTheFile(t *testing.T) {
	_, err := Check(&endless{}, false, nil)
	if err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("%v", err)
	}
}

// endless is a file of blank lines without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	p[len(p)-1] = '\n'
	return len(p), nil
}
