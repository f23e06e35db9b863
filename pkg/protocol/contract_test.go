package protocol

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "testdata/openai-schemas.json"

// difference is where Osiris deliberately disagrees with the published schema.
type difference struct {
	name   string
	accept bool // Osiris accepts what the schema refuses
	match  func(s sample) bool
	reason string
}

var differences = []difference{
	{"null is absent", true, func(s sample) bool { return s.value == "null" && s.optional },
		"SDKs send null for what was not set, at every level"},
	{"unknown members pass", true, func(s sample) bool { return s.value == "unknown member" },
		"a newer client may know more than we do"},
	{"part, custom tool or tool choice without its payload", true, func(s sample) bool {
		places := []string{
			"messages[].content[].input_audio", "messages[].content[].file",
			"messages[].content[].image_url", "messages[].content[].refusal",
			"tools[].custom", "tool_choice.function", "tool_choice.custom", "tool_choice.allowed_tools",
		}
		return slices.Contains(places, s.path) && (s.value == "missing" || s.value == "null")
	}, "typed SDKs send these when they do not know the payload; upstreams decide"},
	{"call without arguments", true, func(s sample) bool {
		return s.path == "messages[].tool_calls[].function.arguments" && (s.value == "missing" || s.value == "null")
	}, "SDKs leave out empty text"},
	{"model is needed", false, func(s sample) bool { return s.path == "model" && s.value == `""` },
		"an empty name is no name"},
	{"negative tokens", false, func(s sample) bool {
		return (s.path == "max_tokens" || s.path == "max_completion_tokens") && strings.HasPrefix(s.value, "-")
	}, "OpenAI refuses them; the schema has no minimum"},
	{"64 bits", false, func(s sample) bool {
		n, ok := new(big.Int).SetString(s.value, 10)
		return ok && !n.IsInt64()
	}, "larger integers have no place to go; the schema's bounds of seed are rounded"},
	{"logit_bias", false, func(s sample) bool { return s.path == "logit_bias.k" && len(s.value) > 2 },
		"-100 to 100 is documented in words only"},
	{"name of a schema", false, func(s sample) bool { return s.path == "response_format.json_schema.name" },
		"the pattern is documented in words only"},
	{"assistant without content", false, func(s sample) bool {
		return s.path == "messages[].content" && s.value == "missing" || s.path == "messages[]" && s.value == "least"
	}, "content may be missing only if tool calls, a function call, a refusal or audio stand in"},
	{"empty tool_calls", false, func(s sample) bool { return s.path == "messages[].tool_calls" && s.value == "[]" },
		"OpenAI answers empty_array"},
}

// TestRequestContract generates right and wrong values for every property of the
// published request schema and compares our verdict with the schema's.
func TestRequestContract(t *testing.T) {
	g := newGenerator(t)
	verdict := compileSchema(t, "CreateChatCompletionRequest")
	used := make(map[string]bool)
	accepted, refused := 0, 0
	for _, s := range g.request() {
		bySchema := verdict(s.body) == nil
		_, err := ParseRequest(s.body)
		if bySchema {
			accepted++
		} else {
			refused++
		}
		if bySchema == (err == nil) {
			continue
		}
		i := slices.IndexFunc(differences, func(d difference) bool { return d.accept == (err == nil) && d.match(s) })
		if i < 0 {
			t.Errorf("%s = %.100s: schema accepts %v, ours says %v\n%.500s", s.path, s.value, bySchema, err, s.body)
			continue
		}
		used[differences[i].name] = true
	}
	t.Logf("the schema accepts %d samples and refuses %d", accepted, refused)
	if accepted < 300 || refused < 1000 {
		t.Errorf("too few samples: %d accepted, %d refused", accepted, refused)
	}
	for _, d := range differences {
		if !used[d.name] {
			t.Errorf("difference %q did not occur: the table is stale", d.name)
		}
	}
}

// TestErrorContract checks that every error body fits the published envelope.
func TestErrorContract(t *testing.T) {
	verdict := compileSchema(t, "ErrorResponse")
	check := func(e *Error) {
		if err := verdict(e.AppendJSON(nil)); err != nil {
			t.Errorf("%s: %v", e.Message, err)
		}
	}
	for _, k := range knownErrors {
		check(k.err)
	}
	for _, c := range faultCases {
		_, err := ParseRequest([]byte(c.body))
		if err == nil {
			t.Fatalf("%s was accepted", c.name)
		}
		check(AsError(err))
	}
}

func TestModelsContract(t *testing.T) {
	m := Model{ID: "a/b", Created: 1686935002, OwnedBy: "x"}
	if err := compileSchema(t, "Model")(AppendModel(nil, m)); err != nil {
		t.Error(err)
	}
	for n := range 3 {
		if err := compileSchema(t, "ListModelsResponse")(AppendModelList(nil, []Model{m, m, m}[:n])); err != nil {
			t.Error(err)
		}
	}
}

// compileSchema returns the verdict of one of the published schemas.
func compileSchema(t *testing.T, name string) func(body []byte) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile + "#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return func(body []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
}
