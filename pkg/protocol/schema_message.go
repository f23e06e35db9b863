package protocol

// messageSchema is one of a request's messages. The order of roles is free:
// which sequences are allowed differs between upstreams, so that is theirs to say.
var messageSchema = tagged("role",
	variant{"system", instructionSchema},
	variant{"assistant", assistantSchema},
	variant{"user", object([]string{"content"}, members{
		"content": text().or(array(userPartSchema, 1, 0)),
		"name":    text(),
	})},
	variant{"function", object([]string{"name", "content"}, members{
		"content": text().orNull(),
		"name":    text(),
	})},
	variant{"tool", object([]string{"content", "tool_call_id"}, members{
		"content":      text().or(array(textPartSchema, 1, 0)),
		"tool_call_id": text(),
	})},
	variant{"developer", instructionSchema},
)

var instructionSchema = object([]string{"content"}, members{
	"content": text().or(array(textPartSchema, 1, 0)),
	"name":    text(),
})

// assistantSchema is what a model said before. Something must stand in for a
// content that is missing; one that is null says enough.
var assistantSchema = object([]string{"content"}, members{
	"content":    text().or(array(assistantPartSchema, 1, 0)).orNull(),
	"refusal":    text(),
	"name":       text(),
	"audio":      object([]string{"id"}, members{"id": text()}),
	"tool_calls": array(toolCallSchema, 1, 0),
	"function_call": object([]string{"name", "arguments"}, members{
		"name": text(), "arguments": text(),
	}),
}).unless("tool_calls", "function_call", "refusal", "audio")

var toolCallSchema = tagged("type",
	variant{"function", object([]string{"id", "function"}, members{
		"id":       text(),
		"function": object([]string{"name"}, members{"name": text(), "arguments": text()}), // SDKs leave out empty arguments
	})},
	variant{"custom", object([]string{"id", "custom"}, members{
		"id":     text(),
		"custom": object([]string{"name", "input"}, members{"name": text(), "input": text()}),
	})},
)

// The content parts, by who may say them.
var (
	textPartSchema = tagged("type", variant{"text", textPart})

	assistantPartSchema = tagged("type",
		variant{"text", textPart},
		variant{"refusal", part("refusal", text())},
	)

	userPartSchema = tagged("type",
		variant{"text", textPart},
		variant{"image_url", part("image_url", object([]string{"url"}, members{
			"url": text(), "detail": oneOf("auto", "low", "high"),
		}))},
		variant{"input_audio", part("input_audio", object([]string{"data", "format"}, members{
			"data": text(), "format": oneOf("wav", "mp3"),
		}))},
		variant{"file", part("file", object(nil, members{
			"filename": text(), "file_data": text(), "file_id": text(),
		}))},
	)

	textPart = object([]string{"text"}, members{"text": text(), "prompt_cache_breakpoint": breakpointSchema})

	breakpointSchema = object([]string{"mode"}, members{"mode": oneOf("explicit")})
)

// part is a content part whose payload is the member named like its type. It may be
// missing: typed SDKs leave it out where they do not know the type, and upstreams
// differ in whether they mind.
func part(kind string, payload *schema) *schema {
	return object(nil, members{kind: payload, "prompt_cache_breakpoint": breakpointSchema})
}
