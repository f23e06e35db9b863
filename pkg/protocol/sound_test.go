package protocol

import (
	"strings"
	"testing"
)

// FuzzSound holds that the validator finds no fault in what is sound.
func FuzzSound(f *testing.F) {
	f.Add([]byte(everything))
	for _, c := range faultCases {
		if len(c.body) < 4096 {
			f.Add([]byte(c.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !sound(body, requestSchema) {
			return
		}
		v := validator{root: requestSchema, body: body}
		if err := v.run(); err != nil {
			t.Fatalf("sound, and yet: %v", err)
		}
		if err := v.first(); err != nil {
			t.Fatalf("sound, and yet: %v", err)
		}
	})
}

// TestFaultsAreNotSound holds that of every fault known to the tests.
func TestFaultsAreNotSound(t *testing.T) {
	for _, c := range faultCases {
		v := validator{root: requestSchema, body: []byte(c.body)}
		if err := v.run(); err == nil && v.first() == nil {
			continue // no model: that is looked for apart
		}
		if sound([]byte(c.body), requestSchema) {
			t.Errorf("sound: %.200s", c.body)
		}
	}
}

// TestSound names what is to be seen at first sight, and what is left to the validator.
func TestSound(t *testing.T) {
	with := func(rest string) string {
		return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + rest + `}`
	}
	tests := map[string]struct {
		body string
		want bool
	}{
		"typical":                 {string(typical), true},
		"escapes":                 {with(`,"user":"\n\u201c"`), true},
		"half a pair":             {with(`,"user":"\ud800"`), false},
		"a pair":                  {with(`,"user":"\ud83d\ude00"`), false},
		"unknown members":         {with(`,"x":{"y":[1,{"z":null}]}`), true},
		"a name twice":            {with(`,"stream":true,"stream":true`), false},
		"a name twice, inside":    {with(`,"x":{"y":1,"y":2}`), false},
		"a name twice, escaped":   {with(`,"x":{"y":1,"\u0079":2}`), false},
		"names of another object": {with(`,"x":{"y":1},"z":{"y":1}`), true},
		"not UTF-8":               {with(",\"user\":\"\xff\""), false},
		"something after it":      {with("") + "{}", false},
		"deep":                    {with(`,"x":` + strings.Repeat("[", 2*soundDepth) + strings.Repeat("]", 2*soundDepth)), false},
		"wide":                    {with(`,"x":{` + strings.Repeat(`"x":1,`, soundNames) + `"y":1}`), false},
		"nothing":                 {"", false},
		"no object":               {"[]", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sound([]byte(test.body), requestSchema); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
