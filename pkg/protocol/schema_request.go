package protocol

import "math"

// requestSchema is the request of POST /v1/chat/completions as OpenAI documents
// it, in the order of its reference. Only types, enumerations and documented
// ranges are checked: what is merely odd passes, since upstreams differ and since
// test rigs of SDKs send every parameter at once. A member that is null counts as
// absent, and unknown members pass at every level.
//
// model is not marked as required here: its absence has an error of its own.
var requestSchema = object([]string{"messages"}, members{
	"model":                 modelSchema,
	"messages":              messagesSchema,
	"stream":                boolean(),
	"stream_options":        object(nil, members{"include_usage": boolean(), "include_obfuscation": boolean()}),
	"max_completion_tokens": tokens(),
	"max_tokens":            tokens(),
	"temperature":           decimal(0, 2),
	"top_p":                 decimal(0, 1),
	"n":                     integer(1, 128),
	"stop":                  text().or(array(text(), 1, 4)),
	"frequency_penalty":     decimal(-2, 2),
	"presence_penalty":      decimal(-2, 2),
	"logprobs":              boolean(),
	"top_logprobs":          integer(0, 20),
	"logit_bias":            dictionary(integer(-100, 100)),
	"seed":                  integer(math.MinInt64, math.MaxInt64),
	"response_format":       responseFormatSchema,
	"tools":                 array(toolSchema, 0, 128),
	"tool_choice":           toolChoiceSchema,
	"parallel_tool_calls":   boolean(),
	"functions":             array(functionSchema, 1, 128),
	"function_call":         oneOf("none", "auto").or(object([]string{"name"}, members{"name": text()})),
	"reasoning_effort":      oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"),
	"verbosity":             oneOf("low", "medium", "high"),
	"service_tier":          oneOf("auto", "default", "flex", "scale", "priority", "fast"),
	"store":                 boolean(),
	"background":            boolean(), // ours, after OpenAI's Responses
	"metadata":              metadataSchema,
	"user":                  text(),
	"safety_identifier":     textUpTo(64),
	"prompt_cache_key":      text(),
	"prompt_cache_options": object(nil, members{
		"ttl":  oneOf("30m"),
		"mode": oneOf("implicit", "explicit"),
	}),
	"prompt_cache_retention": oneOf("in_memory", "24h"),
	"prediction": object([]string{"type", "content"}, members{
		"type":    oneOf("content"),
		"content": text().or(array(textPartSchema, 1, 0)),
	}),
	"modalities": array(oneOf("text", "audio"), 0, 0),
	"audio": object([]string{"voice", "format"}, members{
		"voice":  text().or(object([]string{"id"}, members{"id": text()})),
		"format": oneOf("wav", "aac", "mp3", "flac", "opus", "pcm16"),
	}),
	"web_search_options": object(nil, members{
		"search_context_size": oneOf("low", "medium", "high"),
		"user_location": object([]string{"type", "approximate"}, members{
			"type": oneOf("approximate"),
			"approximate": object(nil, members{
				"country": text(), "region": text(), "city": text(), "timezone": text(),
			}),
		}),
	}),
	"moderation": object([]string{"model"}, members{
		"model":  text(),
		"policy": object(nil, members{"input": moderationSchema, "output": moderationSchema}),
	}),
})

var (
	modelSchema    = text().orNull()
	messagesSchema = array(messageSchema, 1, 0)
)

var metadataSchema = &schema{kinds: isObject, other: textUpTo(512), maxMembers: 16, maxName: 64}

var moderationSchema = object([]string{"mode"}, members{"mode": oneOf("score", "block")})

var responseFormatSchema = tagged("type",
	variant{"json_object", anyObject()},
	variant{"json_schema", object([]string{"json_schema"}, members{
		"json_schema": object([]string{"name"}, members{
			"name":        {kinds: isString, maxLength: 64, identifier: true},
			"description": text(),
			"schema":      anyObject(),
			"strict":      boolean(),
		}),
	})},
	variant{"text", anyObject()},
)

var functionSchema = object([]string{"name"}, members{
	"name":        text(), // OpenAI's pattern is not enforced: other upstreams allow more
	"description": text(),
	"parameters":  anyObject(),
	"strict":      boolean(),
})

var toolSchema = tagged("type",
	variant{"function", object([]string{"function"}, members{"function": functionSchema})},
	variant{"custom", object(nil, members{
		"custom": object([]string{"name"}, members{
			"name":        text(),
			"description": text(),
			"format":      customFormatSchema,
		}),
	})},
)

var customFormatSchema = tagged("type",
	variant{"text", anyObject()},
	variant{"grammar", object([]string{"grammar"}, members{
		"grammar": object([]string{"definition", "syntax"}, members{
			"definition": text(),
			"syntax":     oneOf("lark", "regex"),
		}),
	})},
)

// A choice without the member it is about passes: typed SDKs send such ones, and
// servers read them as "any tool of this type".
var toolChoiceSchema = oneOf("none", "auto", "required").or(tagged("type",
	variant{"function", object(nil, members{"function": namedSchema()})},
	variant{"custom", object(nil, members{"custom": namedSchema()})},
	variant{"allowed_tools", object(nil, members{
		"allowed_tools": object([]string{"mode", "tools"}, members{
			"mode":  oneOf("auto", "required"),
			"tools": array(anyObject(), 0, 0),
		}),
	})},
))

// namedSchema names one tool.
func namedSchema() *schema { return object([]string{"name"}, members{"name": text()}) }
