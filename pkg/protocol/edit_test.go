package protocol

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestEditObject(t *testing.T) {
	set := func(name, value string) Member { return Member{name, []byte(value)} }
	del := func(name string) Member { return Member{Name: name} }
	for _, c := range []struct {
		name, object string
		edits        []Member
		want         string
	}{
		{"nothing", ` { "a" : 1 , "b":[ 1,{ }] } `, nil, ` { "a" : 1 , "b":[ 1,{ }] } `},
		{"replace", `{"model":"a","x":1}`, []Member{set("model", `"b"`)}, `{"model":"b","x":1}`},
		{"replace keeps blanks", "{ \"model\" :\t\"a\" ,\n\"x\": 1 }", []Member{set("model", `"b"`)}, "{ \"model\" :\t\"b\" ,\n\"x\": 1 }"},
		{"escaped name", `{"mo\u0064el":"a"}`, []Member{set("model", `"b"`)}, `{"mo\u0064el":"b"}`},
		{"append", `{"a":1}`, []Member{set("b", `2`), set("c", `[3]`)}, `{"a":1,"b":2,"c":[3]}`},
		{"append to empty", ` { } `, []Member{set("b", `2`)}, ` {"b":2} `},
		{"append quotes the name", `{}`, []Member{set("a\"b\n", `2`)}, `{"a\"b\n":2}`},
		{"delete first", `{"a":1, "b":2}`, []Member{del("a")}, `{ "b":2}`},
		{"delete middle", `{"a":1, "b":2, "c":3}`, []Member{del("b")}, `{"a":1, "c":3}`},
		{"delete last", `{"a":1,"b":2 }`, []Member{del("b")}, `{"a":1}`},
		{"delete only", `{ "a":1 }`, []Member{del("a")}, `{}`},
		{"delete all, append", `{"a":1,"b":2}`, []Member{del("a"), del("b"), set("c", "3")}, `{"c":3}`},
		{"delete the missing", `{"a":1}`, []Member{del("b")}, `{"a":1}`},
		{"inner members stay", `{"x":{"model":"a"},"y":"\"model\":","model":"a"}`, []Member{set("model", `"b"`)}, `{"x":{"model":"a"},"y":"\"model\":","model":"b"}`},
		{"duplicates", `{"a":1,"b":2,"\u0061":3}`, []Member{set("a", `9`)}, `{"a":9,"b":2}`},
		{"duplicates deleted", `{"a":1,"b":2,"\u0061":3}`, []Member{del("a")}, `{"b":2}`},
		{"last edit counts", `{"a":1}`, []Member{set("a", `2`), set("a", `3`), set("b", `1`), set("b", `2`)}, `{"a":3,"b":2}`},
		{"set then delete", `{"a":1}`, []Member{set("a", `2`), del("a"), set("b", `1`), del("b")}, `{}`},
		{"odd values", `{"a":-1.5e3,"b":"\\\\\"","c":true,"d":null,"e":[[],{"a":"]"}]}`, []Member{del("c")}, `{"a":-1.5e3,"b":"\\\\\"","d":null,"e":[[],{"a":"]"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := EditObject([]byte("dst"), []byte(c.object), c.edits...)
			if err != nil || string(got) != "dst"+c.want {
				t.Errorf("got %s, %v\nwant dst%s", got, err, c.want)
			}
		})
	}
}

func TestEditObjectRefusesWhatIsNoObject(t *testing.T) {
	for _, object := range []string{``, ` `, `[]`, `null`, `"x"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{a:1}`,
		`{"a":1} x`, `{"a":1}{}`, `{"a":"x}`, `{"a":[1}`, `{"a":}`, `{"a":1 2}`, `{"a\`} {
		got, err := EditObject([]byte("dst"), []byte(object), Member{"a", []byte("2")})
		if err == nil || string(got) != "dst" {
			t.Errorf("%s: %s, %v", object, got, err)
		}
	}
	if _, err := EditObject(nil, []byte(`{}`), Member{"\xff", []byte("1")}); err == nil {
		t.Error("a name that is not UTF-8 was accepted")
	}
}

func FuzzEditObject(f *testing.F) {
	f.Add([]byte(everything), "model", []byte(`"b"`), "stream")
	f.Add([]byte(`{ "mo\u0064el" : "a" }`), "model", []byte(`{"x":[]}`), "x")
	f.Add([]byte(`{}`), "a", []byte(`1`), "")
	f.Add([]byte(`{"a":1,"b":[{}]} `), "b", []byte(` 2 `), "a")
	f.Fuzz(func(t *testing.T, object []byte, name string, value []byte, drop string) {
		edits := []Member{{name, value}, {Name: drop}}
		got, err := EditObject([]byte("dst"), object, edits...)
		if !bytes.HasPrefix(got, []byte("dst")) {
			t.Fatalf("dst is gone: %s", got)
		}
		var before map[string]json.RawMessage
		if !jsontext.Value(object).IsValid() || json.Unmarshal(object, &before) != nil || before == nil ||
			!jsontext.Value(value).IsValid() || !jsontext.Value(`"`+name+`"`).IsValid() {
			return // malformed: it must only not crash
		}
		if err != nil {
			t.Fatal(err)
		}
		var after map[string]json.RawMessage
		if !jsontext.Value(got[3:]).IsValid() || json.Unmarshal(got[3:], &after) != nil {
			t.Fatalf("result is not valid: %s", got)
		}
		want := before
		want[name] = value
		delete(want, drop)
		if len(after) != len(want) {
			t.Fatalf("%d members instead of %d: %s", len(after), len(want), got)
		}
		for n, v := range want {
			if !bytes.Equal(bytes.TrimSpace(after[n]), bytes.TrimSpace(v)) {
				t.Fatalf("member %q is %s instead of %s", n, after[n], v)
			}
		}
	})
}

func BenchmarkEditObject(b *testing.B) {
	edits := []Member{{"model", []byte(`"other"`)}, {Name: "store"}, {"stream", []byte("true")}}
	dst := make([]byte, 0, 4096)
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EditObject(dst, typical, edits...); err != nil {
			b.Fatal(err)
		}
	}
}
